"""Inputs, outputs and targets: whether the numbers are as one believes."""

from __future__ import annotations

import tensorflow as tf

#: Numbers that are looked at in one step: of the first examples. Five passes
#: over a batch of 128 images of 224 x 224 would take longer than many a step.
MOST = 2**18


def measure(tensor: tf.Tensor) -> tf.Tensor:
    """Returns `DATA_COLUMNS` of a tensor, float32: mean, root mean square,
    smallest and largest number, and the share that is NaN or infinite.

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
            tf.reduce_min(flat) + nan,
            tf.reduce_max(flat) + nan,
            1.0 - tf.reduce_mean(finite),
        ]
    )


def first(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the first examples of a batch, as many as hold `MOST` numbers,
    and at least one."""
    if not tensor.shape.rank:
        return tensor
    size = tensor.shape[1:].num_elements()
    if size is None:
        return tensor[:1]
    return tensor[: max(1, MOST // max(1, size))]
