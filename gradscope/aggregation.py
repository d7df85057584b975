"""Statistics of a layer from the statistics of its variables.

A variable without a gradient in a step takes no part in that step; a layer
without any is NaN. Norms add as squares: the norm of a layer is the norm of
all its elements taken as one vector.
"""

from __future__ import annotations

import numpy as np

from gradscope.schema import VARIABLE_COLUMNS

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


def by_layer(record, statistic: str) -> np.ndarray:
    """Returns a statistic of each layer, float32 `[T, L]`.

    Norms are the root of the sum of squares; an rms is the norm over the
    root of the number of elements; a ratio is that of the layer's norms; the
    maximum is the largest; `gradient_zero_fraction` is weighted by size;
    `gradient_nonfinite` and `gradient_size` are sums; `gradient_unit_spread`
    is the smallest, of variables that have one; `gradient_missing` is 1 where
    all of the layer's gradients are missing.

    Args:
        record: A `gradscope.Record`.
        statistic: Name of a column of the family `variables`.

    Raises:
        KeyError: If it is not one of them.
    """
    if statistic not in VARIABLE_COLUMNS:
        raise KeyError(
            f"{statistic!r} is not a statistic of variables; these are "
            f"{', '.join(VARIABLE_COLUMNS)}."
        )
    if statistic in _RATIOS:
        over, under = (by_layer(record, name) for name in _RATIOS[statistic])
        with np.errstate(all="ignore"):
            return over / under
    owners = np.array([v.layer for v in record.schema.variables])
    sizes = np.array([v.size for v in record.schema.variables], np.float64)
    sizes = np.broadcast_to(sizes, (len(record.steps), len(sizes)))
    values = record[_RMS.get(statistic, statistic)].astype(np.float64)
    missing = record["gradient_missing"] != 0
    if statistic == "gradient_missing":
        missing = np.isnan(record["gradient_missing"])
    elif "gradient" in statistic:
        sizes = record["gradient_size"].astype(np.float64)
    else:
        # What a step left out has neither weights nor an answer to this.
        missing = np.isnan(record["gradient_missing"]) & np.isnan(values)
    columns = [
        _combine(
            statistic,
            values[:, owners == layer],
            sizes[:, owners == layer],
            missing[:, owners == layer],
        )
        for layer in record.layers
    ]
    with np.errstate(over="ignore"):
        return np.stack(columns, axis=1).astype(np.float32)


def _combine(statistic, values, sizes, missing) -> np.ndarray:
    """Combines `[T, n]` values of one layer's variables to `[T]`."""
    present = np.where(missing, 0.0, values)
    sizes = np.where(missing, 0.0, sizes)
    with np.errstate(all="ignore"):
        if statistic in _NORMS:
            result = np.sqrt(np.sum(present**2, axis=1))
        elif statistic in _RMS:
            result = np.sqrt(np.sum(present**2, axis=1) / sizes.sum(axis=1))
        elif statistic == "gradient_zero_fraction":
            # Of an empty variable the share is undefined, the number zero.
            zeros = np.where(sizes > 0, present * sizes, 0.0)
            result = np.sum(zeros, axis=1) / sizes.sum(axis=1)
        elif statistic == "gradient_unit_spread":
            # Biases have none.
            result = np.fmin.reduce(np.where(missing, np.nan, values), axis=1)
        elif statistic in _SUMS:
            result = np.sum(present, axis=1)
        elif statistic == "gradient_missing":
            result = np.min(np.where(missing, 1.0, values), axis=1)
        else:
            result = np.max(present, axis=1)
    return np.where(missing.all(axis=1), np.nan, result)
