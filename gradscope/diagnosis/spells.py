"""Spells: recorded steps in a row for which something holds."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Spell:
    """Recorded steps in a row.

    Attributes:
        start: Index of the first of them.
        stop: Index behind the last.
        count: How many records there are in the run.
    """

    start: int
    stop: int
    count: int

    @property
    def length(self) -> int:
        """How many recorded steps it has."""
        return self.stop - self.start

    @property
    def until_the_end(self) -> bool:
        """Whether it goes on to the last recorded step."""
        return self.stop == self.count

    @property
    def slice(self) -> slice:
        """Its part of an array over the recorded steps."""
        return slice(self.start, self.stop)


def spells(holds: np.ndarray, least: float = 1) -> list[Spell]:
    """Returns the spells of at least so many recorded steps, in order.

    Args:
        holds: bool [T].
        least: How many records make a spell.
    """
    padded = np.concatenate([[False], np.asarray(holds, bool), [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    found = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [
        Spell(start, stop, len(holds))
        for start, stop in found
        if stop - start >= least
    ]


def longest(holds: np.ndarray, least: float = 1) -> Spell | None:
    """Returns the longest spell, None if none has `least` records."""
    found = spells(holds, least)
    return max(found, key=lambda s: s.length) if found else None


def smoothed(values: np.ndarray, records: int = 9) -> np.ndarray:
    """Returns the running median of a series, `[T]`; NaN where all of its
    window is: one odd step is nothing to speak of.

    Args:
        values: [T].
        records: Width of the window, odd.
    """
    half = records // 2
    if len(values) == 0:
        return np.asarray(values, float)
    padded = np.pad(np.asarray(values, float), half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, records)
    return median(windows, axis=1)


def median(values, axis=None):
    """`np.nanmedian` that is silent where there are only NaN."""
    values = np.asarray(values, float)
    ordered = np.sort(values, axis=axis)  # NaN go to the end
    if axis is None:
        ordered = ordered.reshape(-1)
        axis = 0
    counts = np.sum(~np.isnan(ordered), axis=axis, keepdims=True)
    if ordered.shape[axis] == 0:
        return np.full(np.squeeze(counts, axis).shape, np.nan)[()]
    low = np.take_along_axis(ordered, np.maximum(counts - 1, 0) // 2, axis)
    high = np.take_along_axis(
        ordered, np.minimum(counts // 2, ordered.shape[axis] - 1), axis
    )
    middle = np.where(counts > 0, (low + high) / 2, np.nan)
    return np.squeeze(middle, axis)[()]
