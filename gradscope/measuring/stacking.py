"""Tensors of a step put side by side, so that few operations measure many.

In a network of 50 small layers the arithmetic of its statistics takes no time,
and the 1000 operations that ask for it take longer than the step; XLA takes
18 ms to compile each of them. So small tensors become rows of one matrix.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

#: Elements of the largest tensor that is copied next to others: to copy 16384
#: floats takes as long as one or two operations, and saves ten.
SMALL = 2**14

#: Elements of a matrix that may be padding; under XLA, where to compile a
#: kernel more takes 18 ms, and where padding is never written to memory, this
#: or as many as there are. (Of 50 layers of 64, biases next to kernels would
#: be padded to twice the size, and each pass over them takes longer than one
#: over both of its own.)
PADDED = 2**13
PADDED_IN_XLA = 2**16

#: Elements that are copied once more to be below others; outside of XLA.
COPIED = 2**16


#: Elements of a tensor that is large (4 MB): what has to be written to measure
#: it is written for one of them after the other.
LARGE = 2**20


@dataclasses.dataclass
class Rows:
    """Some of V tensors, a row each.

    Attributes:
        places: Which of the V tensors they are.
        values: `[n, width]`.
        padding: How many zeros at the end of each row mean nothing, int
            `[n]`; an array, or a tensor where sizes are not known.
        shape: Of each of the tensors, None where they have several.
    """

    places: list[int]
    values: tf.Tensor
    padding: object
    shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int | None:
        """Number of elements, None where it is not known."""
        return self.values.shape.num_elements()


@dataclasses.dataclass
class Moved:
    """How far a step moved some tensors: computed wherever it is read, so that
    of large ones not all are in memory at once.

    Attributes:
        before, after: The same tensors.
    """

    before: Rows
    after: Rows

    @property
    def places(self) -> list[int]:
        """As of `Rows`."""
        return self.before.places

    @property
    def padding(self):
        """As of `Rows`."""
        return self.before.padding

    @property
    def size(self) -> int | None:
        """As of `Rows`."""
        return self.before.size

    @property
    def values(self) -> tf.Tensor:
        """As of `Rows`, at least in float32: the difference of two bfloat16
        numbers can need more than its 8 bits."""
        before, after = self.before.values, self.after.values
        if before.dtype.size < 4:
            before, after = (tf.cast(t, tf.float32) for t in (before, after))
        return after - before


def in_turn(found: list, function) -> list[tf.Tensor]:
    """Returns what a function makes of the values of rows; of large ones one
    after the other. (All at once, the peak of a network with 274 MB of weights
    was 250 MB higher.)"""
    results: list[tf.Tensor] = []
    last = []
    for rows in found:
        is_large = rows.size is not None and rows.size >= LARGE
        with tf.control_dependencies(last if is_large else []):
            results.append(function(rows.values))
        if is_large:
            last = results[-1:]
    return results


def groups(tensors: list, apart: frozenset = frozenset()) -> list[Rows]:
    """Returns small tensors of one shape and dtype as rows of one matrix; all
    others alone.

    Args:
        tensors: V float tensors of any shape, None for nothing.
        apart: Places of tensors that stay alone, for a part of them means
            nothing: how large it is, is not known while a program is traced.
    """
    alike: dict[tuple, list[int]] = {}
    for place, tensor in enumerate(tensors):
        if tensor is None:
            continue
        size = None if place in apart else tensor.shape.num_elements()
        small = size is not None and size <= SMALL
        alone = None if small else place
        shape = None if size is None else tuple(tensor.shape.as_list())
        alike.setdefault((tensor.dtype, shape, alone), []).append(place)
    found = []
    for (_, shape, _), places in alike.items():
        chosen = [tensors[place] for place in places]
        one = chosen[0] if len(chosen) == 1 else tf.stack(chosen)
        size = -1 if shape is None else int(np.prod(shape, dtype=np.int64))
        values = tf.reshape(one, [len(places), size])
        nothing = np.zeros(len(places), np.int64)
        found.append(Rows(places, values, nothing, shape))
    return found


def merged(found: list[Rows], fused: bool = False) -> list[Rows]:
    """Returns groups of small tensors put below each other, padded with zeros
    to one width; large ones stay alone.

    Args:
        found: Of `groups`.
        fused: Whether XLA makes one pass of operations that follow each other.
    """
    small = [rows for rows in found if rows.shape and _width(rows) <= SMALL]
    kept = [rows for rows in found if all(rows is not one for one in small)]
    heap: list[Rows] = []
    for rows in sorted(small, key=_width, reverse=True):
        if heap and not _fits(heap, rows, fused):
            kept.append(_below(heap))
            heap = []
        heap.append(rows)
    return kept + ([_below(heap)] if heap else [])


def _fits(heap: list[Rows], rows: Rows, fused: bool) -> bool:
    """Returns whether little is lost if rows are padded to a heap's width."""
    if heap[0].values.dtype != rows.values.dtype:
        return False
    every = [*heap, rows]
    total = sum(len(r.places) for r in every) * _width(heap[0])
    own = sum(len(r.places) * _width(r) for r in every)
    if fused:
        return total - own <= max(PADDED_IN_XLA, own)
    return total - own <= PADDED and own <= COPIED


def _below(heap: list[Rows]) -> Rows:
    if len(heap) == 1:
        return heap[0]
    width = _width(heap[0])
    padded = [
        tf.pad(rows.values, [[0, 0], [0, width - _width(rows)]])
        if _width(rows) < width
        else rows.values
        for rows in heap
    ]
    padding = [rows.padding + width - _width(rows) for rows in heap]
    places = [place for rows in heap for place in rows.places]
    values = tf.concat(padded, axis=0)
    return Rows(places, values, np.concatenate(padding))


def _width(rows: Rows) -> int:
    return rows.values.shape.as_list()[1]


def in_order(found: tf.Tensor, places: list[int], count: int) -> tf.Tensor:
    """Returns the columns of `[k, n]` at their places among V, else NaN."""
    if not places:
        return tf.fill([found.shape.as_list()[0], count], np.float32(np.nan))
    if places == list(range(count)):
        return found
    position = {place: index for index, place in enumerate(places)}
    order = [position.get(place, len(places)) for place in range(count)]
    nan = tf.fill([found.shape.as_list()[0], 1], np.float32(np.nan))
    return tf.gather(tf.concat([found, nan], axis=1), order, axis=1)
