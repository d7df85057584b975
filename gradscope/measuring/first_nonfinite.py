"""Finds the first operation with finite inputs and a non-finite output."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.measuring import stacking

#: States of an output: all elements are finite; some are infinite and none is
#: NaN; some are NaN.
FINITE, INFINITE, NAN = 0.0, 1.0, 2.0

#: The result of `find_first` without such an operation.
NOWHERE = np.full([2], np.nan, np.float32)


def classify(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Classify floating tensors as finite, infinite or NaN, float32 `[n]`.

    Examples:
        >>> infinity = tf.constant([1.0, np.inf])
        >>> classify([tf.constant(2.0), infinity, infinity - infinity]).numpy()
        array([0., 1., 2.], dtype=float32)
    """
    computable = list(map(_with_arithmetic, tensors))
    stacks = stacking.pad_together(stacking.stack_by_shape(computable))
    codes = [tf.constant(state) for state in (FINITE, INFINITE, NAN)]
    parts = [_classify(rows.values, *codes) for rows in stacks]
    # The maximum over an empty tensor is -infinity.
    states = tf.maximum(tf.concat(parts, axis=0), FINITE)
    places = [place for rows in stacks for place in rows.places]
    return tf.gather(states, np.argsort(places))


def find_first(
    states: tf.Tensor, sources: np.ndarray, rows: np.ndarray
) -> tf.Tensor:
    """Find the first non-finite output that has only finite inputs.

    An output with a non-finite input is a consequence, or intended, like the
    sum of a score and a mask of minus infinity.

    Args:
        states: Result of `classify` for n outputs in forward order.
        sources: int `[n, k]`, the indices of the outputs that each output is
            computed from: n for an input that is always finite, and n + 1 for
            one that is always non-finite.
        rows: Row of each output in the record, float32 `[n]`, NaN for none.

    Returns:
        The row and the state of the output, float32 `[2]`; `NOWHERE` without
        such an output.

    Examples:
        The first output is finite. The second is computed from it and has a
        NaN, and the third is NaN since it is computed from the second.

        >>> states = tf.constant([FINITE, NAN, NAN])
        >>> sources, rows = np.array([[3], [0], [1]]), np.float32([10, 11, 12])
        >>> find_first(states, sources, rows).numpy()  # row 11, NaN
        array([11.,  2.], dtype=float32)
    """
    with_constants = tf.concat([states, [FINITE, INFINITE]], axis=0)
    worst_source = tf.reduce_max(tf.gather(with_constants, sources), axis=1)
    is_origin = (states > FINITE) & ~(worst_source > FINITE)
    index = tf.argmax(tf.cast(is_origin, tf.float32))
    origin = tf.stack([tf.gather(rows, index), tf.gather(states, index)])
    return tf.where(tf.reduce_any(is_origin), origin, NOWHERE)


def _with_arithmetic(tensor: tf.Tensor) -> tf.Tensor:
    """Cast float8 to float32: TensorFlow has no arithmetic for float8."""
    is_small = tensor.dtype.size < tf.float16.size
    return tf.cast(tensor, tf.float32) if is_small else tensor


def _classify(
    rows: tf.Tensor, finite: tf.Tensor, infinite: tf.Tensor, nan: tf.Tensor
) -> tf.Tensor:
    """Classify each row in one pass over it."""
    each = tf.where(tf.math.is_inf(rows), infinite, finite)
    return tf.reduce_max(tf.where(tf.math.is_nan(rows), nan, each), axis=1)
