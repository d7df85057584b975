"""Computes tensors again that TensorFlow does not store.

Grappler merges a product, a bias and the activation behind them into a single
operation, whose last bits are others. It does so only if nobody else reads what
is between them. Of layers only the outputs of their activations are read, which
end such an operation. But the output of a model may be in the middle of one: a
loss that begins with `tf.sigmoid(logits)` makes it so.
"""

from __future__ import annotations

import tensorflow as tf

from gradscope.runtime.replay import copy_operation

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


def is_inside(tensor: tf.Tensor, graph: tf.Graph) -> bool:
    """Test whether a tensor of a graph may be between two operations that
    merge."""
    if not tf.is_symbolic_tensor(tensor):
        return False
    while tensor.op.type in _TRANSPARENT and tensor.op.graph is graph:
        tensor = tensor.op.inputs[0]
    if tensor.op.graph is not graph or tensor.op.type not in _MERGED:
        return False
    uses = _uses(tensor)
    return len(uses) == 1 and uses[0].type in _ENDS


def repeat(
    tensor: tf.Tensor, graph: tf.Graph, weights: dict[str, tf.Tensor]
) -> tf.Tensor:
    """Compute a tensor again, from what is stored.

    Args:
        tensor: A tensor of `graph`.
        graph: The graph of the step; the copy belongs to the current graph.
        weights: Values of the weights, by the names of the tensors that read
            them. To hold what was read would cost time in each step.
    """
    return _repeat(tensor, graph, weights, {})


def _uses(tensor) -> list:
    """Operations that use a tensor's numbers, behind a change of shape."""
    uses = []
    for operation in tensor.consumers():
        if operation.type in _TRANSPARENT:
            uses += _uses(operation.outputs[0])
        elif operation.type != "Shape":
            uses.append(operation)
    return uses


def _repeat(tensor, graph, weights, copies) -> tf.Tensor:
    if tensor.name in weights:
        return weights[tensor.name]
    operation = tensor.op
    repeated = (*_MERGED, *_TRANSPARENT)
    if operation.graph is not graph or operation.type not in repeated:
        return tensor
    if tensor.name not in copies:
        inputs = [_repeat(t, graph, weights, copies) for t in operation.inputs]
        copy_operation(operation, inputs, copies)
    return copies[tensor.name]
