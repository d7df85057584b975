"""The forward pass of a step on any replica but the first.

Each replica has another part of the batch: a unit that is active on any replica
is alive. Each has a ring of its own, with rows of `Layout.forward`, which the
drain merges with the first replica's.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from gradscope.runtime import (
    own_variables,
    replay,
    replicas,
    tf_variables,
    tracing,
)
from gradscope.wrapping.forward import fallback, unstored_tensors
from gradscope.wrapping.forward.forward_pass import ForwardPass


class ReplicaStep:
    """One call of an optimizer on another replica, in a traced graph.

    Args:
        observer: The first replica's observer; that replica is traced first.
        call: The call on this replica.
        forward_pass: The forward pass on this replica.
    """

    def __init__(self, observer, call, forward_pass: ForwardPass):
        self._observer = observer
        self._call = call
        self._forward_pass = _with_names_of_first(
            forward_pass, observer.drain.schema
        )
        self._subset = observer.subset(call.variables)
        self._graph = tracing.current_graph()

    def in_graph(self) -> None:
        """Add the ops that measure the forward pass, after the step."""
        # An eager step on several replicas is not observed, see
        # `replicas.unseen`; nor is a forward pass with rows that the first
        # replica does not have.
        if self._forward_pass is None or self._graph is None:
            return
        observer, call = self._observer, self._call
        device = tf_variables.replica_variable(
            call.optimizer_variables[0]
        ).device
        ring = observer.replica_ring(replicas.index(), device)

        def measure() -> tf.Tensor:
            forward_pass = self._forward_pass
            if tracing.in_xla(self._graph):
                tensors = replay.replay(forward_pass.tensors(), self._graph)
                forward_pass = forward_pass.with_tensors(tensors)
            else:
                forward_pass = unstored_tensors.repeat(
                    forward_pass, call.grads, self._graph, dict
                )
            ring.append(call.step, observer.measurement.measure(forward_pass))
            return tf.constant(True)

        with own_variables.unchecked(), fallback.scope():
            due = observer.gate.due("record", call.step, self._subset)
            tf.cond(due, measure, lambda: tf.constant(False))


def _with_names_of_first(
    forward_pass: ForwardPass, schema
) -> ForwardPass | None:
    """Rename a forward pass after the first replica's rows; None if they
    differ."""
    activations, states = forward_pass.activations, forward_pass.states
    pairs = (
        (schema.activations, activations, lambda a: (a.kind, a.units)),
        (schema.states, states, lambda s: (s.kind, s.size)),
        (schema.rows("data"), forward_pass.data, lambda name: name),
    )
    for rows, rows_here, key in pairs:
        if [key(row) for row in rows] != [key(row) for row in rows_here]:
            return None
    return dataclasses.replace(
        forward_pass,
        activations=dict(
            zip(schema.activations, activations.values(), strict=True)
        ),
        states=dict(zip(schema.states, states.values(), strict=True)),
    )
