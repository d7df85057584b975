"""Tensors that are computed again, from what they came from.

Where XLA merges a tensor into the kernel that uses it, it rounds once what
would be rounded twice (a fused multiply-add), or adds up in another order. An
observer that reads this tensor makes XLA store it, and the last bit of a weight
changes. Seen in 4 of 24 networks of random layers, with the gradient of a
convolution that is clipped, with a GRU's bias, and with a batch norm's gamma.
"""

from __future__ import annotations

import tensorflow as tf

# Has no public name: whether an operation has a state.
from tensorflow.python.framework import op_def_registry

#: Elementwise operations that XLA merges into the optimizer's own kernels and
#: whose repetition gives the very same bits (no roots, no exponentials).
_MERGED = {
    "Add",
    "AddN",
    "AddV2",
    "Cast",
    "ExpandDims",
    "Identity",
    "Mul",
    "Neg",
    "Reshape",
    "Select",
    "SelectV2",
    "Squeeze",
    "Sub",
}
_DEEPEST = 8

#: Sums, and what TensorFlow may take away between two of them.
_SUMS = ("Add", "AddN", "AddV2")
_TRANSPARENT = ("ExpandDims", "Identity", "Reshape", "Squeeze")


def replayed(
    tensors: list, graph, given: dict | None = None, repeat=None
) -> list:
    """Returns copies of tensors, computed again from the very beginning.

    Under XLA nothing else leaves the step's own kernels as they are: only its
    inputs, its weights and what has a state (loops, random numbers) are read.
    A step that is recorded takes twice as long for it; the others do not.

    Args:
        tensors: Of `graph`; others are returned as they are.
        graph: The graph of the step; the copies belong to the current graph.
        given: Tensors to use instead of those of these names.
        repeat: From an operation and its new inputs to its output, None where
            it is to be repeated as it is.
    """
    wanted = [t for t in tensors if tf.is_symbolic_tensor(t)]
    needed = _needed(wanted, graph)
    copies: dict[str, tf.Tensor] = dict(given or {})
    for operation in graph.get_operations():
        if operation.name in needed:
            inputs = [copies.get(t.name, t) for t in operation.inputs]
            output = repeat(operation, inputs) if repeat else None
            if output is None:
                _copy(operation, inputs, copies)
            else:
                copies[operation.outputs[0].name] = output
    return [
        copies.get(t.name, t) if tf.is_symbolic_tensor(t) else t
        for t in tensors
    ]


def ending(tensor, graph):
    """Returns a copy of a tensor, of which only the elementwise end is computed
    again: for a step that is traced outside of XLA, and may yet be called from
    inside.

    Args:
        tensor: Of `graph`; what is no tensor of a graph is converted.
        graph: The graph of the step; the copy belongs to the current graph.
    """
    if not tf.is_symbolic_tensor(tensor):  # a variable, an array
        return tf.convert_to_tensor(tensor)
    return _ending(tensor, graph, {}, _DEEPEST)


def _needed(tensors: list, graph) -> set[str]:
    """Returns the names of the operations to repeat for some tensors."""
    needed: set[str] = set()
    pending = [t.op for t in tensors]
    while pending:
        operation = pending.pop()
        if operation.name in needed or operation.graph is not graph:
            continue
        if not has_state(operation):
            needed.add(operation.name)
            pending += [t.op for t in operation.inputs]
    return needed


def has_state(operation) -> bool:
    """Returns whether an operation would not give the same once more."""
    if operation.type in ("Placeholder", "PlaceholderWithDefault"):
        return True
    definition = op_def_registry.get(operation.type)
    return definition is None or definition.is_stateful


def _ending(tensor, graph, copies, depth):
    operation = tensor.op
    if operation.type == "IdentityN" and operation.graph is graph:
        # All gradients at once, from an all-reduce of tf_keras.
        inner = operation.inputs[tensor.value_index]
        return _ending(inner, graph, copies, depth)
    mergeable = operation.type in _MERGED and operation.graph is graph
    if not mergeable or depth == 0 or _reads_a_term(operation):
        return tensor
    if tensor.name not in copies:
        inputs = [
            _ending(t, graph, copies, depth - 1) for t in operation.inputs
        ]
        _copy(operation, inputs, copies)
    return copies[tensor.name]


def _reads_a_term(operation) -> bool:
    """Returns whether an input is a term of a sum of three and more.

    On a CPU `AddN` begins with the first term whose memory it may use for the
    sum, which is one that nobody else reads: to read a term is to change the
    order, and with it the last bit. (Of `a + b + c` TensorFlow makes an `AddN`
    itself.) To read the sum, or what else is made of a term, changes nothing.
    """
    return any(_is_term(tensor) for tensor in operation.inputs)


def _is_term(tensor) -> bool:
    for operation in tensor.consumers():
        is_sum = operation.type in _SUMS
        if is_sum and _has_three_terms(operation):
            return True
        if is_sum or operation.type in _TRANSPARENT:
            if _is_term(operation.outputs[0]):
                return True
    return False


def _has_three_terms(operation) -> bool:
    terms, pending = 0, list(operation.inputs)
    while pending and terms + len(pending) < 3:
        inner = pending.pop().op
        if inner.type in _SUMS:
            pending += inner.inputs
        elif inner.type in _TRANSPARENT:
            pending.append(inner.inputs[0])
        else:
            terms += 1
    return terms + len(pending) > 2


def _copy(operation, inputs: list, copies: dict) -> None:
    """Repeats an operation in the graph that is being built."""
    attributes = operation.node_def.attr.items()
    repeated = tf.compat.v1.get_default_graph().create_op(
        operation.type,
        inputs,
        [t.dtype for t in operation.outputs],
        attrs={k: v for k, v in attributes if k[0] != "_"},
    )
    for own, copy in zip(operation.outputs, repeated.outputs, strict=True):
        copies[own.name] = copy
