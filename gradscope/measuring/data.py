"""Inputs, outputs and targets: whether the numbers are as one believes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.format.columns import DATA_COLUMNS
from gradscope.measuring import sampling


def measure(tensors: list) -> tf.Tensor:
    """Returns `DATA_COLUMNS` of n tensors, float32 `[n, 6]`: mean, root mean
    square, variation, smallest and largest number, and the share that is NaN
    or infinite.

    Args:
        tensors: Of any numeric dtype; NaN for an empty one.
    """
    tensors = [_float(sampling.first(t, 2)) for t in tensors]
    flat = [tf.reshape(t, [-1]) for t in tensors]
    count = _stack([tf.size(x) for x in flat])
    # Not 1 - the mean of what is finite: XLA multiplies with the inverse of
    # the count, and 1440 times 1 / 1440 is not 1.
    bad = [_float(tf.logical_not(tf.math.is_finite(x))) for x in flat]
    mean = _stack([tf.reduce_sum(x) for x in flat]) / count
    # TensorFlow and XLA disagree about the maximum of a NaN.
    nan = tf.where(tf.math.is_nan(mean), mean, 0.0)
    columns = {
        "data_mean": mean,
        "data_rms": tf.sqrt(
            2.0 * _stack([tf.nn.l2_loss(x) for x in flat]) / count
        ),
        "data_variation": variation(tensors),
        "data_min": _stack([tf.reduce_min(x) for x in flat]) + nan,
        "data_max": _stack([tf.reduce_max(x) for x in flat]) + nan,
        "data_nonfinite": _stack([tf.reduce_sum(x) for x in bad]) / count,
    }
    return tf.stack([columns[name] for name in DATA_COLUMNS], axis=1)


def variation(tensors: list) -> tf.Tensor:
    """Returns how much examples differ: the root mean square of what is left
    of them without their mean, float32 `[n]`.

    It is 0 where all are alike, and NaN for fewer than two examples.

    Args:
        tensors: n of `[examples, ...]` of any numeric dtype; NaN for a scalar.
    """
    squares, sizes, counts = [], [], []
    for examples in tensors:
        if not examples.shape.rank:
            examples = tf.reshape(examples, [1])
        examples = _float(examples)
        # The mean of equal numbers may be rounded, their difference is 0.
        examples -= examples[:1]
        rest = examples - tf.reduce_mean(examples, axis=0, keepdims=True)
        squares.append(2.0 * tf.nn.l2_loss(rest))
        sizes.append(tf.size(rest))
        counts.append(tf.shape(examples)[0])
    found = tf.sqrt(_stack(squares) / _stack(sizes))
    return tf.where(_stack(counts) > 1, found, np.float32(np.nan))


def _stack(scalars: list) -> tf.Tensor:
    return _float(tf.stack(scalars))


def _float(tensor) -> tf.Tensor:
    return tf.cast(tensor, tf.float32)
