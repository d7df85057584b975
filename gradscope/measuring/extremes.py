"""Of gradients the largest number, and how many are zero or not finite."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.measuring.stacking import Rows, in_order, in_turn


def extremes(
    found: list[Rows], norms: tf.Tensor, count: int, fused: bool = False
) -> tf.Tensor:
    """Returns the largest absolute values of V gradients, how many of their
    elements are zero, and how many NaN or infinite, float32 `[3, V]`.

    Args:
        found: Gradients side by side: see `alike`.
        norms: Of the V gradients, NaN for None.
        count: V.
        fused: Whether XLA makes one pass of operations that follow each other.
    """
    if not found:
        return tf.fill([3, count], np.float32(np.nan))
    places = [place for rows in found for place in rows.places]
    finite = tf.reduce_all(tf.math.is_finite(tf.gather(norms, places)))
    counts = _counts(found, finite, fused)
    zeros, bad = counts[0] - _numbers([r.padding for r in found]), counts[1]
    largest = _largest(found, fused)
    return in_order(tf.stack([largest, zeros, bad]), places, count)


def _counts(found: list[Rows], finite, fused: bool) -> tf.Tensor:
    """Returns how many elements of n rows are zero, and how many NaN or
    infinite, `[2, n]`.

    Args:
        finite: Whether all are finite, bool scalar.
        fused: Without, four passes are saved where all is finite: a mask and
            its sum take .9 ms of a million floats, the sum of signs .3.
    """
    if fused:
        counts = [_counted_at_once(rows.values) for rows in found]
        return tf.concat(counts, axis=1)

    def quickly():
        zeros = _zeros_of_finite(found)
        return tf.stack([zeros, tf.zeros_like(zeros)])

    def exactly():
        return tf.concat(in_turn(found, _counted_apart), axis=1)

    return tf.cond(finite, quickly, exactly)


def _zeros_of_finite(found: list[Rows]) -> tf.Tensor:
    """Returns the numbers of zeros; of more than 2^24 numbers that are not
    zero, to 1e-7 of them."""

    def others(x):
        signs = tf.cast(tf.square(tf.sign(x)), tf.float32)
        return tf.reduce_sum(signs, axis=1)

    sizes = [rows.values.shape.as_list() for rows in found]
    if any(width is None for _, width in sizes):
        shapes = [tf.shape(rows.values) for rows in found]
        sizes = [(n, s[1]) for (n, _), s in zip(sizes, shapes, strict=True)]
    every = _numbers([[width] * count for count, width in sizes])
    return tf.maximum(every - _numbers(in_turn(found, others)), 0.0)


def _numbers(parts: list) -> tf.Tensor:
    """Returns arrays or tensors one after the other, float32."""
    if any(tf.is_tensor(n) for n in tf.nest.flatten(parts)):
        numbers = [tf.cast(part, tf.float32) for part in parts]
        return tf.concat(numbers, axis=0)
    return tf.constant(np.concatenate(parts), tf.float32)


def _counted_apart(x) -> tf.Tensor:
    bad = tf.logical_not(tf.math.is_finite(x))
    masks = [tf.equal(x, tf.zeros([], x.dtype)), bad]
    return tf.stack(
        [tf.reduce_sum(tf.cast(m, tf.float32), axis=1) for m in masks]
    )


def _counted_at_once(x) -> tf.Tensor:
    """Returns both counts from one sum of integers: 2^32 zeros are one more
    that is not finite."""
    one, many = tf.constant(1, tf.int64), tf.constant(2**32, tf.int64)
    none = tf.zeros_like(one)
    zero = tf.where(tf.equal(x, tf.zeros([], x.dtype)), one, none)
    each = tf.where(tf.math.is_finite(x), zero, many)
    total = tf.reduce_sum(each, axis=1)
    return tf.cast(tf.stack([total % many, total // many]), tf.float32)


def _largest(found: list[Rows], fused: bool) -> tf.Tensor:
    """Returns the largest absolute value of each row, 0 of an empty one.

    Anything if there is a NaN: XLA leaves it out on CPUs, TensorFlow does not.
    """
    every = [rows.values for rows in found]
    if fused:
        largest = _numbers([tf.reduce_max(tf.abs(x), axis=1) for x in every])
        return tf.maximum(largest, 0.0)
    # Both ends are read, and nothing of the rows' size is written.
    lowest = _numbers([tf.reduce_min(x, axis=1) for x in every])
    highest = _numbers([tf.reduce_max(x, axis=1) for x in every])
    return tf.maximum(tf.maximum(highest, -lowest), 0.0)
