"""A gradient in sixteen numbers, by which two runs' gradients are compared.

Each number is the sum of every sixteenth element, with a sign by chance that
depends on nothing but the element's place. The squares of the sums add up to
the square of the norm on average, and so do those of the difference of two
sketches for the difference of two gradients (Charikar, Chen and Farach-Colton
2002, "Finding frequent items in data streams"; the standard deviation of the
estimated norm is about a sixth). Two gradients of one norm that point
elsewhere are told apart, which norms cannot do.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.format.columns import SKETCH_COLUMNS
from gradscope.measuring.stacking import Rows, in_turn

COUNT = len(SKETCH_COLUMNS)


def sketches(found: list[Rows], places: list[int], sparse: set[int]):
    """Returns the sketches of some of V gradients, float32 `[places, COUNT]`;
    zeros of one that is not there or sparse.

    Args:
        found: Gradients side by side: see `alike`.
        places: Which of them.
        sparse: Places of sparse ones, whose rows are those of another step.
    """
    wanted = set(places) - sparse
    chosen = [rows for rows in found if set(rows.places) & wanted]
    order = [place for rows in chosen for place in rows.places]
    position = {p: n for n, p in enumerate(order) if p not in sparse}
    widths = [_width(rows.values) for rows in chosen]
    known = signs(_most(widths)) if chosen else None
    parts = in_turn(chosen, lambda values: _sums(values, known))
    whole = tf.concat([*parts, tf.zeros([1, COUNT])], axis=0)
    return tf.gather(whole, [position.get(p, len(order)) for p in places])


def _sums(values: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    width = _width(values)
    signed = tf.cast(values, tf.float32) * known[:width]
    missing = -width % COUNT
    if not isinstance(missing, int) or missing:
        signed = tf.pad(signed, [[0, 0], [0, missing]])
    return tf.reduce_sum(
        tf.reshape(signed, [values.shape.as_list()[0], -1, COUNT]), axis=1
    )


def _most(widths: list) -> int | tf.Tensor:
    if all(isinstance(width, int) for width in widths):
        return max(widths)
    return tf.reduce_max(widths)


def _width(values: tf.Tensor) -> int | tf.Tensor:
    known = values.shape.as_list()[1]
    return tf.shape(values)[1] if known is None else known


def signs(count) -> tf.Tensor:
    """Returns a sign for each place, float32 `[count]`: the top bit of a
    multiplicative hash (the finalizer of MurmurHash3), the same everywhere."""
    h = tf.range(count, dtype=tf.int32) + 1
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        h *= tf.constant(np.int64(factor).astype(np.int32))
        shifted = tf.bitwise.right_shift(tf.bitcast(h, tf.uint32), 13)
        h = tf.bitwise.bitwise_xor(h, tf.bitcast(shifted, tf.int32))
    return tf.where(h < 0, -1.0, 1.0)
