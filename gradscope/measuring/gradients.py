"""Gradients as the optimizer got them, in a form that can be measured."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from gradscope.runtime import replay


def shaped(gradient, shape):
    """Returns a gradient that knows its variable's shape.

    `IndexedSlices` made by hand need not, and cannot be made dense then.
    """
    if isinstance(gradient, tf.IndexedSlices) and gradient.dense_shape is None:
        return tf.IndexedSlices(
            gradient.values, gradient.indices, tf.constant(shape.as_list())
        )
    return gradient


@dataclasses.dataclass
class Touched:
    """What a gradient says: all of a dense one, the rows of a sparse one.

    Attributes:
        values: Its values; of a sparse gradient the summed rows, and rows of
            zeros behind them that mean nothing.
        summed: How many elements of a sparse one mean something, int64
            scalar; None of a dense one.
    """

    values: tf.Tensor
    summed: tf.Tensor | None = None

    @property
    def is_sparse(self) -> bool:
        """Whether these are rows of a sparse gradient."""
        return self.summed is not None

    @property
    def size(self) -> tf.Tensor:
        """How many elements mean something, int64 scalar."""
        if self.summed is not None:
            return self.summed
        return tf.size(self.values, tf.int64)

    @property
    def padding(self) -> tf.Tensor:
        """How many elements mean nothing, int64 scalar."""
        return tf.size(self.values, tf.int64) - self.size


def touched(gradient) -> Touched | None:
    """Returns the values of a gradient; rows of `IndexedSlices` are summed.

    A sparse gradient has some rows of a table, some of them several times. It
    is not made dense: a table of 10 million rows of 128 would take 5 GB.

    Args:
        gradient: Tensor, `IndexedSlices` or None.
    """
    if gradient is None:
        return None
    if not isinstance(gradient, tf.IndexedSlices):
        return Touched(tf.convert_to_tensor(gradient))
    order = tf.argsort(gradient.indices)
    indices = tf.gather(gradient.indices, order)
    is_new = tf.concat(
        [tf.ones([1], tf.bool), tf.not_equal(indices[1:], indices[:-1])], axis=0
    )[: tf.size(indices)]
    position = tf.cumsum(tf.cast(is_new, tf.int32)) - 1
    rows = tf.math.unsorted_segment_sum(
        tf.gather(gradient.values, order), position, tf.size(indices)
    )
    width = tf.reduce_prod(tf.shape(gradient.values, tf.int64)[1:])
    size = tf.reduce_sum(tf.cast(is_new, tf.int64)) * width
    return Touched(rows, size)


def divided(gradient, by: float):
    """Returns a gradient over a number, None for None."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            gradient.values / by, gradient.indices, gradient.dense_shape
        )
    return None if gradient is None else gradient / by


def dense(gradient):
    """Returns a gradient as a tensor; rows of `IndexedSlices` are summed."""
    return None if gradient is None else tf.convert_to_tensor(gradient)


def regenerate(gradient, graph):
    """Returns a copy of a gradient, whose elementwise end is computed again;
    see `copying`.

    Args:
        gradient: Tensor of `graph`, `IndexedSlices` or None.
        graph: The graph of the step; the copy belongs to the current graph.
    """
    return _with_values(gradient, lambda t: replay.replay_end(t, graph))


def tensors(gradient) -> list:
    """Returns the tensors of a gradient: none of None, of a sparse one its
    values."""
    if isinstance(gradient, tf.IndexedSlices):
        return [gradient.values]
    return [] if gradient is None else [gradient]


def with_tensors(gradient, rest):
    """Returns a gradient with other tensors, from an iterator."""
    return _with_values(gradient, lambda _: next(rest))


def _with_values(gradient, change):
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            change(gradient.values), gradient.indices, gradient.dense_shape
        )
    return None if gradient is None else change(gradient)
