"""Norms of tensors side by side: neither underflow nor overflow spoils them.

In float32 a gradient of 1e-23, which a deep sigmoid network reaches, squares to
zero, and one of 1e19 to infinity. Squares in float64 would do, and XLA makes
one pass of them; TensorFlow would write all numbers once more, of twice the
size: of 50 layers a third of a recorded step went there.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.measuring.stacking import Moved, Rows, in_order, in_turn

#: A norm in float32 below this may lack numbers whose squares are zero: those
#: below 1.1e-19, of which 10^10 have a norm of 1e-14.
_LOWEST = 1e-11


def norms(
    kinds: list[list[Rows | Moved]], count: int, fused: bool = False
) -> list[tf.Tensor]:
    """Returns for each kind of tensors V norms, float32, NaN for None.

    Args:
        kinds: For each kind its tensors side by side: see `alike`.
        count: V.
        fused: Whether XLA makes one pass of operations that follow each other.
    """
    every = [rows for kind in kinds for rows in kind]
    if not every:
        return [tf.fill([count], np.float32(np.nan)) for _ in kinds]
    if fused:
        found = _wide(every)
    else:
        narrow = _narrow(every)
        is_right = tf.reduce_all((narrow > _LOWEST) & (narrow < np.inf))
        found = tf.cond(is_right, lambda: narrow, lambda: _wide(every))
    first, own = 0, []
    for kind in kinds:
        places = [place for rows in kind for place in rows.places]
        part = found[first : first + len(places)]
        own.append(in_order(part[tf.newaxis], places, count)[0])
        first += len(places)
    return own


def _wide(every: list[Rows | Moved]) -> tf.Tensor:
    """Returns norms by squares in float64."""

    def squares(rows):
        wide = tf.cast(rows, tf.float64)
        return tf.reduce_sum(wide * wide, axis=1)

    total = tf.concat(in_turn(every, squares), axis=0)
    return tf.cast(tf.sqrt(total), tf.float32)


def _narrow(every: list[Rows | Moved]) -> tf.Tensor:
    """Returns norms by one pass, which may underflow and overflow."""

    def squares(rows):
        if rows.dtype.size < 4:  # sums of float16 would overflow early
            rows = tf.cast(rows, tf.float32)
        # (`EuclideanNorm` would read rows and write nothing; XLA has no such
        # operation, and a function may be called from inside of XLA later.)
        if rows.shape.as_list()[0] == 1:
            half = tf.reshape(tf.nn.l2_loss(rows), [1])
            total = half + half
        else:
            total = tf.reduce_sum(tf.square(rows), axis=1)
        return tf.cast(total, tf.float32)

    return tf.sqrt(tf.concat(in_turn(every, squares), axis=0))
