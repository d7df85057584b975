"""Stacks small tensors of a step, so that few operations measure many tensors.

In a network of many small layers, the arithmetic of the statistics takes little
time, but the overhead of an operation for each statistic of each layer would be
longer than the step, and XLA would compile each of them. So small tensors
become rows of one matrix.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

#: Most elements of a tensor that is copied into a stack: to copy more would
#: take longer than the operations that it saves.
SMALL = 2**14

#: Most elements of padding in a stack. XLA allows more, or as many as there are
#: values: XLA does not write padding to memory, and each kernel that it need
#: not compile saves time. Without XLA, padding biases to the width of kernels
#: would take longer than measuring both in stacks of their own.
PADDED = 2**13
PADDED_IN_XLA = 2**16

#: Most elements that are copied again by `pad_together`, without XLA.
COPIED = 2**16

#: Elements of a large tensor (4 MB). Large tensors are measured one after the
#: other, so that the temporary memory of only one is in use.
LARGE = 2**20


@dataclasses.dataclass
class Rows:
    """A stack of n of V tensors, with one row for each.

    Attributes:
        places: Indices of the n tensors among the V tensors.
        values: `[n, width]`.
        padding: Number of padding zeros at the end of each row, int `[n]`; an
            array, or a tensor if sizes are known only when the program runs.
        shape: Shape of each tensor, None if the shapes differ.
    """

    places: list[int]
    values: tf.Tensor
    padding: np.ndarray | tf.Tensor
    shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int | None:
        """Number of elements, None if unknown."""
        return self.values.shape.num_elements()


@dataclasses.dataclass
class UpdateRows:
    """A stack of updates: weights after minus weights before the step.

    The difference is computed anew whenever it is read, so that not all large
    updates are in memory at once.

    Attributes:
        before, after: The weights before and after the step.
    """

    before: Rows
    after: Rows

    @property
    def places(self) -> list[int]:
        """As of `Rows`."""
        return self.before.places

    @property
    def padding(self) -> np.ndarray | tf.Tensor:
        """As of `Rows`."""
        return self.before.padding

    @property
    def size(self) -> int | None:
        """As of `Rows`."""
        return self.before.size

    @property
    def values(self) -> tf.Tensor:
        """As of `Rows`, in float32 or wider.

        The difference of two bfloat16 numbers may need more than 8 bits.
        """
        before, after = self.before.values, self.after.values
        if before.dtype.size < 4:
            before, after = (tf.cast(t, tf.float32) for t in (before, after))
        return after - before


def map_in_turn(
    stacks: Sequence[Rows | UpdateRows],
    function: Callable[[tf.Tensor], tf.Tensor],
) -> list[tf.Tensor]:
    """Apply a function to the values of each stack.

    Control dependencies make large stacks run one after the other, which lowers
    the peak of memory.
    """
    results: list[tf.Tensor] = []
    last = []
    for rows in stacks:
        is_large = rows.size is not None and rows.size >= LARGE
        with tf.control_dependencies(last if is_large else []):
            results.append(function(rows.values))
        if is_large:
            last = results[-1:]
    return results


def stack_by_shape(
    tensors: list[tf.Tensor | None], separate: frozenset[int] = frozenset()
) -> list[Rows]:
    """Stack small tensors of the same shape and dtype.

    Each larger tensor, or tensor of unknown size, is a stack of its own.

    Args:
        tensors: V float tensors of any shape, None for a missing one.
        separate: Places of tensors to treat as of unknown size, because they
            may end with values without a meaning, and how many is not known
            while a program is traced.

    Examples:
        >>> a, b, c = tf.zeros([2, 3]), tf.zeros([3]), tf.ones([2, 3])
        >>> [(rows.places, rows.shape) for rows in stack_by_shape([a, b, c])]
        [([0, 2], (2, 3)), ([1], (3,))]
    """
    places_of: dict[tuple, list[int]] = {}
    for place, tensor in enumerate(tensors):
        if tensor is None:
            continue
        size = None if place in separate else tensor.shape.num_elements()
        small = size is not None and size <= SMALL
        alone = None if small else place
        shape = None if size is None else tuple(tensor.shape.as_list())
        places_of.setdefault((tensor.dtype, shape, alone), []).append(place)
    stacks = []
    for (_, shape, _), places in places_of.items():
        group = [tensors[place] for place in places]
        stacked = group[0] if len(group) == 1 else tf.stack(group)
        size = -1 if shape is None else int(np.prod(shape, dtype=np.int64))
        values = tf.reshape(stacked, [len(places), size])
        no_padding = np.zeros(len(places), np.int64)
        stacks.append(Rows(places, values, no_padding, shape))
    return stacks


def pad_together(stacks: list[Rows], fused: bool = False) -> list[Rows]:
    """Merge stacks of small tensors, padded with zeros to a common width.

    Args:
        stacks: Result of `stack_by_shape`.
        fused: Whether XLA fuses consecutive operations into one pass.

    Examples:
        >>> stacks = stack_by_shape([tf.ones([2, 3]), tf.ones([3])])
        >>> (rows,) = pad_together(stacks)
        >>> rows.values.numpy().tolist()
        [[1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]
        >>> rows.padding.tolist()
        [0, 3]
    """
    small = [rows for rows in stacks if rows.shape and _width(rows) <= SMALL]
    merged = [rows for rows in stacks if all(rows is not s for s in small)]
    group: list[Rows] = []
    # The widest comes first in each group and sets its width; the next ones
    # need the least padding.
    for rows in sorted(small, key=_width, reverse=True):
        if group and not _fits(group, rows, fused):
            merged.append(_merge(group))
            group = []
        group.append(rows)
    return merged + ([_merge(group)] if group else [])


def _fits(group: list[Rows], rows: Rows, fused: bool) -> bool:
    """Return whether padding a stack to the group's width costs little."""
    if group[0].values.dtype != rows.values.dtype:
        return False
    stacks = [*group, rows]
    total = sum(len(r.places) for r in stacks) * _width(group[0])
    values = sum(len(r.places) * _width(r) for r in stacks)
    if fused:
        return total - values <= max(PADDED_IN_XLA, values)
    return total - values <= PADDED and values <= COPIED


def _merge(group: list[Rows]) -> Rows:
    if len(group) == 1:
        return group[0]
    width = _width(group[0])
    padded = [
        tf.pad(rows.values, [[0, 0], [0, width - _width(rows)]])
        if _width(rows) < width
        else rows.values
        for rows in group
    ]
    padding = [rows.padding + width - _width(rows) for rows in group]
    places = [place for rows in group for place in rows.places]
    values = tf.concat(padded, axis=0)
    return Rows(places, values, np.concatenate(padding))


def _width(rows: Rows) -> int:
    return rows.values.shape.as_list()[1]


def scatter_columns(
    columns: tf.Tensor, places: list[int], count: int
) -> tf.Tensor:
    """Move the columns of `[k, n]` to their places in `[k, V]`, else NaN.

    Args:
        columns: `[k, n]`, one column for each of n tensors.
        places: Index of each of the n tensors among the V tensors.
        count: V.
    """
    height = columns.shape.as_list()[0]
    if not places:
        return tf.fill([height, count], np.float32(np.nan))
    if places == list(range(count)):
        return columns
    position = {place: index for index, place in enumerate(places)}
    order = [position.get(place, len(places)) for place in range(count)]
    nan = tf.fill([height, 1], np.float32(np.nan))
    return tf.gather(tf.concat([columns, nan], axis=1), order, axis=1)
