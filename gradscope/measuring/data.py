"""Inputs, outputs and targets: whether the numbers are as one believes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

#: Numbers that are looked at in one step: of the first examples. Five passes
#: over a batch of 128 images of 224 x 224 would take longer than many a step.
MOST = 2**18


def measure(tensor: tf.Tensor) -> tf.Tensor:
    """Returns `DATA_COLUMNS` of a tensor, float32: mean, root mean square,
    variation, smallest and largest number, and the share that is NaN or
    infinite.

    Args:
        tensor: Of any numeric dtype; NaN if it is empty.
    """
    flat = tf.reshape(tf.cast(first(tensor), tf.float32), [-1])
    finite = tf.cast(tf.math.is_finite(flat), tf.float32)
    mean = tf.reduce_mean(flat)
    # TensorFlow and XLA disagree about the maximum of a NaN.
    nan = tf.where(tf.math.is_nan(mean), mean, 0.0)
    return tf.stack(
        [
            mean,
            tf.sqrt(tf.reduce_mean(flat * flat)),
            variation(first(tensor, least=2)),
            tf.reduce_min(flat) + nan,
            tf.reduce_max(flat) + nan,
            # Not 1 - mean: XLA multiplies with the inverse of the count, and
            # 1440 times 1 / 1440 is not 1.
            tf.reduce_mean(1.0 - finite),
        ]
    )


def variation(examples: tf.Tensor) -> tf.Tensor:
    """Returns how much examples differ: the root mean square of what is left
    of them without their mean, a float32 scalar.

    It is 0 where all are alike, and NaN for fewer than two examples.

    Args:
        examples: `[examples, ...]` of any numeric dtype; NaN for a scalar.
    """
    if not examples.shape.rank:
        return tf.constant(np.nan, tf.float32)
    examples = tf.cast(examples, tf.float32)
    # The mean of equal numbers may be rounded, their difference is 0.
    examples -= examples[:1]
    rest = examples - tf.reduce_mean(examples, axis=0, keepdims=True)
    found = tf.sqrt(tf.reduce_mean(rest * rest))
    return tf.where(tf.shape(examples)[0] > 1, found, np.float32(np.nan))


def first(tensor: tf.Tensor, least: int = 1) -> tf.Tensor:
    """Returns the first examples of a batch, as many as hold `MOST` numbers,
    and at least as many as asked for."""
    if not tensor.shape.rank:
        return tensor
    size = tensor.shape[1:].num_elements()
    if size is None:
        return tensor[:least]
    return tensor[: max(least, MOST // max(1, size))]
