"""Converts gradients, dense or sparse, to forms that can be measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf

from gradscope.runtime import replay

#: A gradient as optimizers take it.
Gradient = tf.Tensor | tf.IndexedSlices | None


def with_shape(gradient: Gradient, shape: tf.TensorShape) -> Gradient:
    """Add the shape of the variable to a sparse gradient.

    `IndexedSlices` that users create may lack a shape, and cannot be converted
    to a dense tensor then.
    """
    if isinstance(gradient, tf.IndexedSlices) and gradient.dense_shape is None:
        return tf.IndexedSlices(
            gradient.values, gradient.indices, tf.constant(shape.as_list())
        )
    return gradient


@dataclasses.dataclass
class GradientValues:
    """The values of a dense gradient, or the rows of a sparse one.

    Attributes:
        values: The values. A sparse gradient has summed rows, followed by
            padding: rows of zeros.
        summed: Number of elements of a sparse gradient without padding, int64
            scalar; None for a dense gradient.
    """

    values: tf.Tensor
    summed: tf.Tensor | None = None

    @property
    def is_sparse(self) -> bool:
        """Whether the gradient is sparse."""
        return self.summed is not None

    @property
    def size(self) -> tf.Tensor:
        """Number of elements without padding, int64 scalar."""
        if self.summed is not None:
            return self.summed
        return tf.size(self.values, tf.int64)

    @property
    def padding(self) -> tf.Tensor:
        """Number of elements of padding, int64 scalar."""
        return tf.size(self.values, tf.int64) - self.size


def gradient_values(gradient: Gradient) -> GradientValues | None:
    """Read the values of a gradient, with duplicate sparse rows summed.

    A sparse gradient has some rows of a table, and some of them several times.
    It is not converted to a dense tensor, since tables can be very large.

    Examples:
        Row 2 of the table occurs twice; its gradients 1 and 3 add up to 4. Of
        three rows, one is padding.

        >>> rows = tf.constant([[1.0], [5.0], [3.0]])
        >>> read = gradient_values(tf.IndexedSlices(rows, [2, 7, 2]))
        >>> read.values.numpy().ravel().tolist()
        [4.0, 5.0, 0.0]
        >>> int(read.size), int(read.padding)
        (2, 1)
    """
    if gradient is None:
        return None
    if not isinstance(gradient, tf.IndexedSlices):
        return GradientValues(tf.convert_to_tensor(gradient))
    # Sorted, equal indices are neighbours, and a new row begins where one
    # differs from the last.
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
    return GradientValues(rows, size)


def divide(gradient: Gradient, divisor: float) -> Gradient:
    """Divide a gradient by a number."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            gradient.values / divisor, gradient.indices, gradient.dense_shape
        )
    return None if gradient is None else gradient / divisor


def to_dense(gradient: Gradient) -> tf.Tensor | None:
    """Convert a gradient to a dense tensor; duplicate rows are summed."""
    return None if gradient is None else tf.convert_to_tensor(gradient)


def regenerate(gradient: Gradient, graph: tf.Graph) -> Gradient:
    """Copy a gradient into the current graph; see `replay.replay_end`.

    The elementwise operations at its end are computed again in the copy.

    Args:
        gradient: A gradient of `graph`.
        graph: The graph of the step.
    """
    return _with_values(gradient, lambda t: replay.replay_end(t, graph))


def tensors(gradient: Gradient) -> list[tf.Tensor]:
    """List the tensors of a gradient: the values, or nothing for None."""
    if isinstance(gradient, tf.IndexedSlices):
        return [gradient.values]
    return [] if gradient is None else [gradient]


def with_tensors(gradient: Gradient, values: Iterator[tf.Tensor]) -> Gradient:
    """Replace the tensors of a gradient by the next ones of an iterator."""
    return _with_values(gradient, lambda _: next(values))


def _with_values(
    gradient: Gradient, change: Callable[[tf.Tensor], tf.Tensor]
) -> Gradient:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            change(gradient.values), gradient.indices, gradient.dense_shape
        )
    return None if gradient is None else change(gradient)
