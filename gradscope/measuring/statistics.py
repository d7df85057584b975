"""Statistics of gradients, weights and updates.

`measure` runs on the device and returns what must be reduced there; the rest
(`complete`) follows from it by arithmetic and is done on the host.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.layout import MEASURED
from gradscope.measuring.gradients import Touched
from gradscope.measuring.unit_spread import unit_spread
from gradscope.schema import VARIABLE_COLUMNS


def measure(
    gradients: list[Touched | None],
    clipped: list[Touched | None] | None,
    before: list,
    after: list,
    missing: list[bool | None],
) -> tf.Tensor:
    """Returns the measured statistics of a step, float32 `[V, MEASURED]`.

    Args:
        gradients: V gradients before clipping, None where a variable has
            none.
        clipped: V gradients after clipping, None where clipping is off.
        before: The V weights before the step, None for a variable that is
            no part of it.
        after: The V weights after it.
        missing: Whether there should be a gradient but is none; None for NaN.
    """
    values = [g and g.values for g in gradients]
    clipped_values = [g and g.values for g in clipped or [None] * len(before)]
    flags = [np.nan if flag is None else float(flag) for flag in missing]
    columns = [
        _stack(values, norm),
        _stack(values, largest),
        _stack(gradients, _zeros_touched),
        _stack(gradients, lambda g: tf.cast(g.size, tf.float32)),
        _stack(values, nonfinite),
        unit_spread(gradients, before),
        _stack(clipped_values, norm),
        _stack(before, norm),
        _stack(list(map(update, before, after)), norm),
        tf.constant(flags, tf.float32),
    ]
    return tf.stack(columns, axis=1)


def update(before, after) -> tf.Tensor | None:
    """Returns how far a step moved a weight, at least in float32.

    The difference of two bfloat16 numbers can need more than its 8 bits. None
    for a weight that is None.
    """
    if before is None:
        return None
    if before.dtype.size < 4:
        before, after = (tf.cast(t, tf.float32) for t in (before, after))
    return after - before


def norm(tensor) -> tf.Tensor:
    """Returns the L2 norm, a float32 scalar.

    Squares are added in float64: in float32 a gradient of 1e-23, which a deep
    sigmoid network reaches, squares to zero, and one of 1e19 to infinity.
    """
    squares = tf.nn.l2_loss(tf.cast(tensor, tf.float64))
    return tf.cast(tf.sqrt(2.0 * squares), tf.float32)


def largest(tensor) -> tf.Tensor:
    """Returns the largest absolute value, a float32 scalar; 0 if empty.

    Anything if there is a NaN: XLA leaves it out on CPUs, TensorFlow does not.
    """
    if tensor.shape.num_elements() == 0:
        return tf.constant(0.0)
    return tf.cast(tf.reduce_max(tf.abs(tensor)), tf.float32)


def zeros(tensor) -> tf.Tensor:
    """Returns how many elements are exactly zero, a float32 scalar."""
    return _count(tf.equal(tensor, tf.zeros([], tensor.dtype)))


def nonfinite(tensor) -> tf.Tensor:
    """Returns how many elements are NaN or infinite, a float32 scalar."""
    return _count(tf.logical_not(tf.math.is_finite(tensor)))


def complete(measured: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns all statistics of variables, float32 `[V, VARIABLE_COLUMNS]`.

    A ratio to a weight of norm zero is infinite, and NaN where the other norm
    is zero too. What belongs to a missing gradient is NaN. Of a sparse
    gradient only the rows that it has count for its rms and its zeros. A
    gradient that is not finite in any unit has no `gradient_unit_spread`.

    Args:
        measured: `[V, MEASURED]`, the result of `measure`.
        sizes: Number of elements of the V variables.
    """
    value = dict(zip(MEASURED, measured.astype(np.float64).T, strict=True))
    with np.errstate(all="ignore"):
        # The norm is NaN just where an element is.
        value["gradient_max"] = np.where(
            np.isnan(value["gradient_norm"]), np.nan, value["gradient_max"]
        )
        value["gradient_unit_spread"] = np.where(
            value["gradient_nonfinite"] == 0,
            value["gradient_unit_spread"],
            np.nan,
        )
        touched = value["gradient_size"]
        value["gradient_rms"] = value["gradient_norm"] / np.sqrt(touched)
        value["gradient_zero_fraction"] = value["gradient_zeros"] / touched
        value["weight_rms"] = value["weight_norm"] / np.sqrt(sizes)
        value["gradient_to_weight_ratio"] = (
            value["gradient_norm"] / value["weight_norm"]
        )
        value["update_to_weight_ratio"] = (
            value["update_norm"] / value["weight_norm"]
        )
        columns = [value[name] for name in VARIABLE_COLUMNS]
        return np.stack(columns, axis=1).astype(np.float32)


def _zeros_touched(gradient: Touched) -> tf.Tensor:
    padding = tf.cast(gradient.padding, tf.float32)
    return zeros(gradient.values) - padding


def _count(mask) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.float32))


def _stack(tensors, statistic) -> tf.Tensor:
    """Returns one statistic of each tensor, float32 `[V]`; NaN for None."""
    if all(t is None for t in tensors):
        return tf.fill([len(tensors)], np.float32(np.nan))
    return tf.stack(
        [
            tf.constant(np.nan, tf.float32) if t is None else statistic(t)
            for t in tensors
        ]
    )
