"""Layers between the weights: what dropout drops, what batch norm knows.

Batch norm computes with the *batch statistics* in training and with the
*moving statistics* in inference. Where these are far apart, the network that
was trained is not the one that is used (seed 3 of the project: training error
1e-6, after a restore .002 to .45).
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

#: What Keras adds to a variance before it divides by its root. A channel that
#: does not vary (behind a dead unit) is not infinitely far from anything.
EPSILON = 1e-3

#: Channels whose moving statistics are kept: of wider layers every so many.
MOST_CHANNELS = 256


def dropped(kept: tf.Tensor) -> tf.Tensor:
    """Returns the share of units that a dropout layer really dropped.

    Args:
        kept: Its mask, bool of any shape.
    """
    return 1.0 - tf.reduce_mean(tf.cast(kept, tf.float32))


def mean_distance(mean, variance, moving_mean, examples) -> tf.Tensor:
    """Returns how far the batch's mean is from the moving one, in standard
    deviations of the batch: root mean square over the channels.

    Of n normal examples the mean deviates from the true one in any case: the
    square over the variance found has the mean 1/(n-3) (that of Student's t),
    which is taken out. (Positions of one image depend on each other, so that
    they do not count.)

    Args:
        mean, variance: Of the batch, `[channels]`.
        moving_mean: Before this step, `[channels]`.
        examples: Of the batch, float32 scalar.

    Returns:
        float32 scalar, NaN for three examples or fewer.
    """
    mean, variance, moving_mean = map(_float, (mean, variance, moving_mean))
    scale = variance + EPSILON
    squared = tf.reduce_mean((mean - moving_mean) ** 2 / scale)
    noise = tf.reduce_mean(variance / scale)
    return _without_noise(squared, noise, examples)


def variance_distance(variance, moving_variance, examples) -> tf.Tensor:
    """Returns how far the batch's variance is from the moving one: the root
    mean square over the channels of the logarithm of their ratio.

    The logarithm of a variance of n normal numbers varies, too (Bartlett and
    Kendall 1946): its mean square is within 3 % of 2/(n-3) from n = 8 on,
    which is taken out.

    Args:
        variance: Of the batch, `[channels]`.
        moving_variance: Before this step, `[channels]`.
        examples: Of the batch, float32 scalar.
    """
    scale = _float(variance) + EPSILON
    ratio = scale / (_float(moving_variance) + EPSILON)
    noise = 2.0 * tf.reduce_mean((_float(variance) / scale) ** 2)
    squared = tf.reduce_mean(tf.math.log(ratio) ** 2)
    return _without_noise(squared, noise, examples)


def _without_noise(squared, noise, examples) -> tf.Tensor:
    """Returns a distance from its mean square; NaN where the examples are too
    few to tell it from noise."""
    rest = tf.sqrt(tf.maximum(squared - noise / (examples - 3.0), 0.0))
    return tf.where(examples > 3.0, rest, np.float32(np.nan))


def sample(values: tf.Tensor) -> tf.Tensor:
    """Returns the numbers of a variable to be kept, float32
    `[sampled(size)]`."""
    flat = tf.reshape(_float(values), [-1])
    return flat[:: _stride(flat.shape.num_elements())]


def sampled(size: int) -> int:
    """Returns how many of a variable's numbers are kept."""
    return len(range(0, size, _stride(size)))


def _stride(size: int) -> int:
    return max(1, -(-size // MOST_CHANNELS))


def _float(tensor) -> tf.Tensor:
    return tf.cast(tensor, tf.float32)
