"""Histograms on the device: one counting pass, no minimum or maximum first."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.format import histogram_buckets
from gradscope.measuring.stacking import Moved, Rows, in_turn

_BITS = 10
_SHIFT = 32 - _BITS
_NONFINITE_BITS = 510  # exponent 255


def counts(kinds: list[list[Rows | Moved]], places: list[int]) -> tf.Tensor:
    """Returns the histograms of several tensors, float32
    `[kinds * places, COUNT]`; of nothing where there is no tensor.

    `DenseBincount` over the top bits takes 1.05 ns per element on a CPU where
    `tf.summary.histogram` takes 68, and it compiles under XLA. Counts are
    exact up to 2^24 in a bucket, where float32 ends.

    Args:
        kinds: For each kind its tensors side by side: see `alike`.
        places: Which tensors of each kind.
    """
    raw = tf.concat([_raw_counts(kind, places) for kind in kinds], axis=0)
    raw = tf.cast(raw, tf.float32)
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


def _raw_counts(found: list[Rows | Moved], places: list[int]) -> tf.Tensor:
    """Returns how many elements have each value of the top bits, int32
    `[places, 1024]`."""
    chosen = [rows for rows in found if set(rows.places) & set(places)]
    order = [place for rows in chosen for place in rows.places]
    position = {place: index for index, place in enumerate(order)}
    counted = in_turn(chosen, _counted)
    parts = [
        _without_padding(one, rows)
        for one, rows in zip(counted, chosen, strict=True)
    ]
    if set(places) - set(order):
        parts.append(tf.zeros([1, 1 << _BITS], tf.int32))
    whole = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
    if order == list(places):
        return whole
    return tf.gather(whole, [position.get(p, len(order)) for p in places])


def _counted(tensor) -> tf.Tensor:
    if tensor.dtype == tf.float64:
        # A finite value beyond float32 must not become an infinite one.
        limit = tf.constant(tf.float32.max, tf.float64)
        inside = tf.clip_by_value(tensor, -limit, limit)
        tensor = tf.where(tf.math.is_finite(tensor), inside, tensor)
    # A shift of unsigned numbers leaves no sign.
    bits = tf.bitcast(tf.cast(tensor, tf.float32), tf.uint32)
    top = tf.bitcast(tf.bitwise.right_shift(bits, _SHIFT), tf.int32)
    is_one = tensor.shape.as_list()[0] == 1
    if is_one:  # is counted by all threads, two by two
        top = tf.reshape(top, [-1])
    raw = tf.raw_ops.DenseBincount(
        input=top, size=1 << _BITS, weights=tf.constant([], tf.int32)
    )
    return raw[tf.newaxis] if is_one else raw


def _without_padding(raw, rows: Rows | Moved) -> tf.Tensor:
    if isinstance(rows.padding, np.ndarray) and not rows.padding.any():
        return raw
    zero = tf.one_hot(0, 1 << _BITS, dtype=tf.int32)
    return raw - zero * tf.cast(rows.padding, tf.int32)[:, tf.newaxis]


def _in_range(raw) -> tf.Tensor:
    """Returns `[n, PER_SIGN]`: the outermost buckets take all beyond them."""
    first = histogram_buckets.FIRST_BITS
    last = first + histogram_buckets.PER_SIGN - 1
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
