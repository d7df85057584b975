"""What another replica than the first tells of the same step.

Its forward pass saw another part of the batch: a unit that fired there is
alive. It has a ring of its own, with rows of `Layout.forward`, which the drain
puts together with the first replica's.
"""

from __future__ import annotations

import tensorflow as tf

from gradscope.runtime import (
    own_variables,
    replay,
    replicas,
    tf_variables,
    tracing,
)
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.steps import guard


class ReplicaStep:
    """One call of an optimizer on another replica, in a traced graph.

    Args:
        observer: Of the first replica, which comes first.
        call: What the optimizer was given here.
        seen: What there is to be seen of the forward pass.
    """

    def __init__(self, observer, call, seen: ForwardPass):
        self._observer = observer
        self._call = call
        self._seen = _aligned(seen, observer.drain.schema)
        self._part = observer.part(call.variables)
        self._graph = tracing.current_graph()

    def in_graph(self) -> None:
        """Adds what observes the forward pass to the graph, after the step."""
        if self._seen is None or self._graph is None:
            return
        observer, call = self._observer, self._call
        device = tf_variables.replica_variable(call.known[0]).device
        ring = observer.replica_ring(replicas.index(), device)

        def observed():
            seen = self._seen
            if tracing.in_xla(self._graph):
                tensors = replay.replay(seen.tensors(), self._graph)
                seen = seen.with_tensors(tensors)
            ring.append(call.step, observer.watch.measure(seen))
            return tf.constant(True)

        with own_variables.unchecked(), guard.scope():
            due = observer.gate.due("record", call.step, self._part)
            tf.cond(due, observed, lambda: tf.constant(False))


def _aligned(seen: ForwardPass, schema) -> ForwardPass | None:
    """Returns the same with the names that the first replica gave; None if it
    has seen something else."""
    pairs = (
        (schema.activations, seen.activations, lambda a: (a.kind, a.units)),
        (schema.states, seen.states, lambda s: (s.kind, s.size)),
        (schema.rows("data"), seen.data, lambda name: name),
    )
    for rows, found, like in pairs:
        if [like(row) for row in rows] != [like(row) for row in found]:
            return None
    return ForwardPass(
        dict(zip(schema.activations, seen.activations.values(), strict=True)),
        dict(zip(schema.states, seen.states.values(), strict=True)),
        seen.data,
        seen.loss,
    )
