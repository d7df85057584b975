"""Statistics of a layer from the statistics of its variables.

A variable without a gradient in a step takes no part in that step; a layer
without any is NaN. Norms add as squares: the norm of a layer is the norm of
all its elements taken as one vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradscope.format.rows import Variable
from gradscope.format.schema import RATE_COLUMNS, VARIABLE_COLUMNS

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: All statistics of variables, with those that only some records have.
COLUMNS = (*VARIABLE_COLUMNS, *RATE_COLUMNS)

_NORMS = {
    "gradient_norm",
    "clipped_gradient_norm",
    "weight_norm",
    "update_norm",
}
_RMS = {"gradient_rms": "gradient_norm", "weight_rms": "weight_norm"}
_SUMS = {"gradient_nonfinite", "gradient_size"}
_RATIOS = {
    "gradient_to_weight_ratio": ("gradient_norm", "weight_norm"),
    "update_to_weight_ratio": ("update_norm", "weight_norm"),
}


def by_layer(record: Record, statistic: str) -> np.ndarray:
    """Compute a statistic of each layer, float32 `[T, L]`.

    Norms are the root of the sum of squares; an rms is the norm over the
    root of the number of elements; a ratio is that of the layer's norms; the
    maximum is the largest; `gradient_zero_fraction` is weighted by size;
    `gradient_nonfinite` and `gradient_size` are sums; `gradient_unit_spread`
    is the smallest, of variables that have one; `gradient_missing` is 1 where
    all of the layer's gradients are missing; `variable_learning_rate` is the
    largest.

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
    if statistic in _RATIOS:
        over, under = (by_layer(record, name) for name in _RATIOS[statistic])
        with np.errstate(all="ignore"):
            return over / under
    sizes = np.array([v.size for v in record.schema.variables], np.float64)
    sizes = np.broadcast_to(sizes, (len(record.steps), len(sizes)))
    values = record[_RMS.get(statistic, statistic)].astype(np.float64)
    missing = record["gradient_missing"] != 0
    if statistic == "gradient_missing":
        missing = np.isnan(record["gradient_missing"])
    elif "gradient" in statistic:
        sizes = record["gradient_size"].astype(np.float64)
    else:
        # A variable that is no part of the step has NaN in both columns.
        missing = np.isnan(record["gradient_missing"]) & np.isnan(values)
    order, starts = _groups(record.schema.variables)
    with np.errstate(over="ignore"):
        return _combine(
            statistic,
            values[:, order],
            sizes[:, order],
            missing[:, order],
            starts,
        ).astype(np.float32)


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
    in_order = order == list(range(len(order)))
    return slice(None) if in_order else np.array(order), starts.tolist()


def _combine(statistic, values, sizes, missing, starts) -> np.ndarray:
    """Combine the `[T, V]` values of each layer's variables to `[T, L]`."""

    def of_layers(operation, numbers):
        return operation.reduceat(numbers, starts, axis=1)

    masked = np.where(missing, 0.0, values)
    sizes = np.where(missing, 0.0, sizes)
    with np.errstate(all="ignore"):
        if statistic in _NORMS:
            result = np.sqrt(of_layers(np.add, masked**2))
        elif statistic in _RMS:
            squares = of_layers(np.add, masked**2)
            result = np.sqrt(squares / of_layers(np.add, sizes))
        elif statistic == "gradient_zero_fraction":
            # An empty variable has no zeros, but its fraction is NaN.
            zeros = np.where(sizes > 0, masked * sizes, 0.0)
            zeros = of_layers(np.add, zeros)
            result = zeros / of_layers(np.add, sizes)
        elif statistic == "gradient_unit_spread":
            # `fmin` ignores NaN: biases have no units to compare.
            spread = np.where(missing, np.nan, values)
            result = of_layers(np.fmin, spread)
        elif statistic in _SUMS:
            result = of_layers(np.add, masked)
        elif statistic == "gradient_missing":
            result = of_layers(np.minimum, np.where(missing, 1.0, values))
        else:
            result = of_layers(np.maximum, masked)
    return np.where(of_layers(np.logical_and, missing), np.nan, result)
