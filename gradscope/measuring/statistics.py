"""Statistics of gradients, weights and updates.

`measure` runs on the device and returns what must be reduced there; the rest
(`complete`) follows from it by arithmetic and is done on the host.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.schema import VARIABLE_COLUMNS

MEASURED = (
    "gradient_norm",
    "gradient_max",
    "gradient_zeros",
    "gradient_nonfinite",
    "weight_norm",
    "update_norm",
    "gradient_missing",
)


def measure(gradients: list, before: list, after: list) -> tf.Tensor:
    """Returns the measured statistics of a step, float32 `[V, MEASURED]`.

    Args:
        gradients: V dense float tensors of any shape, None where a variable
            has no gradient.
        before: The V weights before the step.
        after: The V weights after it.
    """
    missing = [1.0 if g is None else 0.0 for g in gradients]
    columns = [
        _stack(gradients, norm),
        _stack(gradients, largest),
        _stack(gradients, zeros),
        _stack(gradients, nonfinite),
        _stack(before, norm),
        _stack(list(map(update, before, after)), norm),
        tf.constant(missing, tf.float32),
    ]
    return tf.stack(columns, axis=1)


def update(before, after) -> tf.Tensor:
    """Returns how far a step moved a weight, at least in float32.

    The difference of two bfloat16 numbers can need more than its 8 bits.
    """
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
    is zero too. What belongs to a missing gradient is NaN.

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
        value["gradient_rms"] = value["gradient_norm"] / np.sqrt(sizes)
        value["weight_rms"] = value["weight_norm"] / np.sqrt(sizes)
        value["gradient_zero_fraction"] = value["gradient_zeros"] / sizes
        value["gradient_to_weight_ratio"] = (
            value["gradient_norm"] / value["weight_norm"]
        )
        value["update_to_weight_ratio"] = (
            value["update_norm"] / value["weight_norm"]
        )
        columns = [value[name] for name in VARIABLE_COLUMNS]
        return np.stack(columns, axis=1).astype(np.float32)


def _count(mask) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.float32))


def _stack(tensors, statistic) -> tf.Tensor:
    """Returns one statistic of each tensor, float32 `[V]`; NaN for None."""
    return tf.stack(
        [
            tf.constant(np.nan, tf.float32) if t is None else statistic(t)
            for t in tensors
        ]
    )
