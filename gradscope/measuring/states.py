"""Statistics of dropout, batch norm and other layers with a state.

Batch norm uses the *batch statistics* in training and the *moving statistics*
in inference. If they are far apart, the model behaves differently in inference
than in training.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

#: Keras's default epsilon of batch norm, added to variances. With it, the
#: distance of a channel without variance (after a dead unit) is finite.
EPSILON = 1e-3

#: Most channels whose moving statistics are recorded; wider layers are sampled
#: with a stride.
MOST_CHANNELS = 256


def dropped_fraction(mask: tf.Tensor) -> tf.Tensor:
    """Measure the share of units that a dropout layer dropped.

    Args:
        mask: Whether each unit was retained, bool of any shape.

    Examples:
        >>> float(dropped_fraction(tf.constant([True, False, True, True])))
        0.25
    """
    return 1.0 - tf.reduce_mean(tf.cast(mask, tf.float32))


def mean_distance(
    mean: tf.Tensor,
    variance: tf.Tensor,
    moving_mean: tf.Tensor,
    examples: tf.Tensor,
) -> tf.Tensor:
    """Measure the distance of the batch mean from the moving mean.

    The distance is in standard deviations of the batch, as root mean square
    over the channels. The mean of n normal examples differs from the true mean
    by chance: the expected square of the difference over the sample variance
    is 1/(n-3) (Student's t), which is subtracted. (The positions of an image
    are not independent, so only examples count.)

    Args:
        mean, variance: Statistics of the batch, `[channels]`.
        moving_mean: Moving mean before this step, `[channels]`.
        examples: Number of examples in the batch, float32 scalar.

    Returns:
        float32 scalar, NaN for three examples or fewer.

    Examples:
        The means are 3 standard deviations apart: but for `EPSILON` the
        square of the distance is 9, less 1/100 for chance.

        >>> mean, variance = tf.constant([5.0]), tf.constant([1.0])
        >>> distance = mean_distance(mean, variance, tf.constant([2.0]), 103.0)
        >>> round(float(distance), 2)  # the root of 8.98
        3.0
    """
    mean, variance, moving_mean = map(_float, (mean, variance, moving_mean))
    scale = variance + EPSILON
    squared = tf.reduce_mean((mean - moving_mean) ** 2 / scale)
    noise = tf.reduce_mean(variance / scale)
    return _without_noise(squared, noise, examples)


def variance_distance(
    variance: tf.Tensor, moving_variance: tf.Tensor, examples: tf.Tensor
) -> tf.Tensor:
    """Measure the distance of the batch variance from the moving variance.

    The distance is the root mean square over the channels of the logarithm of
    their ratio. The logarithm of the variance of n normal numbers varies by
    chance, too (Bartlett and Kendall 1946): its mean square is within 3 % of
    2/(n-3) for n >= 8, which is subtracted.

    Args:
        variance: Variance of the batch, `[channels]`.
        moving_variance: Moving variance before this step, `[channels]`.
        examples: Number of examples in the batch, float32 scalar.

    Returns:
        float32 scalar, NaN for three examples or fewer.

    Examples:
        >>> variance, moving = tf.constant([np.e]), tf.constant([1.0])
        >>> distance = variance_distance(variance, moving, 1e6)
        >>> round(float(distance), 2)  # the logarithm of the ratio, which is e
        1.0
    """
    scale = _float(variance) + EPSILON
    ratio = scale / (_float(moving_variance) + EPSILON)
    noise = 2.0 * tf.reduce_mean((_float(variance) / scale) ** 2)
    squared = tf.reduce_mean(tf.math.log(ratio) ** 2)
    return _without_noise(squared, noise, examples)


def _without_noise(
    squared: tf.Tensor, noise: tf.Tensor, examples: tf.Tensor
) -> tf.Tensor:
    """Compute a distance from its mean square, without the expected noise.

    NaN for three examples or fewer, for which the noise is undefined.
    """
    # By chance the difference may be smaller than expected; then there is no
    # distance that could be told from none.
    distance = tf.sqrt(tf.maximum(squared - noise / (examples - 3.0), 0.0))
    return tf.where(examples > 3.0, distance, np.float32(np.nan))


def sample(values: tf.Tensor) -> tf.Tensor:
    """Select the numbers of a variable to record, `[sample_size(size)]`."""
    flat = tf.reshape(_float(values), [-1])
    return flat[:: _stride(flat.shape.num_elements())]


def sample_size(size: int) -> int:
    """Compute how many numbers of a variable of some size are recorded.

    Examples:
        >>> [sample_size(size) for size in (64, 512, 600)]  # strides 1, 2, 3
        [64, 256, 200]
    """
    return len(range(0, size, _stride(size)))


def _stride(size: int) -> int:
    return max(1, -(-size // MOST_CHANNELS))


def _float(tensor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tensor, tf.float32)
