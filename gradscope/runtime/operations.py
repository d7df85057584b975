"""The operations of a step's forward pass, in the graph that is traced."""

from __future__ import annotations

import dataclasses
import re

import tensorflow as tf

from gradscope.runtime import eager_operations, scopes, tracing

#: Parts of the names of operations that compute gradients: those of a tape,
#: and of TensorFlow 1.
_BACKWARD = re.compile(r"(^|/)(gradient_tape|gradients)(_\d+)?/")

#: Operations whose output is their input, written in another way.
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
class Part:
    """The operations of a step in one graph.

    Attributes:
        graph: The graph, or an `eager.Ops`.
        forward: All that are of no gradient, and what is updated by them.
        near: Of the forward pass of this very step, within reach.
        far: Those out of reach: inside of a `tf.cond` of TensorFlow 1.
    """

    graph: object
    forward: list
    near: list
    far: list

    @property
    def names(self) -> set[str]:
        """Names of the operations of the step."""
        return {operation.name for operation in self.near}


def of_step(graph, ends: list, replica: int) -> list[Part]:
    """Returns the operations of a step, in its graph and those around it.

    All that a function does is its step. Around it, and in a graph that a
    session runs a part of, only what the step's ends come from belongs to it:
    the rest may be another part of a model, which wants to be fed.

    Args:
        graph: That is being built, or an `eager.Ops`.
        ends: What is known to be the step's: gradients, outputs, a loss.
        replica: Number of the replica.
    """
    if isinstance(graph, eager_operations.EagerGraph):
        operations = graph.get_operations()
        return [Part(graph, operations, operations, [])]
    reached = behind(ends)
    in_session = tracing.session_graph(graph) is not None
    parts = []
    for outer in tracing.outermost_first(graph):
        operations = [
            op for op in forward(outer) if scopes.replica(op.name) == replica
        ]
        own = operations
        if outer is not graph or in_session:
            own = [op for op in operations if key(op) in reached]
        near = [op for op in own if is_within_reach(op, graph)]
        far = [op for op in own if not is_within_reach(op, graph)]
        parts.append(Part(outer, operations, near, far))
    return parts


def is_backward(name: str) -> bool:
    """Returns whether an operation of this name computes gradients."""
    return _BACKWARD.search(name) is not None


def forward(graph) -> list:
    """Returns the operations of a graph that are of no gradient, and not ours.

    A custom gradient's operations have no name of their own, but come after
    one that has; what comes after an update, or of another replica, is another
    forward pass. (In a graph of TensorFlow 1 they are all below one name.)
    """
    operations = [
        op for op in graph.get_operations() if not scopes.is_ours(op.name)
    ]
    if tracing.session_graph(graph) is not None:
        return [op for op in operations if not is_backward(op.name)]
    found: list = []
    backward: dict[int, bool] = {}
    for operation in operations:
        replica = scopes.replica(operation.name)
        if is_backward(operation.name):
            backward[replica] = True
        elif operation.type.startswith(_UPDATES):
            backward[replica] = False
        if not backward.get(replica):
            found.append(operation)
    return found


def behind(ends: list) -> set[tuple]:
    """Returns the keys of the operations that some tensors come from.

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
        if operation.type in ("Placeholder", "PlaceholderWithDefault"):
            outside = _captured(operation)
            pending += [] if outside is None else [outside.op]
    return visited


def key(operation) -> tuple:
    """Returns what identifies an operation."""
    return id(operation.graph), operation.name


def end(tensor) -> tuple:
    """Returns what identifies a tensor, symbolic or noted."""
    return *key(tensor.op), tensor.name


def ends_of(tensors: list) -> set[tuple]:
    """Returns what identifies some tensors, and those of which they are the
    very numbers, in another shape or of another dtype.

    Args:
        tensors: Symbolic or noted.
    """
    ends = set()
    for tensor in tensors:
        while tensor.op is not None:
            ends.add(end(tensor))
            if tensor.op.type not in SAME_NUMBERS or not tensor.op.inputs:
                break
            place = getattr(tensor, "value_index", 0)
            is_list = tensor.op.type == "IdentityN"
            tensor = tensor.op.inputs[place if is_list else 0]
    return ends


def constant(tensor):
    """Returns the value of a tensor that is a constant, None for others."""
    return tf.get_static_value(getattr(tensor, "noted", tensor))


def is_within_reach(operation, graph) -> bool:
    """Returns whether what an operation returns can be used where the graph is
    being built: not from inside a `tf.cond` of TensorFlow 1."""
    context = operation._get_control_flow_context()
    return (
        context is None
        or context.IsXLAContext()
        or context is graph._get_control_flow_context()
    )


def _captured(placeholder):
    """Returns the tensor of an outer graph that a placeholder stands for."""
    for external, internal in getattr(placeholder.graph, "captures", ()):
        if internal.op.name == placeholder.name:
            return external if tf.is_symbolic_tensor(external) else None
    return None
