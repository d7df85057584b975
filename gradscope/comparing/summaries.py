"""Summarises the differences of each layer and variable over all steps."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from gradscope.comparing.difference import NORMS

if TYPE_CHECKING:
    from gradscope.comparing.comparison import Comparison


def layer_rows(comparison: Comparison, most: int | None = None) -> list[dict]:
    """Summarise the relative differences of each layer's norms and gradient.

    Args:
        comparison: The comparison.
        most: Number of layers, the first in forward order; all by default.

    Returns:
        A dict for each layer: its name, whether its gradient is mostly noise,
        and for each norm the median and the largest difference over all steps.
    """
    owners: dict[str, list[int]] = {}
    for row, variable in enumerate(comparison.a.schema.variables):
        owners.setdefault(variable.layer, []).append(row)
    quiet = comparison.noise
    differences = {norm: comparison.by_layer(norm) for norm in NORMS}
    differences["gradient"] = comparison.gradients_by_layer
    return [
        {
            "layer": layer,
            "noise": _mostly(quiet[:, owners[layer]].all(axis=1)),
            **{
                norm: _summary(values[:, index])
                for norm, values in differences.items()
            },
        }
        for index, layer in enumerate(comparison.layers[:most])
    ]


def variable_rows(comparison: Comparison) -> list[dict]:
    """Summarise each variable, as `layer_rows` does each layer."""
    quiet = comparison.noise
    differences = {norm: comparison[norm] for norm in NORMS}
    differences["gradient"] = comparison.gradients
    return [
        {
            "variable": name,
            "variable_b": name_b,
            "noise": _mostly(quiet[:, index]),
            **{
                norm: _summary(values[:, index])
                for norm, values in differences.items()
            },
        }
        for index, (name, name_b) in enumerate(comparison.names)
    ]


def _mostly(values) -> bool:
    return bool(len(values) and np.mean(values) > 0.5)


def _summary(values) -> dict:
    with warnings.catch_warnings():
        # numpy warns of a column that is all NaN.
        warnings.simplefilter("ignore")
        # Without an initial value `nanmax` fails where no step is given. No
        # difference is negative.
        median, largest = np.nanmedian(values), np.nanmax(values, initial=-1)
    is_defined = np.isfinite(median)
    return {
        "median": float(median) if is_defined else None,
        "largest": float(largest) if is_defined else None,
    }
