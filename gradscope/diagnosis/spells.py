"""Spells: consecutive recorded steps at which a condition holds.

Rules look for long spells, so that a single odd step makes no finding.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True)
class Spell:
    """Consecutive recorded steps of a run.

    Attributes:
        start: Index of the first recorded step of the spell.
        stop: Index after the last one.
        count: Number of recorded steps of the run.
    """

    start: int
    stop: int
    count: int

    @property
    def length(self) -> int:
        """Number of recorded steps in the spell."""
        return self.stop - self.start

    @property
    def until_the_end(self) -> bool:
        """Whether the last recorded step of the run belongs to the spell."""
        return self.stop == self.count

    @property
    def slice(self) -> slice:
        """Slice that selects the spell from an array over recorded steps."""
        return slice(self.start, self.stop)


def spells(holds: np.ndarray, min_length: float = 1) -> list[Spell]:
    """List the spells of at least `min_length` recorded steps, in order.

    Args:
        holds: bool [T], whether the condition holds in each recorded step.
        min_length: Number of recorded steps that make a spell.

    Examples:
        >>> holds = np.array([True, False, True, True])
        >>> spells(holds, min_length=2)
        [Spell(start=2, stop=4, count=4)]
    """
    # With False at both ends, each spell has two edges: start and stop.
    padded = np.concatenate([[False], np.asarray(holds, bool), [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    bounds = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [
        Spell(start, stop, len(holds))
        for start, stop in bounds
        if stop - start >= min_length
    ]


def longest_spell(holds: np.ndarray, min_length: float = 1) -> Spell | None:
    """Find the longest spell of at least `min_length` recorded steps.

    Args:
        holds: bool [T], whether the condition holds in each recorded step.
        min_length: Number of recorded steps that make a spell.

    Returns:
        The spell, the first of several that are equally long; None without any.
    """
    candidates = spells(holds, min_length)
    return (
        max(candidates, key=lambda spell: spell.length) if candidates else None
    )


def running_median(values: np.ndarray, records: int = 9) -> np.ndarray:
    """Compute the running median of a series, which removes single odd steps.

    Args:
        values: [T], one number for each recorded step.
        records: Width of the window in recorded steps, odd.

    Returns:
        float64 [T]; NaN where all values of the window are NaN.

    Examples:
        >>> running_median([1.0, 1.0, 9.0, 1.0, 1.0], records=3).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    half = records // 2
    if len(values) == 0:
        return np.asarray(values, float)
    # NaN do not count, so that windows are smaller at both ends.
    padded = np.pad(np.asarray(values, float), half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, records)
    return median(windows, axis=1)


def smallest(values: ArrayLike) -> float:
    """Find the smallest number without NaN; NaN where all values are.

    As `np.nanmin`, but without warnings, as `largest` and `average`: a record
    may lack what a rule asks for, or have batches without examples.

    Examples:
        >>> smallest([2.0, np.nan, 1.0]), largest([]), average([1.0, 3.0])
        (1.0, nan, 2.0)
    """
    numbers = _without_nan(values)
    return float(numbers.min()) if numbers.size else np.nan


def largest(values: ArrayLike) -> float:
    """Find the largest number without NaN; NaN where all values are."""
    return -smallest(-np.asarray(values, float))


def average(values: ArrayLike) -> float:
    """Compute the mean without NaN; NaN where all values are."""
    numbers = _without_nan(values)
    return float(numbers.mean()) if numbers.size else np.nan


def _without_nan(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, float)
    numbers: np.ndarray = array[~np.isnan(array)]
    return numbers


@overload
def median(values: ArrayLike, axis: None = None) -> float: ...
@overload
def median(values: ArrayLike, axis: int) -> np.ndarray: ...
def median(values: ArrayLike, axis: int | None = None) -> float | np.ndarray:
    """Compute the median without NaN, as `np.nanmedian`, but without warnings.

    Args:
        values: Numbers of any shape.
        axis: Axis to reduce; None reduces all axes to one number.

    Returns:
        The median; NaN where all values are NaN, or none are.

    Examples:
        >>> float(median([1.0, np.nan, 2.0, 6.0]))
        2.0
    """
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
