"""Finds the axis of a softmax.

TensorFlow's operation uses the last axis; for any other axis there is a
transposition before and after:

    tf.nn.softmax(x, axis=1) = transpose(softmax(transpose(x)))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.runtime import operations

if TYPE_CHECKING:
    import tensorflow as tf

    from gradscope.runtime.eager_operations import EagerOperation, EagerTensor

#: Functions of numpy for the operations that compute a permutation of axes,
#: because TensorFlow does not fold all of them into constants.
_FOLDED = {
    "Add": np.add,
    "AddV2": np.add,
    "ConcatV2": lambda *parts: np.concatenate(parts[:-1]),
    "FloorMod": np.mod,
    "Pack": lambda *parts: np.stack(parts),
    "Range": np.arange,
    "Sub": np.subtract,
}


def output_and_axis(
    operation: tf.Operation | EagerOperation,
) -> tuple[tf.Tensor | EagerTensor, int]:
    """Find the output and the axis of a softmax.

    The output has its axes in the order of the input. The axis is -1 for the
    last one, others count from 0. The axis of a stack of tensors counts as the
    last one: it belongs to none of them.
    """
    y = operation.outputs[0]
    before = operation.inputs[0].op
    order = _order(before)
    if order is None:
        return y, -1
    for consumer in y.consumers():
        back = _order(consumer)
        # The second transposition must undo the first.
        if back is not None and [order[i] for i in back] == sorted(back):
            axis = order[-1]
            last = axis == len(order) - 1
            stacked = axis == 0 and not _is_of_examples(before.inputs[0])
            return consumer.outputs[0], -1 if last or stacked else axis
    return y, -1


def _is_of_examples(x) -> bool:
    """Return whether the first axis of a tensor may be that of the batch.

    It is not in a stack of tensors, as of the instances in a bag.
    """
    if x.op is not None and x.op.type == "Pack":
        return x.op.get_attr("axis") != 0
    first, *inner_sizes = x.shape.as_list()
    return first is None or None not in inner_sizes


def _order(operation) -> list[int] | None:
    """Order in which a transposition puts axes; None for other operations."""
    if operation is None or operation.type != "Transpose":
        return None
    order = _value(operation.inputs[1])
    return None if order is None else [int(i) for i in order]


def _value(tensor):
    """Value of a tensor that is computed from constants; None for others."""
    value = operations.constant_value(tensor)
    operation = tensor.op
    if value is not None or operation is None:
        return value
    if operation.type not in _FOLDED:
        return None
    parts = [_value(t) for t in operation.inputs]
    if any(part is None for part in parts):
        return None
    return _FOLDED[operation.type](*parts)
