"""Measures whether the units of a layer receive different gradients.

Units that begin with the same weights and receive the same gradients stay equal
for ever. Then a layer of any width computes no more than a single unit
(Goodfellow, Bengio and Courville, Deep Learning, 8.4).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.measuring.gradients import GradientValues
from gradscope.measuring.stacking import Rows

#: Most units that are compared. Two would suffice to see that units are equal,
#: and comparing all units of a large layer would cost as much as its norm.
MOST_UNITS = 8


def unit_spread(
    stacks: list[Rows], gradients: list[GradientValues | None]
) -> tf.Tensor:
    """Measure how much the gradients of a variable's units differ, `[V]`.

    The spread is the norm of the gradient minus its mean over the units,
    divided by the norm of the gradient, as float32. 0 if all units receive the
    same gradient, and at most 1. NaN for a variable with fewer than two units,
    a gradient of zeros, a sparse gradient, and a missing one.

    Args:
        stacks: Result of `stacking.stack_by_shape` for the gradients.
        gradients: The V gradients, None for a missing one.

    Examples:
        Both units of the first kernel receive the gradient (1, 2). Of the
        second, one receives 2 and one 0: their mean is 1, and the root of
        (1 + 1) / 4 is 0.71.

        >>> from gradscope.measuring.stacking import stack_by_shape
        >>> same = tf.constant([[1.0, 1.0], [2.0, 2.0]])
        >>> gradients = [same, tf.constant([[2.0, 0.0]])]
        >>> spread = unit_spread(
        ...     stack_by_shape(gradients), list(map(GradientValues, gradients))
        ... )
        >>> spread.numpy().round(2)
        array([0.  , 0.71], dtype=float32)
    """
    parts, places = [], []
    for rows in stacks:
        shape = rows.shape or ()
        if gradients[rows.places[0]].is_sparse:
            continue
        if len(shape) >= 2 and shape[-1] > 1:
            parts.append(_spread(rows.values, shape[-1]))
            places += rows.places
    position = {place: index for index, place in enumerate(places)}
    order = [position.get(n, len(places)) for n in range(len(gradients))]
    nan = tf.constant([np.nan], tf.float32)
    return tf.gather(tf.concat([*parts, nan], axis=0), order)


def _spread(values: tf.Tensor, units: int) -> tf.Tensor:
    """Measure the spread of n tensors, given as rows `[n, inputs * units]`."""
    count, size = values.shape.as_list()
    by_unit = tf.reshape(values, [count, size // units, units])
    # float64, since the square of 1e-23 is zero in float32.
    compared = tf.cast(by_unit[:, :, :MOST_UNITS], tf.float64)
    centered = compared - tf.reduce_mean(compared, axis=2, keepdims=True)
    squares = [tf.reduce_sum(t * t, axis=[1, 2]) for t in (centered, compared)]
    return tf.cast(tf.sqrt(squares[0]) / tf.sqrt(squares[1]), tf.float32)
