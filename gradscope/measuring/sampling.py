"""The first examples of a batch, whatever is known of its sizes while tracing.

An axis of unknown size is not of the same size as another one, nor of the same
size in the next batch: images differ, sentences differ, a part of a network
may be given no example at all.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

#: Numbers of one tensor that are looked at in one step: of a convolution with
#: 3 million outputs, 8 passes over all would take longer than the step.
MOST = 2**18


@dataclasses.dataclass
class Sample:
    """Some examples of n activations.

    Attributes:
        values: `[n, rows, ..., units]`.
        rows: How many of its rows each of them has, float32 `[n]`; behind
            these are zeros that mean nothing. None where each has all.
        examples: How many examples that are, float32 `[n]`: each has a row
            for every time step.
    """

    values: tf.Tensor
    rows: tf.Tensor | None
    examples: tf.Tensor


def first(tensor: tf.Tensor, least: int) -> tf.Tensor:
    """Returns the first examples of a tensor, as many as hold `MOST` numbers.

    Args:
        tensor: `[examples, ...]`, or a scalar; of unknown rank it becomes
            `[examples, numbers]`.
        least: How many examples there are in any case, if the batch has them.
    """
    if tensor.shape.rank is None:
        tensor = _as_matrix(tensor)
    if not tensor.shape.rank:
        return tensor
    # Of lists: in programs of TensorFlow 1 a size may be a `Dimension`.
    rest = tensor.shape.as_list()[1:]
    size = tensor.shape[1:].num_elements()
    if size is None:
        size = tf.maximum(1, tf.reduce_prod(tf.shape(tensor)[1:]))
        most = tf.maximum(least, MOST // size)
    else:
        most = max(least, MOST // max(1, size))
        examples = tensor.shape.as_list()[0]
        if examples is not None and examples <= most:
            return tensor
    return tf.ensure_shape(tensor[:most], [None, *rest])


def count(tensor: tf.Tensor) -> tf.Tensor:
    """Returns how many examples a tensor has, int32 scalar; a scalar has
    one."""
    return tf.concat([tf.shape(tensor), [1]], axis=0)[0]


def sample(tensors: list[list]) -> Sample:
    """Returns the first examples of n activations: as many as hold `MOST`
    numbers, and at least one.

    Args:
        tensors: For each activation its tensors `[examples, ..., units]`: one,
            or one for each time step of a time-distributed layer. If there are
            several activations, `are_alike`.
    """
    calls = [[first(t, 1) for t in one] for one in tensors]
    rows = [_joined(one) for one in calls]
    firsts = [one[0] for one in calls]
    known = [{t.shape.as_list()[0] for t in some} for some in (rows, firsts)]
    if all(len(sizes) == 1 and None not in sizes for sizes in known):
        every = tf.constant([*known[1]] * len(rows), tf.float32)
        return Sample(tf.stack(rows), None, every)
    examples = _first_sizes(firsts)
    if len(rows) == 1:
        return Sample(rows[0][tf.newaxis], None, tf.cast(examples, tf.float32))
    several = len(calls[0]) > 1
    sizes = _first_sizes(rows) if several else examples
    return Sample(
        _padded(rows, sizes),
        tf.cast(sizes, tf.float32),
        tf.cast(examples, tf.float32),
    )


def are_alike(tensors: list) -> bool:
    """Returns whether some tensors `[examples, ...]` are for sure of one shape
    but for the number of examples."""
    known = {tuple(t.shape.as_list()[1:]) for t in tensors}
    return len(known) == 1 and None not in known.pop()


def _joined(calls: list) -> tf.Tensor:
    """Returns the time steps of an activation one after the other; `[rows,
    units]` where their positions differ."""
    if len(calls) == 1:
        return calls[0]
    if not are_alike(calls):
        units = calls[0].shape.as_list()[-1]
        calls = [
            tf.reshape(t, [tf.size(t) // max(1, units), units]) for t in calls
        ]
    return tf.concat(calls, axis=0)


def _first_sizes(tensors: list) -> tf.Tensor:
    # Few operations: each takes 1.7 ms to trace, and there may be hundreds.
    return tf.stack(tf.shape_n(tensors))[:, 0]


def _padded(rows: list, sizes: tf.Tensor) -> tf.Tensor:
    """Returns tensors of several lengths as one, with zeros behind them."""
    rank = rows[0].shape.rank
    missing = tf.reshape(tf.reduce_max(sizes) - sizes, [-1, 1, 1])
    paddings = tf.pad(missing, [[0, 0], [0, rank - 1], [1, 0]])
    parts = map(tf.pad, rows, tf.unstack(paddings, len(rows)))
    shape = [len(rows), None, *rows[0].shape.as_list()[1:]]
    return tf.ensure_shape(tf.stack(list(parts)), shape)


def _as_matrix(tensor: tf.Tensor) -> tf.Tensor:
    """Returns a tensor of unknown rank as `[examples, numbers]`."""
    examples = count(tensor)
    numbers = tf.size(tensor) // tf.maximum(1, examples)
    return tf.reshape(tensor, [examples, numbers])
