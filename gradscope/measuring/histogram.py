"""Histograms on the device: one counting pass, no minimum or maximum first."""

from __future__ import annotations

import tensorflow as tf

from gradscope.measuring import buckets
from gradscope.measuring.gradients import Touched

_BITS = 10
_SHIFT = 32 - _BITS
_NONFINITE_BITS = 510  # exponent 255


def counts(tensors: list) -> tf.Tensor:
    """Returns the histograms of several tensors, float32 `[n, COUNT]`.

    `DenseBincount` over the top bits takes 1.05 ns per element on a CPU where
    `tf.summary.histogram` takes 68, and it compiles under XLA. Counts are
    exact up to 2^24 in a bucket, where float32 ends.

    Args:
        tensors: Float tensors of any shape, `gradients.Touched` values, or
            None for a histogram of nothing.
    """
    raw = tf.cast(tf.stack([_raw_counts(t) for t in tensors]), tf.float32)
    half = 1 << (_BITS - 1)
    positive, negative = raw[:, :half], raw[:, half:]
    return tf.concat(
        [
            tf.reverse(_in_range(negative), [1]),
            _sum(positive[:, :2]) + _sum(negative[:, :2]),
            _in_range(positive),
            _sum(positive[:, _NONFINITE_BITS:])
            + _sum(negative[:, _NONFINITE_BITS:]),
        ],
        axis=1,
    )


def _raw_counts(tensor) -> tf.Tensor:
    """Returns how many elements have each value of the top bits."""
    if tensor is None:
        return tf.zeros([1 << _BITS], tf.int32)
    if isinstance(tensor, Touched):
        zero = tf.one_hot(0, 1 << _BITS, dtype=tf.int32)
        padding = tf.cast(tensor.padding, tf.int32)
        return _raw_counts(tensor.values) - zero * padding
    tensor = tf.reshape(tensor, [-1])
    if tensor.dtype == tf.float64:
        # A finite value beyond float32 must not become an infinite one.
        limit = tf.constant(tf.float32.max, tf.float64)
        inside = tf.clip_by_value(tensor, -limit, limit)
        tensor = tf.where(tf.math.is_finite(tensor), inside, tensor)
    bits = tf.bitcast(tf.cast(tensor, tf.float32), tf.int32)
    top = tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(bits, _SHIFT), (1 << _BITS) - 1
    )
    return tf.raw_ops.DenseBincount(
        input=top, size=1 << _BITS, weights=tf.constant([], tf.int32)
    )


def _in_range(raw) -> tf.Tensor:
    """Returns `[n, PER_SIGN]`: the outermost buckets take all beyond them."""
    first = buckets.FIRST_BITS
    last = first + buckets.PER_SIGN - 1
    return tf.concat(
        [
            _sum(raw[:, 2 : first + 1]),
            raw[:, first + 1 : last],
            _sum(raw[:, last:_NONFINITE_BITS]),
        ],
        axis=1,
    )


def _sum(raw) -> tf.Tensor:
    return tf.reduce_sum(raw, axis=1, keepdims=True)
