"""Whether two programs that were traced are the same."""

from __future__ import annotations

import collections
import dataclasses

import tensorflow as tf

# Has no public name: it looks into functions, loops and branches, too.
from tensorflow.python.framework import auto_control_deps_utils

from gradscope.runtime import tf_variables

#: Attributes that each trace has of its own. A random op's seeds are among
#: them: its numbers are its program's own in any case.
_OF_TRACE = {"seed", "seed2", "token"}

#: A larger tensor from outside is told by its shape alone.
_MOST_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True)
class ProgramFingerprint:
    """What a traced program does, but for the order and the names.

    Attributes:
        operations: How many there are of each kind, constants by value.
        captured: What it reads from outside: variables by their handles.
        written: The handles of variables that it changes, by `id`.
    """

    operations: collections.Counter
    captured: collections.Counter
    written: frozenset[int]

    @classmethod
    def of(cls, traced, model) -> ProgramFingerprint:
        """Returns that of a concrete function of a model's training."""
        graph = traced.graph
        # On several replicas each trace has keys of its own for what they
        # tell each other.
        strategy = getattr(model, "distribute_strategy", None)
        alone = strategy is None or strategy.num_replicas_in_sync == 1
        digest = _digest if alone else lambda node: node.op
        return cls(
            collections.Counter(map(digest, _nodes(graph.as_graph_def()))),
            collections.Counter(_told(tensor) for tensor, _ in graph.captures),
            _written(graph),
        )


def handle(variable) -> int:
    """Returns what `ProgramFingerprint.written` has of a variable."""
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


def _told(tensor):
    if tensor.dtype in (tf.resource, tf.variant) or tf.is_symbolic_tensor(
        tensor
    ):
        return id(tensor)
    large = tensor.shape.num_elements() * tensor.dtype.size > _MOST_BYTES
    if large or tensor.dtype == tf.string:
        return tensor.dtype, tuple(tensor.shape.as_list())
    return tensor.numpy().tobytes()


def _nodes(graph_def):
    """Yields the nodes of a graph, and of the functions that it calls."""
    functions = {f.signature.name: f for f in graph_def.library.function}
    pending = [graph_def.node]
    while pending:
        for node in pending.pop():
            yield node
            for attribute in node.attr.values():
                for called in (attribute.func, *attribute.list.func):
                    function = functions.pop(called.name, None)
                    if function is not None:
                        pending.append(function.node_def)


def _digest(node) -> tuple:
    return node.op, *sorted(
        (name, value.SerializeToString(deterministic=True))
        for name, value in node.attr.items()
        if not name.startswith("_")
        and name not in _OF_TRACE
        and not value.HasField("func")
        and not value.list.func
    )
