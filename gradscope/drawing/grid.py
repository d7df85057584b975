"""A statistic of some rows at some steps: kinds of cells, and the scale."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np

from gradscope.format.columns import STATISTICS
from gradscope.format.statistics.statistic import Drawing


class Kind(enum.IntEnum):
    """Kind of a cell; `merged_rows` chooses the one of several to draw."""

    ABSENT = 0  # not recorded, or no part of the step
    NUMBER = 1
    MISSING = 2  # the variable has no gradient
    ZERO = 3
    NAN = 4
    INFINITE = 5


#: What a cell without a number is called.
KIND_NAMES = {
    Kind.ZERO: "exactly zero",
    Kind.NAN: "NaN",
    Kind.INFINITE: "infinite",
    Kind.MISSING: "no gradient",
    Kind.ABSENT: "not recorded",
}


@dataclasses.dataclass(frozen=True)
class Scale:
    """Where a number lies between the ends of its scale.

    Attributes:
        is_log: Whether it is logarithmic.
        domain: The ends.
        center: The number in the middle of the colours, if there is one.
    """

    is_log: bool
    domain: tuple[float, float]
    center: float | None = None

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Compute positions: 0 is the lower end, and 1 the upper one."""
        low, high = self._place(np.array(self.domain, np.float64))
        places = self._place(values)
        center = None if self.center is None else self._place(self.center)
        # A user's domain may lie on one side of the center.
        if center is None or not low < center < high:
            return (places - low) / (high - low)
        # Each side has half of the colours, however long it is.
        return np.where(
            places < center,
            0.5 * (places - low) / (center - low),
            0.5 + 0.5 * (places - center) / (high - center),
        )

    def _place(self, values):
        values = np.asarray(values, np.float64)
        if not self.is_log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(values)


@dataclasses.dataclass(frozen=True)
class Grid:
    """A statistic of R rows at T steps.

    Attributes:
        statistic: Its name.
        label: Its name on the page.
        names: Names of the rows, input first.
        steps: int64 [T].
        values: float32 [T, R].
        kinds: `Kind` of each cell, [T, R].
        sizes: Weights or units of each row, [R]; 0 where they are not known.
        scale: The scale of its numbers.
        ends: Meaning of small and of large numbers, in words.
    """

    statistic: str
    label: str
    names: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray
    kinds: np.ndarray
    sizes: np.ndarray
    scale: Scale
    ends: tuple[str, str]

    @property
    def positions(self) -> np.ndarray:
        """Position of each cell on the scale, [T, R]."""
        return self.scale.positions(self.values)


def make_grid(
    statistic: str,
    names: Sequence[str],
    steps: np.ndarray,
    values: np.ndarray,
    *,
    missing: np.ndarray | None = None,
    sizes: Sequence[int] | None = None,
    domain: tuple[float, float] | None = None,
) -> Grid:
    """Make a grid.

    Args:
        statistic: Name of the statistic.
        names: Names of R rows.
        steps: int64 [T].
        values: float32 [T, R].
        missing: `gradient_missing` of the same cells, where it is known.
        sizes: Weights or units of the rows, where they are known.
        domain: Ends of the scale; those of the page by default.

    Raises:
        ValueError: If the ends are not ends of such a scale.
    """
    declared = STATISTICS.get(statistic)
    drawing = declared.drawing if declared else None
    is_log = drawing.scale == "log" if drawing else _is_log(values)
    return Grid(
        statistic,
        drawing.label if drawing else statistic.replace("_", " "),
        tuple(names),
        steps,
        values,
        _classify(
            values,
            missing,
            of_gradient=bool(declared and declared.needs_gradient),
            is_log=is_log,
            optional=bool(drawing and drawing.absent),
        ),
        np.zeros(len(names), int) if sizes is None else np.array(sizes),
        Scale(
            is_log,
            _checked(domain, is_log) or _domain(drawing, values, is_log),
            drawing.center if drawing else None,
        ),
        drawing.ends if drawing else ("small", "large"),
    )


def _classify(values, missing, *, of_gradient, is_log, optional) -> np.ndarray:
    """Find the kind of each cell, as `data/cell_kinds.js` of the page does."""
    kinds = np.full(values.shape, Kind.NUMBER, np.int8)
    kinds[np.isnan(values)] = Kind.ABSENT if optional else Kind.NAN
    if missing is not None:
        undefined = np.isnan(values)
        # It is NaN itself where the variable was no part of the step.
        kinds[undefined & np.isnan(missing)] = Kind.ABSENT
        if of_gradient:
            kinds[undefined & (missing == 1)] = Kind.MISSING
    kinds[np.isinf(values)] = Kind.INFINITE
    if is_log:
        # A logarithmic scale has no place for it; a linear one has.
        kinds[values == 0] = Kind.ZERO
    return kinds


def _is_log(values: np.ndarray) -> bool:
    # What is never negative is a size, of which the order of magnitude says
    # most.
    finite = values[np.isfinite(values)]
    return bool(len(finite) and (finite >= 0).all() and (finite > 0).any())


def _domain(
    drawing: Drawing | None, values: np.ndarray, is_log: bool
) -> tuple[float, float]:
    """Return the ends of a scale: declared ones, or those of the numbers."""
    if drawing:
        return drawing.domain
    usable = values[np.isfinite(values) & ((values > 0) | (not is_log))]
    if not len(usable):
        return (1.0, 10.0) if is_log else (0.0, 1.0)
    low, high = float(usable.min()), float(usable.max())
    if is_log:
        # Whole decades, so that both ends are numbers that one can read.
        low = 10.0 ** np.floor(np.log10(low))
        high = 10.0 ** np.ceil(np.log10(high))
        return (low, high) if low < high else (low, 10 * low)
    return (low, high) if low < high else (low, low + 1)


def _checked(domain, is_log) -> tuple[float, float] | None:
    if domain is None:
        return None
    low, high = map(float, domain)
    if not (low < high < np.inf) or (is_log and low <= 0):
        kind = "numbers above 0" if is_log else "numbers"
        raise ValueError(
            f"`domain` must be two {kind}, the smaller one first; got "
            f"{domain!r}."
        )
    return low, high
