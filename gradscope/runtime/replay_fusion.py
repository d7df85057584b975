"""Computes tensors again that TensorFlow does not store.

Grappler merges a product, a bias and the activation behind them into a single
operation, whose last bits are others. It does so only if nobody else reads what
is between them. Of layers only the outputs of their activations are read, which
end such an operation. But the output of a model may be in the middle of one: a
loss that begins with `tf.sigmoid(logits)` makes it so. Other readers may be no
hindrance: grappler takes those away first whose results nobody needs.
"""

from __future__ import annotations

import tensorflow as tf

from gradscope.runtime import operations
from gradscope.runtime.replay import copy_operation, is_stateful

#: Operations that begin or continue what is merged.
_MERGED = (
    "Add",
    "AddV2",
    "BatchMatMulV2",
    "BiasAdd",
    "Conv2D",
    "Conv3D",
    "DepthwiseConv2dNative",
    "FusedBatchNorm",
    "FusedBatchNormV2",
    "FusedBatchNormV3",
    "MatMul",
    "Mul",
)

#: Operations that continue or end it.
_ENDS = (
    "Add",
    "AddV2",
    "BiasAdd",
    "Elu",
    "Erf",
    "Erfc",
    "LeakyRelu",
    "Mul",
    "Relu",
    "Relu6",
    "Sigmoid",
    "Tanh",
)

#: Operations that grappler may take away, so that others meet.
_TRANSPARENT = ("ExpandDims", "Identity", "Reshape", "Squeeze")


def is_inside(tensor: tf.Tensor) -> bool:
    """Test whether a tensor may be between two operations that merge."""
    if not tf.is_symbolic_tensor(tensor):
        return False
    while tensor.op.type in _TRANSPARENT:
        tensor = tensor.op.inputs[0]
    return tensor.op.type in _MERGED and _is_continued(tensor)


def repeat(
    tensor: tf.Tensor, graph: tf.Graph, weights: dict[str, tf.Tensor]
) -> tf.Tensor:
    """Compute a tensor again, from what is stored.

    Args:
        tensor: A tensor of `graph`, or of one around it; the copy belongs to
            the current graph.
        graph: The graph of the step.
        weights: Values of the weights, by the names of the tensors of `graph`
            that read them. To hold what was read would cost time in each step.
    """
    return _repeat(tensor, graph, weights, {}, lambda tensor: False)


def brings_back_a_reader(tensor: tf.Tensor, needed: set[tuple]) -> bool:
    """Test whether to read a tensor would bring back operations that read what
    TensorFlow merges.

    Args:
        tensor: A tensor that TensorFlow need not compute.
        needed: Keys of the operations that TensorFlow keeps, see
            `operations.key`.
    """
    pending, visited = [tensor], set()
    while pending:
        tensor = pending.pop()
        key = operations.tensor_key(tensor)
        if not _is_unneeded(tensor, needed):
            if is_inside(tensor):
                return True
        elif key not in visited:
            visited.add(key)
            pending += tensor.op.inputs
    return False


def repeat_unneeded(
    tensor: tf.Tensor,
    needed: set[tuple],
    graph: tf.Graph,
    weights: dict[str, tf.Tensor],
) -> tf.Tensor:
    """Compute a tensor again that TensorFlow need not compute.

    Args:
        tensor, graph, weights: As of `repeat`.
        needed: As of `brings_back_a_reader`.
    """
    return _repeat(
        tensor, graph, weights, {}, lambda tensor: _is_unneeded(tensor, needed)
    )


def _is_unneeded(tensor, needed) -> bool:
    operation = tensor.op
    return operations.key(operation) not in needed and not is_stateful(
        operation
    )


def _is_continued(tensor) -> bool:
    """Return whether an operation that uses a tensor may merge with it, also
    behind a change of shape."""
    return any(
        operation.type in _ENDS
        or (
            operation.type in _TRANSPARENT
            and _is_continued(operation.outputs[0])
        )
        for operation in tensor.consumers()
    )


def _repeat(tensor, graph, weights, copies, is_unneeded) -> tf.Tensor:
    if tensor.graph is graph and tensor.name in weights:
        return weights[tensor.name]
    operation = tensor.op
    # What no other operation merges with is stored: a copy may read it.
    is_stored = operation.type not in _TRANSPARENT and not is_inside(tensor)
    if is_stored and not is_unneeded(tensor):
        return tensor
    if tensor.name not in copies:
        inputs = [
            _repeat(t, graph, weights, copies, is_unneeded)
            for t in operation.inputs
        ]
        copy_operation(operation, inputs, copies)
    return copies[tensor.name]
