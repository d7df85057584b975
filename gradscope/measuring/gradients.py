"""Gradients as the optimizer got them, in a form that can be measured."""

from __future__ import annotations

import tensorflow as tf

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


def shaped(gradient, shape):
    """Returns a gradient that knows its variable's shape.

    `IndexedSlices` made by hand need not, and cannot be made dense then.
    """
    if isinstance(gradient, tf.IndexedSlices) and gradient.dense_shape is None:
        return tf.IndexedSlices(
            gradient.values, gradient.indices, tf.constant(shape.as_list())
        )
    return gradient


def dense(gradient):
    """Returns a gradient as a tensor; rows of `IndexedSlices` are summed."""
    return None if gradient is None else tf.convert_to_tensor(gradient)


def regenerate(gradient, graph):
    """Returns a copy of a gradient, computed again from what it came from.

    Where XLA merges a gradient's last product into the optimizer's kernel, it
    rounds product and sum once (a fused multiply-add). An observer that reads
    this gradient makes XLA store it, the product is rounded on its own, and
    the last bit of a weight changes: seen with the gamma of a batch norm
    after 16 steps. So an observer repeats the elementwise end of the
    computation, and leaves the optimizer's own alone.

    Args:
        gradient: Tensor of `graph`, `IndexedSlices` or None.
        graph: The graph of the step; the copy belongs to the current graph.
    """
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            _copy(gradient.values, graph, {}, _DEEPEST),
            gradient.indices,
            gradient.dense_shape,
        )
    return None if gradient is None else _copy(gradient, graph, {}, _DEEPEST)


def _copy(tensor, graph, copies, depth):
    operation = tensor.op
    mergeable = operation.type in _MERGED and operation.graph is graph
    if not mergeable or depth == 0:
        return tensor
    if tensor.name not in copies:
        inputs = [_copy(t, graph, copies, depth - 1) for t in operation.inputs]
        attributes = operation.node_def.attr.items()
        copies[tensor.name] = (
            tf.compat.v1.get_default_graph()
            .create_op(
                operation.type,
                inputs,
                [tensor.dtype],
                attrs={k: v for k, v in attributes if k[0] != "_"},
            )
            .outputs[0]
        )
    return copies[tensor.name]
