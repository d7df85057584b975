"""Computes norms of tensors without underflow and overflow.

In float32 the square of 1e-23, a gradient that deep sigmoid networks reach, is
zero, and the square of 1e20 is infinite. Squares in float64 solve this. XLA
fuses the conversion, but without XLA it writes a copy of twice the size, so
float64 is used only if the norm in float32 is too small or infinite.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.measuring.stacking import (
    Rows,
    UpdateRows,
    map_in_turn,
    scatter_columns,
)

#: A float32 norm above this is right: numbers below 1.1e-19 have a square of
#: zero, but even 10^10 of them have a norm of only 1e-14.
_LOWEST = 1e-11


def norms(
    kinds: list[list[Rows | UpdateRows]], count: int, fused: bool = False
) -> list[tf.Tensor]:
    """Compute for each kind the norms of V tensors, float32 `[V]`.

    A missing tensor has NaN.

    Args:
        kinds: The tensors of each kind, see `stacking`.
        count: V.
        fused: Whether XLA fuses consecutive operations into one pass.

    Examples:
        The second norm needs squares of 1e-46, which float32 does not have.

        >>> from gradscope.measuring.stacking import stack_by_shape
        >>> gradients = [tf.constant([3.0, 4.0]), tf.constant([1e-23]), None]
        >>> (computed,) = norms([stack_by_shape(gradients)], 3)
        >>> computed.numpy()
        array([5.e+00, 1.e-23,     nan], dtype=float32)
    """
    stacks = [rows for kind in kinds for rows in kind]
    if not stacks:
        return [tf.fill([count], np.float32(np.nan)) for _ in kinds]
    if fused:
        row_norms = _wide(stacks)
    else:
        narrow = _narrow(stacks)
        # NaN is neither above nor below, so a norm that is NaN is computed
        # again, and stays NaN.
        is_right = tf.reduce_all((narrow > _LOWEST) & (narrow < np.inf))
        row_norms = tf.cond(is_right, lambda: narrow, lambda: _wide(stacks))
    first, norms_of_kinds = 0, []
    for kind in kinds:
        places = [place for rows in kind for place in rows.places]
        part = row_norms[first : first + len(places)]
        norms_of_kinds.append(
            scatter_columns(part[tf.newaxis], places, count)[0]
        )
        first += len(places)
    return norms_of_kinds


def _wide(stacks: list[Rows | UpdateRows]) -> tf.Tensor:
    """Compute norms from squares in float64."""

    def squares(rows: tf.Tensor) -> tf.Tensor:
        wide = tf.cast(rows, tf.float64)
        return tf.reduce_sum(wide * wide, axis=1)

    total = tf.concat(map_in_turn(stacks, squares), axis=0)
    return tf.cast(tf.sqrt(total), tf.float32)


def _narrow(stacks: list[Rows | UpdateRows]) -> tf.Tensor:
    """Compute norms in one pass, which may underflow and overflow."""

    def squares(rows: tf.Tensor) -> tf.Tensor:
        if rows.dtype.size < 4:  # sums of float16 would overflow early
            rows = tf.cast(rows, tf.float32)
        # `EuclideanNorm` would not write the squares, either, but XLA lacks
        # this operation, and XLA may compile the function later.
        if rows.shape.as_list()[0] == 1:
            half = tf.reshape(tf.nn.l2_loss(rows), [1])
            total = half + half
        else:
            total = tf.reduce_sum(tf.square(rows), axis=1)
        return tf.cast(total, tf.float32)

    return tf.sqrt(tf.concat(map_in_turn(stacks, squares), axis=0))
