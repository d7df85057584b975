"""Finds the operations of a step's forward pass in its graph."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import tensorflow as tf

from gradscope.runtime import eager_operations, scopes, tracing

if TYPE_CHECKING:
    import numpy as np

    from gradscope.runtime.eager_operations import (
        EagerGraph,
        EagerOperation,
        EagerTensor,
    )

#: Parts of the names of operations that compute gradients: those of a tape,
#: and those of TensorFlow 1.
_BACKWARD = re.compile(r"(^|/)(gradient_tape|gradients)(_\d+)?/")

#: Operations whose output has the numbers of their input, in another shape or
#: of another dtype.
SAME_NUMBERS = {
    "Cast",
    "ExpandDims",
    "Identity",
    "IdentityN",
    "Reshape",
    "Squeeze",
    "StopGradient",
}

#: How the types of operations begin that update variables.
_UPDATES = ("Assign", "ResourceApply", "ResourceSparseApply")


@dataclasses.dataclass
class Subgraph:
    """The operations of a step that are in one graph.

    Attributes:
        graph: The graph.
        forward: All operations that compute no gradient, and the updates of
            variables.
        reachable: The operations of this step's forward pass whose outputs can
            be used where the step is being built.
        unreachable: Those whose outputs cannot: they are inside of a `tf.cond`
            of TensorFlow 1.
    """

    graph: tf.Graph | EagerGraph
    forward: list
    reachable: list
    unreachable: list

    @property
    def names(self) -> set[str]:
        """Names of the step's reachable operations."""
        return {operation.name for operation in self.reachable}


def step_subgraphs(
    graph: tf.Graph | EagerGraph, ends: list, replica: int
) -> list[Subgraph]:
    """Find the operations of a step, in its graph and in those around it.

    All operations of a function belong to its step. In the graphs around it,
    and in a graph of which a session runs only a part, a step has the
    operations from which its ends are computed: others may belong to another
    part of a model, which needs other data.

    Args:
        graph: The graph that is being built.
        ends: Tensors that belong to the step: gradients, outputs, a loss.
        replica: Number of the replica.
    """
    if isinstance(graph, eager_operations.EagerGraph):
        operations = graph.get_operations()
        return [Subgraph(graph, operations, operations, [])]
    ancestors = ancestor_keys(ends)
    in_session = tracing.session_graph(graph) is not None
    subgraphs = []
    for outer in tracing.outermost_first(graph):
        operations = [
            op
            for op in forward_operations(outer)
            if scopes.replica_number(op.name) == replica
        ]
        of_step = operations
        if outer is not graph or in_session:
            of_step = [op for op in operations if key(op) in ancestors]
        reachable = [op for op in of_step if is_reachable(op, graph)]
        unreachable = [op for op in of_step if not is_reachable(op, graph)]
        subgraphs.append(Subgraph(outer, operations, reachable, unreachable))
    return subgraphs


def is_backward(name: str) -> bool:
    """Whether an operation of this name computes gradients."""
    return _BACKWARD.search(name) is not None


def is_update(operation: tf.Operation) -> bool:
    """Whether an operation updates a variable."""
    return bool(operation.type.startswith(_UPDATES))


def forward_operations(graph: tf.Graph) -> list[tf.Operation]:
    """List the operations of a graph that compute no gradients, without those
    that gradscope added.

    The operations of a custom gradient have ordinary names, but come after one
    that is named as a gradient. The next forward pass begins after an update
    of a variable; each replica has its own. In a graph of TensorFlow 1 all
    gradients have names that say so.
    """
    operations = [
        op for op in graph.get_operations() if not scopes.is_ours(op.name)
    ]
    if tracing.session_graph(graph) is not None:
        return [op for op in operations if not is_backward(op.name)]
    forward: list = []
    backward: dict[int, bool] = {}
    for operation in operations:
        replica = scopes.replica_number(operation.name)
        if is_backward(operation.name):
            backward[replica] = True
        elif is_update(operation):
            backward[replica] = False
        if not backward.get(replica):
            forward.append(operation)
    return forward


def ancestor_keys(ends: list) -> set[tuple]:
    """Find the keys of all operations from which tensors are computed.

    Args:
        ends: Tensors, `IndexedSlices` or None.
    """
    tensors = [
        g.values if isinstance(g, tf.IndexedSlices) else g
        for g in ends
        if g is not None
    ]
    pending = [t.op for t in tensors if tf.is_symbolic_tensor(t)]
    visited: set[tuple] = set()
    while pending:
        operation = pending.pop()
        if key(operation) in visited:
            continue
        visited.add(key(operation))
        pending += [t.op for t in operation.inputs]
        # A function reads tensors of the graphs around it through placeholders,
        # so that the search goes on there.
        if operation.type in ("Placeholder", "PlaceholderWithDefault"):
            outside = _captured(operation)
            pending += [] if outside is None else [outside.op]
    return visited


def key(operation: tf.Operation | EagerOperation) -> tuple[int, str]:
    """Key of an operation: its graph and its name."""
    return id(operation.graph), operation.name


def tensor_key(tensor: tf.Tensor | EagerTensor) -> tuple[int, str, str]:
    """Key of a symbolic or captured tensor."""
    return *key(tensor.op), tensor.name


def same_number_keys(tensors: list) -> set[tuple[int, str, str]]:
    """Keys of tensors, and of those with the same numbers in another shape or
    of another dtype.

    Args:
        tensors: Symbolic or captured.
    """
    keys = set()
    for tensor in tensors:
        while tensor.op is not None:
            keys.add(tensor_key(tensor))
            if tensor.op.type not in SAME_NUMBERS or not tensor.op.inputs:
                break
            # Each output of an `IdentityN` is one of its inputs; all others
            # here have their data as the first input. (A captured eager tensor
            # does not know its index.)
            place = getattr(tensor, "value_index", 0)
            is_list = tensor.op.type == "IdentityN"
            tensor = tensor.op.inputs[place if is_list else 0]
    return keys


def constant_value(tensor: tf.Tensor | EagerTensor) -> np.ndarray | None:
    """Value of a tensor that is a constant; None for any other tensor."""
    return tf.get_static_value(eager_operations.unwrap(tensor))


def is_reachable(operation: tf.Operation, graph: tf.Graph) -> bool:
    """Whether the outputs of an operation can be used where the graph is being
    built: not from inside a `tf.cond` of TensorFlow 1."""
    context = operation._get_control_flow_context()
    return (
        # What `jit_compile` builds is all in the context of XLA, which hides
        # nothing within its function.
        context is None
        or context.IsXLAContext()
        or context is graph._get_control_flow_context()
    )


def _captured(placeholder):
    """Tensor of an outer graph for which a placeholder stands."""
    for external, internal in getattr(placeholder.graph, "captures", ()):
        if internal.op.name == placeholder.name:
            return external if tf.is_symbolic_tensor(external) else None
    return None
