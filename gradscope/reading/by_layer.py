"""Statistics of a layer from the statistics of its variables.

A variable without a gradient in a step takes no part in that step; a layer
without any is NaN. Norms add as squares: the norm of a layer is the norm of
all its elements taken as one vector.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradscope.format.columns import (
    RATE_COLUMNS,
    STATISTICS,
    VARIABLE_COLUMNS,
)
from gradscope.format.rows import Variable

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: All statistics of variables, with those that only some records have.
COLUMNS = (*VARIABLE_COLUMNS, *RATE_COLUMNS)


def by_layer(record: Record, statistic: str) -> np.ndarray:
    """Compute a statistic of each layer, float32 `[T, L]`.

    Each statistic is declared with one of these rules. `"norm"`: the root of
    the sum of squares; `"rms"`: the layer's norm over the root of its number of
    elements; `"ratio"`: that of the layer's norms; `"mean"`: weighted by size;
    `"sum"`, `"largest"`; `"smallest"`: of the variables that have a number;
    `"all"`: 1 where it is 1 for all variables. docs/statistics.md has the rule
    of each.

    Args:
        record: A `gradscope.Record`.
        statistic: Name of a column of the family `variables`.

    Raises:
        KeyError: If no such column exists.
    """
    if statistic not in COLUMNS:
        raise KeyError(
            f"{statistic!r} is not a statistic of variables. Choose one of "
            f"{', '.join(VARIABLE_COLUMNS)}."
        )
    declared = STATISTICS[statistic]
    rule, sources = declared.of_layer.rule, declared.of_layer.sources
    if rule == "ratio":
        # The ratio of a layer's norms, not a mean of its variables' ratios: a
        # bias that starts at zero has an infinite one.
        over, under = (by_layer(record, name) for name in sources)
        with np.errstate(all="ignore"):
            return over / under
    (source,) = sources or (statistic,)
    values = record[source].astype(np.float64)
    if declared.needs_gradient:
        sizes = record["gradient_size"].astype(np.float64)
        missing = record["gradient_missing"] != 0
    else:
        sizes = np.array([v.size for v in record.schema.variables], np.float64)
        sizes = np.broadcast_to(sizes, values.shape)
        # A variable that is no part of the step has NaN in both columns.
        missing = np.isnan(record["gradient_missing"]) & np.isnan(values)
    order, starts = _groups(record.schema.variables)
    columns = _Columns(
        values[:, order], sizes[:, order], missing[:, order], starts
    )
    with np.errstate(all="ignore"):
        numbers = _RULES[rule](columns)
        nowhere = columns.reduce(np.logical_and, columns.missing)
        return np.where(nowhere, np.nan, numbers).astype(np.float32)


def _groups(
    variables: Sequence[Variable],
) -> tuple[np.ndarray | slice, list[int]]:
    """Order variables by layer.

    In this order one numpy operation reduces all layers; an operation for
    each of 1000 layers would be slow.

    Returns:
        The order of the variables, and the position at which each layer
        begins in that order.
    """
    layers = {}
    for index, variable in enumerate(variables):
        layers.setdefault(variable.layer, []).append(index)
    order = [index for indices in layers.values() for index in indices]
    starts = np.cumsum([0, *map(len, layers.values())])[:-1]
    # A slice takes a view, where an array of indices would copy a table that
    # may have gigabytes.
    in_order = order == list(range(len(order)))
    return slice(None) if in_order else np.array(order), starts.tolist()


@dataclasses.dataclass
class _Columns:
    """Values of V variables in T steps, those of a layer side by side.

    Attributes:
        values: float64 `[T, V]`.
        sizes: Numbers of elements, float64 `[T, V]`.
        missing: Which values take no part, bool `[T, V]`.
        starts: Position at which each layer begins.
    """

    values: np.ndarray
    sizes: np.ndarray
    missing: np.ndarray
    starts: list[int]

    def reduce(self, operation: np.ufunc, numbers: np.ndarray) -> np.ndarray:
        """Reduce the numbers `[T, V]` of each layer to one, `[T, L]`."""
        return operation.reduceat(numbers, self.starts, axis=1)

    def with_missing(
        self, numbers: np.ndarray, replacement: float = 0.0
    ) -> np.ndarray:
        """Replace the numbers of variables that take no part."""
        return np.where(self.missing, replacement, numbers)

    def total(self, numbers: np.ndarray) -> np.ndarray:
        """Add the numbers of the variables that take part."""
        return self.reduce(np.add, self.with_missing(numbers))


def _norm(columns: _Columns) -> np.ndarray:
    return np.sqrt(columns.total(columns.values**2))


def _rms(columns: _Columns) -> np.ndarray:
    squares = columns.total(columns.values**2)
    return np.sqrt(squares / columns.total(columns.sizes))


def _mean(columns: _Columns) -> np.ndarray:
    # The mean over no element is NaN, and must not count.
    weighted = np.where(columns.sizes > 0, columns.values * columns.sizes, 0.0)
    return columns.total(weighted) / columns.total(columns.sizes)


def _sum(columns: _Columns) -> np.ndarray:
    return columns.total(columns.values)


def _largest(columns: _Columns) -> np.ndarray:
    return columns.reduce(np.maximum, columns.with_missing(columns.values))


def _smallest(columns: _Columns) -> np.ndarray:
    # `fmin` ignores NaN: biases have no units to compare.
    return columns.reduce(np.fmin, columns.with_missing(columns.values, np.nan))


def _all(columns: _Columns) -> np.ndarray:
    # The number that changes no minimum of zeros and ones.
    return columns.reduce(np.minimum, columns.with_missing(columns.values, 1.0))


#: The rules of `statistic.OfLayer`, without that of ratios.
_RULES: dict[str, Callable[[_Columns], np.ndarray]] = {
    "all": _all,
    "largest": _largest,
    "mean": _mean,
    "norm": _norm,
    "rms": _rms,
    "smallest": _smallest,
    "sum": _sum,
}
