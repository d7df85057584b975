"""Statistics of the model's inputs, outputs and targets."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.format.columns import DATA_COLUMNS
from gradscope.measuring import sampling


def measure(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Measure `DATA_COLUMNS` of n tensors, float32 `[n, 8]`.

    The columns are mean, root mean square, variation, smallest and largest
    number, the share of NaN and infinity, the share of zeros, and the number of
    examples. An empty tensor has NaN, and no examples.

    Args:
        tensors: n tensors of any shape and numeric dtype.

    Examples:
        >>> row = measure([tf.constant([[1.0, 2.0], [3.0, 6.0]])])[0].numpy()
        >>> numbers = dict(zip(DATA_COLUMNS, row.tolist()))
        >>> numbers["data_mean"], numbers["data_min"], numbers["data_max"]
        (3.0, 1.0, 6.0)
        >>> round(numbers["data_rms"], 3)  # the root of (1 + 4 + 9 + 36) / 4
        3.536
    """
    tensors = [_float(sampling.first_examples(t, 2)) for t in tensors]
    flat = [tf.reshape(t, [-1]) for t in tensors]
    count = _stack([tf.size(x) for x in flat])
    # Not 1 - the share of finite numbers: XLA multiplies by the inverse of the
    # count, and 1440 * (1 / 1440) is not 1 in float32.
    nonfinite = [_float(tf.logical_not(tf.math.is_finite(x))) for x in flat]
    zeros = [_float(tf.equal(x, 0.0)) for x in flat]
    mean = _stack([tf.reduce_sum(x) for x in flat]) / count
    # The maximum of a NaN is defined differently in TensorFlow and in XLA.
    nan = tf.where(tf.math.is_nan(mean), mean, 0.0)
    columns = {
        "data_mean": mean,
        "data_rms": tf.sqrt(
            2.0 * _stack([tf.nn.l2_loss(x) for x in flat]) / count
        ),
        "data_variation": variation(tensors),
        "data_min": _stack([tf.reduce_min(x) for x in flat]) + nan,
        "data_max": _stack([tf.reduce_max(x) for x in flat]) + nan,
        "data_nonfinite": _stack([tf.reduce_sum(x) for x in nonfinite]) / count,
        "data_zero_fraction": _stack([tf.reduce_sum(x) for x in zeros]) / count,
        "data_examples": _stack([_count(x) for x in tensors]),
    }
    return tf.stack([columns[name] for name in DATA_COLUMNS], axis=1)


def variation(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Measure how much examples differ from their mean, float32 `[n]`.

    The variation is the root mean square of the examples minus their mean. 0 if
    all examples are equal, and NaN for fewer than two examples.

    Args:
        tensors: n tensors `[examples, ...]` of any numeric dtype; a scalar
            counts as one example.

    Examples:
        The mean of the examples is (2, 5); they differ from it by 1 and by 2 in
        either direction, and the root of (1 + 1 + 4 + 4) / 4 is 1.58.

        >>> examples = tf.constant([[1.0, 3.0], [3.0, 7.0]])
        >>> variation([examples, examples[:1]]).numpy().round(2)
        array([1.58,  nan], dtype=float32)
    """
    squares, sizes, counts = [], [], []
    for examples in tensors:
        if not examples.shape.rank:
            examples = tf.reshape(examples, [1])
        examples = _float(examples)
        # The mean of equal numbers may be rounded, but their difference is 0.
        examples -= examples[:1]
        centered = examples - tf.reduce_mean(examples, axis=0, keepdims=True)
        squares.append(2.0 * tf.nn.l2_loss(centered))
        sizes.append(tf.size(centered))
        counts.append(tf.shape(examples)[0])
    root_mean_square = tf.sqrt(_stack(squares) / _stack(sizes))
    return tf.where(_stack(counts) > 1, root_mean_square, np.float32(np.nan))


def _count(tensor: tf.Tensor) -> tf.Tensor:
    """Number of examples of a tensor; a scalar is one."""
    return tf.shape(tensor)[0] if tensor.shape.rank else tf.constant(1)


def _stack(scalars: list) -> tf.Tensor:
    return _float(tf.stack(scalars))


def _float(tensor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tensor, tf.float32)
