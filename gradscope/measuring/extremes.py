"""The largest number of gradients, and counts of zeros and non-finite ones."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.measuring.stacking import Rows, map_in_turn, scatter_columns


def extremes(
    stacks: list[Rows], norms: tf.Tensor, count: int, fused: bool = False
) -> tf.Tensor:
    """Measure the largest absolute value of V gradients, and count their
    zeros and non-finite elements, float32 `[3, V]`.

    Args:
        stacks: The gradients, see `stacking`.
        norms: Norms of the V gradients, NaN for a missing one.
        count: V.
        fused: Whether XLA fuses consecutive operations into one pass.
    """
    if not stacks:
        return tf.fill([3, count], np.float32(np.nan))
    places = [place for rows in stacks for place in rows.places]
    finite = tf.reduce_all(tf.math.is_finite(tf.gather(norms, places)))
    counts = _counts(stacks, finite, fused)
    padding = _concat([rows.padding for rows in stacks])
    zeros, nonfinite = counts[0] - padding, counts[1]
    largest = _largest(stacks, fused)
    return scatter_columns(tf.stack([largest, zeros, nonfinite]), places, count)


def _counts(stacks: list[Rows], finite: tf.Tensor, fused: bool) -> tf.Tensor:
    """Count the zeros and the non-finite elements of n rows, `[2, n]`.

    Args:
        stacks: The rows.
        finite: Whether all elements are finite, bool scalar.
        fused: Whether XLA fuses operations. If not, finite rows need a single
            pass for the sum of signs, instead of four for two masks and sums.
    """
    if fused:
        counts = [_count_in_one_sum(rows.values) for rows in stacks]
        return tf.concat(counts, axis=1)

    def count_finite():
        zeros = _zeros_of_finite(stacks)
        return tf.stack([zeros, tf.zeros_like(zeros)])

    def count_any():
        return tf.concat(map_in_turn(stacks, _count_in_two_sums), axis=1)

    return tf.cond(finite, count_finite, count_any)


def _zeros_of_finite(stacks: list[Rows]) -> tf.Tensor:
    """Count the zeros of finite rows.

    The count is exact up to 2^24 nonzero elements in a row, and to 1e-7 of them
    beyond.
    """

    def nonzeros(x: tf.Tensor) -> tf.Tensor:
        signs = tf.cast(tf.square(tf.sign(x)), tf.float32)
        return tf.reduce_sum(signs, axis=1)

    sizes = [rows.values.shape.as_list() for rows in stacks]
    if any(width is None for _, width in sizes):
        shapes = [tf.shape(rows.values) for rows in stacks]
        sizes = [(n, s[1]) for (n, _), s in zip(sizes, shapes, strict=True)]
    totals = _concat([[width] * count for count, width in sizes])
    return tf.maximum(totals - _concat(map_in_turn(stacks, nonzeros)), 0.0)


def _concat(parts: list) -> tf.Tensor:
    """Concatenate arrays or tensors, float32."""
    if any(tf.is_tensor(n) for n in tf.nest.flatten(parts)):
        numbers = [tf.cast(part, tf.float32) for part in parts]
        return tf.concat(numbers, axis=0)
    return tf.constant(np.concatenate(parts), tf.float32)


def _count_in_two_sums(x: tf.Tensor) -> tf.Tensor:
    nonfinite = tf.logical_not(tf.math.is_finite(x))
    masks = [tf.equal(x, tf.zeros([], x.dtype)), nonfinite]
    return tf.stack(
        [tf.reduce_sum(tf.cast(m, tf.float32), axis=1) for m in masks]
    )


def _count_in_one_sum(x: tf.Tensor) -> tf.Tensor:
    """Count zeros and non-finite elements with one sum of integers.

    A zero adds 1, and a non-finite element adds 2^32.
    """
    unit, high_unit = tf.constant(1, tf.int64), tf.constant(2**32, tf.int64)
    nothing = tf.zeros_like(unit)
    zero = tf.where(tf.equal(x, tf.zeros([], x.dtype)), unit, nothing)
    each = tf.where(tf.math.is_finite(x), zero, high_unit)
    total = tf.reduce_sum(each, axis=1)
    return tf.cast(
        tf.stack([total % high_unit, total // high_unit]), tf.float32
    )


def _largest(stacks: list[Rows], fused: bool) -> tf.Tensor:
    """Measure the largest absolute value of each row, 0 of an empty one.

    Undefined for a row with NaN: XLA ignores NaN on CPUs, TensorFlow does not.
    """
    matrices = [rows.values for rows in stacks]
    if fused:
        largest = _concat([tf.reduce_max(tf.abs(x), axis=1) for x in matrices])
        return tf.maximum(largest, 0.0)
    # Two reductions write less memory than the absolute values would take.
    lowest = _concat([tf.reduce_min(x, axis=1) for x in matrices])
    highest = _concat([tf.reduce_max(x, axis=1) for x in matrices])
    return tf.maximum(tf.maximum(highest, -lowest), 0.0)
