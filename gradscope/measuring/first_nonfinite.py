"""Which of many operations made the first number that is not finite."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.measuring import stacking

#: What an operation's output is: all finite; infinite in some elements, and
#: NaN in none; NaN in some.
FINITE, INFINITE, NAN = 0.0, 1.0, 2.0

#: What `first` returns where there is none.
NOWHERE = np.full([2], np.nan, np.float32)


def states(tensors: list) -> tf.Tensor:
    """Returns what each of some floating tensors is, float32 `[n]`."""
    found = stacking.merged(stacking.groups(list(map(_of_usual_type, tensors))))
    each = [tf.constant(state) for state in (FINITE, INFINITE, NAN)]
    parts = tf.concat([_states(rows.values, *each) for rows in found], axis=0)
    parts = tf.maximum(parts, FINITE)  # of empty ones -infinity
    places = [place for rows in found for place in rows.places]
    return tf.gather(parts, np.argsort(places))


def first(found: tf.Tensor, sources: np.ndarray, rows: np.ndarray) -> tf.Tensor:
    """Returns the row of the first output that is not finite while all that it
    was made of is, and what it is, float32 `[2]`; `NOWHERE` without one.

    What was made of something that is not finite is no cause, like the sum of
    a score and a mask of minus infinity.

    Args:
        found: `states` of n outputs in forward order.
        sources: int `[n, k]`, the outputs that each one is made of: n for one
            that is finite for sure, n + 1 for one that surely is not.
        rows: Their rows in the record, float32 `[n]`, NaN for none.
    """
    known = tf.concat([found, [FINITE, INFINITE]], axis=0)
    spoilt = tf.reduce_max(tf.gather(known, sources), axis=1) > FINITE
    makes = (found > FINITE) & ~spoilt
    index = tf.argmax(tf.cast(makes, tf.float32))
    told = tf.stack([tf.gather(rows, index), tf.gather(found, index)])
    return tf.where(tf.reduce_any(makes), told, NOWHERE)


def _of_usual_type(tensor):
    """Returns a tensor that TensorFlow computes with: with float8 it does no
    more than to convert it, and float32 has all its numbers."""
    is_small = tensor.dtype.size < tf.float16.size
    return tf.cast(tensor, tf.float32) if is_small else tensor


def _states(rows, finite, infinite, nan) -> tf.Tensor:
    """Returns what each row is, from one pass over it."""
    each = tf.where(tf.math.is_inf(rows), infinite, finite)
    return tf.reduce_max(tf.where(tf.math.is_nan(rows), nan, each), axis=1)
