"""Selects the first examples of a batch, also with sizes unknown in a trace.

Two axes of unknown size may differ from each other and from batch to batch:
images and sentences have different lengths, and a part of a network may receive
no example at all.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

#: Most numbers of one tensor that a step measures, so that measuring a large
#: activation does not take longer than computing it.
MOST = 2**18


@dataclasses.dataclass
class Sample:
    """A sample of the examples of n activations.

    Attributes:
        values: `[n, rows, ..., units]`. A row is an example, or one time step
            of an example in a time-distributed layer.
        rows: Number of rows of each activation, float32 `[n]`; the rows after
            these are padding with zeros. None if each has all rows.
        examples: Number of examples of each activation, float32 `[n]`.
    """

    values: tf.Tensor
    rows: tf.Tensor | None
    examples: tf.Tensor


def first_examples(tensor: tf.Tensor, least: int) -> tf.Tensor:
    """Select the first examples of a tensor, up to `MOST` numbers.

    Args:
        tensor: `[examples, ...]`, or a scalar. A tensor of unknown rank is
            reshaped to `[examples, numbers]`.
        least: Fewest examples that are selected, if the batch has so many.

    Examples:
        A picture of 512 x 512 has `MOST` numbers, so one example is enough.

        >>> first_examples(tf.zeros([8, 512, 512]), 1).shape.as_list()
        [1, 512, 512]
        >>> first_examples(tf.zeros([8, 512, 512]), 2).shape.as_list()
        [2, 512, 512]
        >>> first_examples(tf.zeros([8, 10]), 1).shape.as_list()
        [8, 10]
    """
    if tensor.shape.rank is None:
        tensor = _as_matrix(tensor)
    if not tensor.shape.rank:
        return tensor
    # `as_list`, since in programs of TensorFlow 1 a size may be a `Dimension`.
    inner_shape = tensor.shape.as_list()[1:]
    size = tensor.shape[1:].num_elements()
    if size is None:
        size = tf.maximum(1, tf.reduce_prod(tf.shape(tensor)[1:]))
        most_examples = tf.maximum(least, MOST // size)
    else:
        most_examples = max(least, MOST // max(1, size))
        examples = tensor.shape.as_list()[0]
        if examples is not None and examples <= most_examples:
            return tensor
    return tf.ensure_shape(tensor[:most_examples], [None, *inner_shape])


def count_examples(tensor: tf.Tensor) -> tf.Tensor:
    """Count the examples of a tensor, int32 scalar; a scalar counts as one."""
    return tf.concat([tf.shape(tensor), [1]], axis=0)[0]


def sample(tensors: list[list[tf.Tensor]]) -> Sample:
    """Select the first examples of n activations, up to `MOST` numbers.

    At least one example is selected.

    Args:
        tensors: For each activation its tensors `[examples, ..., units]`: one
            tensor, or one for each time step of a time-distributed layer. The
            tensors of several activations must satisfy `have_same_shape`.
    """
    calls = [[first_examples(t, 1) for t in steps] for steps in tensors]
    rows = [_join(steps) for steps in calls]
    firsts = [steps[0] for steps in calls]
    static = [{t.shape.as_list()[0] for t in group} for group in (rows, firsts)]
    if all(len(sizes) == 1 and None not in sizes for sizes in static):
        examples = tf.constant([*static[1]] * len(rows), tf.float32)
        return Sample(tf.stack(rows), None, examples)
    examples = _first_sizes(firsts)
    if len(rows) == 1:
        return Sample(rows[0][tf.newaxis], None, tf.cast(examples, tf.float32))
    has_time_steps = len(calls[0]) > 1
    sizes = _first_sizes(rows) if has_time_steps else examples
    return Sample(
        _pad(rows, sizes),
        tf.cast(sizes, tf.float32),
        tf.cast(examples, tf.float32),
    )


def have_same_shape(tensors: list[tf.Tensor]) -> bool:
    """Return whether tensors `[examples, ...]` certainly have the same shape,
    apart from the number of examples."""
    shapes = {tuple(t.shape.as_list()[1:]) for t in tensors}
    return len(shapes) == 1 and None not in shapes.pop()


def _join(calls: list[tf.Tensor]) -> tf.Tensor:
    """Concatenate the time steps of an activation.

    Time steps with different positions are reshaped to `[rows, units]`.
    """
    if len(calls) == 1:
        return calls[0]
    if not have_same_shape(calls):
        units = calls[0].shape.as_list()[-1]
        calls = [
            tf.reshape(t, [tf.size(t) // max(1, units), units]) for t in calls
        ]
    return tf.concat(calls, axis=0)


def _first_sizes(tensors: list[tf.Tensor]) -> tf.Tensor:
    # `shape_n` is a single operation: tracing one for each of hundreds of
    # tensors is slow.
    return tf.stack(tf.shape_n(tensors))[:, 0]


def _pad(rows: list[tf.Tensor], sizes: tf.Tensor) -> tf.Tensor:
    """Stack tensors of different lengths, padded with zeros at the end."""
    rank = rows[0].shape.rank
    missing = tf.reshape(tf.reduce_max(sizes) - sizes, [-1, 1, 1])
    paddings = tf.pad(missing, [[0, 0], [0, rank - 1], [1, 0]])
    parts = map(tf.pad, rows, tf.unstack(paddings, len(rows)))
    shape = [len(rows), None, *rows[0].shape.as_list()[1:]]
    return tf.ensure_shape(tf.stack(list(parts)), shape)


def _as_matrix(tensor: tf.Tensor) -> tf.Tensor:
    """Reshape a tensor of unknown rank to `[examples, numbers]`."""
    examples = count_examples(tensor)
    numbers = tf.size(tensor) // tf.maximum(1, examples)
    return tf.reshape(tensor, [examples, numbers])
