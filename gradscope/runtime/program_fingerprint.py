"""Tells whether two traced programs compute the same."""

from __future__ import annotations

import collections
import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

# Has no public name: finds the variables that a graph only reads, and looks
# into functions, loops and branches, too.
from tensorflow.python.framework import auto_control_deps_utils

from gradscope.runtime import tf_variables

if TYPE_CHECKING:
    import keras
    from tensorflow.types.experimental import ConcreteFunction

#: Attributes that differ from trace to trace. The seeds of a random operation
#: are among them: they are new in each trace of a layer of tf_keras.
_TRACE_ATTRIBUTES = {"seed", "seed2", "token"}

#: A larger captured tensor is compared by its shape alone.
_MOST_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True)
class ProgramFingerprint:
    """Contents of a traced program, without the order and names of operations.

    Attributes:
        operations: Counts of operations by kind, and by value for constants.
        captured: Counts of captured tensors: variables by their handles, and
            others by value.
        written: The handles of variables that the program changes, by `id`.
    """

    operations: collections.Counter
    captured: collections.Counter
    written: frozenset[int]

    @classmethod
    def of(
        cls, traced: ConcreteFunction, model: keras.Model
    ) -> ProgramFingerprint:
        """Fingerprint of a traced function of a model's training."""
        graph = traced.graph
        # With several replicas, the keys of their messages to each other are
        # new in each trace, and so attributes cannot be compared.
        strategy = getattr(model, "distribute_strategy", None)
        alone = strategy is None or strategy.num_replicas_in_sync == 1
        digest = _digest if alone else lambda node: node.op
        return cls(
            collections.Counter(map(digest, _nodes(graph.as_graph_def()))),
            collections.Counter(
                _captured_key(tensor) for tensor, _ in graph.captures
            ),
            _written(graph),
        )


def handle_id(variable: keras.Variable | tf.Variable) -> int:
    """Id of a variable's handle, as `ProgramFingerprint.written` has it."""
    return id(tf_variables.tf_variable(variable).handle)


def _written(graph) -> frozenset[int]:
    read = auto_control_deps_utils.get_read_only_resource_input_indices_graph(
        graph
    )
    only_read = {id(graph.inputs[index]) for index in read}
    return frozenset(
        id(outer)
        for outer, inner in graph.captures
        if inner.dtype == tf.resource and id(inner) not in only_read
    )


def _captured_key(tensor):
    """Identity, value, or shape of a tensor that a program captures."""
    if tensor.dtype in (tf.resource, tf.variant) or tf.is_symbolic_tensor(
        tensor
    ):
        return id(tensor)
    large = tensor.shape.num_elements() * tensor.dtype.size > _MOST_BYTES
    if large or tensor.dtype == tf.string:
        return tensor.dtype, tuple(tensor.shape.as_list())
    return tensor.numpy().tobytes()


def _nodes(graph_def):
    """Yield the nodes of a graph, and of the functions that it calls."""
    functions = {f.signature.name: f for f in graph_def.library.function}
    pending = [graph_def.node]
    while pending:
        for node in pending.pop():
            yield node
            for attribute in node.attr.values():
                for called in (attribute.func, *attribute.list.func):
                    # Each function counts once, however often it is called;
                    # this also ends the walk where functions call each other.
                    function = functions.pop(called.name, None)
                    if function is not None:
                        pending.append(function.node_def)


def _digest(node) -> tuple:
    """Kind and attributes of a node, without those that name a function or
    differ from trace to trace."""
    # Attributes with `_` are notes of TensorFlow, of which some have a number
    # that is new in each trace (`_gradient_op_type`).
    return node.op, *sorted(
        (name, value.SerializeToString(deterministic=True))
        for name, value in node.attr.items()
        if not name.startswith("_")
        and name not in _TRACE_ATTRIBUTES
        and not value.HasField("func")
        and not value.list.func
    )
