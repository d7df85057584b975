"""Computes tensors of a step again, so that reading them changes no bit.

Where XLA merges a tensor into the kernel that uses it, it rounds once what
would be rounded twice (a fused multiply-add), or adds up in another order. An
observer that reads this tensor makes XLA store it, and the last bit of a weight
changes. This happens with the gradient of a convolution that is clipped, with a
GRU's bias, and with a batch norm's gamma. A copy leaves the original alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

# Has no public name: tells whether an operation has a state.
from tensorflow.python.framework import op_def_registry

if TYPE_CHECKING:
    import keras
    import numpy as np

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
#: How many operations before a tensor are computed again at most.
_DEEPEST = 8

#: Sums, and what TensorFlow may take away between two of them.
_SUMS = ("Add", "AddN", "AddV2")
_TRANSPARENT = ("ExpandDims", "Identity", "Reshape", "Squeeze")


def replay(
    tensors: list,
    graph: tf.Graph,
    replacements: dict[str, tf.Tensor] | None = None,
    repeat: Callable[[tf.Operation, list], tf.Tensor | None] | None = None,
) -> list:
    """Compute tensors again, from the inputs of the step.

    Under XLA only this leaves the step's own kernels as they are: the copies
    read the step's inputs, its weights, and operations with a state (loops,
    random numbers). A step that is recorded is computed twice, others are not.

    Args:
        tensors: Tensors of `graph`; others are returned as they are.
        graph: The graph of the step; the copies belong to the current graph.
        replacements: Tensors to use in place of those with these names.
        repeat: Called with an operation and its new inputs; returns its output,
            or None for an operation to repeat as it is.
    """
    symbolic = [t for t in tensors if tf.is_symbolic_tensor(t)]
    needed = _needed(symbolic, graph)
    copies: dict[str, tf.Tensor] = dict(replacements or {})
    for operation in graph.get_operations():
        if operation.name in needed:
            inputs = [copies.get(t.name, t) for t in operation.inputs]
            output = repeat(operation, inputs) if repeat else None
            if output is None:
                copy_operation(operation, inputs, copies)
            else:
                copies[operation.outputs[0].name] = output
    return [
        copies.get(t.name, t) if tf.is_symbolic_tensor(t) else t
        for t in tensors
    ]


def replay_end(
    tensor: tf.Tensor | tf.Variable | keras.Variable | np.ndarray,
    graph: tf.Graph,
) -> tf.Tensor:
    """Compute again the elementwise operations at the end of a tensor.

    This is for a step that is traced outside of XLA, but may be called from a
    function that XLA compiles.

    Args:
        tensor: A tensor of `graph`, or a value, which is converted.
        graph: The graph of the step; the copy belongs to the current graph.
    """
    if not tf.is_symbolic_tensor(tensor):  # a variable, an array
        return tf.convert_to_tensor(tensor)
    return _replay_end(tensor, graph, {}, _DEEPEST)


def _needed(tensors: list, graph) -> set[str]:
    """Names of the operations to repeat for some tensors."""
    needed: set[str] = set()
    pending = [t.op for t in tensors]
    while pending:
        operation = pending.pop()
        if operation.name in needed or operation.graph is not graph:
            continue
        if not is_stateful(operation):
            needed.add(operation.name)
            pending += [t.op for t in operation.inputs]
    return needed


def is_stateful(operation: tf.Operation) -> bool:
    """Whether an operation could return something else a second time."""
    if operation.type in ("Placeholder", "PlaceholderWithDefault"):
        return True
    definition = op_def_registry.get(operation.type)
    return definition is None or definition.is_stateful


def _replay_end(tensor, graph, copies, depth):
    operation = tensor.op
    if operation.type == "IdentityN" and operation.graph is graph:
        # All gradients at once, from an all-reduce of tf_keras.
        inner = operation.inputs[tensor.value_index]
        return _replay_end(inner, graph, copies, depth)
    mergeable = operation.type in _MERGED and operation.graph is graph
    if not mergeable or depth == 0 or _reads_a_term(operation):
        return tensor
    if tensor.name not in copies:
        inputs = [
            _replay_end(t, graph, copies, depth - 1) for t in operation.inputs
        ]
        copy_operation(operation, inputs, copies)
    return copies[tensor.name]


def _reads_a_term(operation) -> bool:
    """Return whether an input is a term of a sum of three and more.

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


def copy_operation(
    operation: tf.Operation, inputs: list, copies: dict[str, tf.Tensor]
) -> None:
    """Repeat an operation in the graph that is being built.

    Args:
        operation: The operation.
        inputs: Its new inputs.
        copies: Gets the new outputs, by the names of the old ones.
    """
    attributes = operation.node_def.attr.items()
    repeated = tf.compat.v1.get_default_graph().create_op(
        operation.type,
        inputs,
        [t.dtype for t in operation.outputs],
        attrs={k: v for k, v in attributes if k[0] != "_"},
    )
    for output, copy in zip(operation.outputs, repeated.outputs, strict=True):
        copies[output.name] = copy
