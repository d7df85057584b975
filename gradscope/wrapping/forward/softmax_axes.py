"""Along which axis a softmax works, which TensorFlow does for the last alone.

tf.nn.softmax(x, axis=1) = transpose(softmax(transpose(x)))
"""

from __future__ import annotations

import numpy as np

from gradscope.runtime import operations

#: How the operations that a permutation is computed with are computed; its
#: parts are numbers, but TensorFlow makes no constant of their difference.
_FOLDED = {
    "Add": np.add,
    "AddV2": np.add,
    "ConcatV2": lambda *parts: np.concatenate(parts[:-1]),
    "FloorMod": np.mod,
    "Pack": lambda *parts: np.stack(parts),
    "Range": np.arange,
    "Sub": np.subtract,
}


def of_softmax(operation) -> tuple:
    """Returns the tensor that a softmax returns, in the order of axes of what
    it was given, and the axis: -1 is the last one, others count from 0. One
    of a stack of tensors counts as the last: it is none of theirs."""
    y = operation.outputs[0]
    before = operation.inputs[0].op
    order = _order(before)
    if order is None:
        return y, -1
    for consumer in y.consumers():
        back = _order(consumer)
        if back is not None and [order[i] for i in back] == sorted(back):
            axis = order[-1]
            last = axis == len(order) - 1
            stacked = axis == 0 and not _is_of_examples(before.inputs[0])
            return consumer.outputs[0], -1 if last or stacked else axis
    return y, -1


def _is_of_examples(x) -> bool:
    """Returns whether the first axis of a tensor may be that of the batch, and
    not that of a stack of tensors, as of the instances in a bag."""
    if x.op is not None and x.op.type == "Pack":
        return x.op.get_attr("axis") != 0
    first, *others = x.shape.as_list()
    return first is None or None not in others


def _order(operation) -> list[int] | None:
    """Returns the order in which an operation puts axes, if it does that."""
    if operation is None or operation.type != "Transpose":
        return None
    order = _value(operation.inputs[1])
    return None if order is None else [int(i) for i in order]


def _value(tensor):
    """Returns the value of a tensor that no data is needed for, else None."""
    value = operations.constant(tensor)
    operation = tensor.op
    if value is not None or operation is None:
        return value
    if operation.type not in _FOLDED:
        return None
    parts = [_value(t) for t in operation.inputs]
    if any(part is None for part in parts):
        return None
    return _FOLDED[operation.type](*parts)
