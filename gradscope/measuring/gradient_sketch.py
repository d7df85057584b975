"""A sketch of a gradient: sixteen numbers that compare gradients of two runs.

Each number is the sum of every sixteenth element with random signs, which
depend only on the position of the element. On average, the squares of the sums
add up to the square of the norm, and those of the difference of two sketches to
the square of the norm of the difference of both gradients (Charikar, Chen and
Farach-Colton 2002, "Finding frequent items in data streams"; the standard
deviation of the estimated norm is about a sixth). Unlike norms, sketches
distinguish gradients of the same norm with different directions.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.format.columns import SKETCH_COLUMNS
from gradscope.measuring.stacking import Rows, map_in_turn

COUNT = len(SKETCH_COLUMNS)


def sketches(
    stacks: list[Rows], places: list[int], sparse: set[int]
) -> tf.Tensor:
    """Compute sketches of selected gradients, float32 `[places, COUNT]`.

    Missing and sparse gradients have zeros.

    Args:
        stacks: The V gradients, see `stacking`.
        places: Indices of the selected gradients.
        sparse: Indices of sparse gradients: two steps have different rows of
            them, so that their positions mean different elements.

    Examples:
        A gradient with a single element has one sum, of either sign, whose
        square is that of the norm.

        >>> from gradscope.measuring.stacking import stack_by_shape
        >>> stacks = stack_by_shape([tf.constant([0.0, 3.0, 0.0])])
        >>> sketch = sketches(stacks, [0], set()).numpy()
        >>> sketch.shape, float((sketch**2).sum())
        ((1, 16), 9.0)
    """
    dense = set(places) - sparse
    # A stack is read as a whole, so those without a selected gradient are left
    # out before.
    stacks = [rows for rows in stacks if set(rows.places) & dense]
    order = [place for rows in stacks for place in rows.places]
    position = {p: n for n, p in enumerate(order) if p not in sparse}
    widths = [_width(rows.values) for rows in stacks]
    all_signs = signs(_maximum(widths)) if stacks else None
    parts = map_in_turn(stacks, lambda values: _sums(values, all_signs))
    table = tf.concat([*parts, tf.zeros([1, COUNT])], axis=0)
    return tf.gather(table, [position.get(p, len(order)) for p in places])


def _sums(values: tf.Tensor, all_signs: tf.Tensor) -> tf.Tensor:
    width = _width(values)
    signed = tf.cast(values, tf.float32) * all_signs[:width]
    missing = -width % COUNT
    if not isinstance(missing, int) or missing:
        signed = tf.pad(signed, [[0, 0], [0, missing]])
    return tf.reduce_sum(
        tf.reshape(signed, [values.shape.as_list()[0], -1, COUNT]), axis=1
    )


def _maximum(widths: list) -> int | tf.Tensor:
    if all(isinstance(width, int) for width in widths):
        return max(widths)
    return tf.reduce_max(widths)


def _width(values: tf.Tensor) -> int | tf.Tensor:
    width = values.shape.as_list()[1]
    return tf.shape(values)[1] if width is None else width


def signs(count: int | tf.Tensor) -> tf.Tensor:
    """Compute a random sign for each position, float32 `[count]`.

    The sign is the top bit of a multiplicative hash (the finalizer of
    MurmurHash3), which is the same on all devices.
    """
    # The hash of 0 is 0, whatever the factors.
    h = tf.range(count, dtype=tf.int32) + 1
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        h *= tf.constant(np.int64(factor).astype(np.int32))
        # A right shift of signed numbers would copy the sign bit.
        shifted = tf.bitwise.right_shift(tf.bitcast(h, tf.uint32), 13)
        h = tf.bitwise.bitwise_xor(h, tf.bitcast(shifted, tf.int32))
    return tf.where(h < 0, -1.0, 1.0)
