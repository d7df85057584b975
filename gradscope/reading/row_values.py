"""Selects a statistic's values with the names of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.format.columns import VARIABLE_COLUMNS
from gradscope.reading.by_layer import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradscope.reading.record import Record

#: Row name of numbers that belong to a step as such, as the learning rate.
WHOLE_STEP = "run"


def values_of(
    record: Record, statistic: str, rows: str
) -> tuple[Sequence[str], np.ndarray]:
    """Select the names of N rows, and their values of a statistic, [T, N].

    Args:
        record: The record.
        statistic: Name of the statistic.
        rows: `"layers"` or `"variables"`. Statistics of others, such as
            activations, have rows of their own.

    Raises:
        KeyError: If the run has no such statistic; the message lists all.
    """
    values = record[statistic]
    if values.ndim == 1:
        return [WHOLE_STEP], values[:, np.newaxis]
    if statistic in COLUMNS and rows == "layers":
        return record.layers, record.by_layer(statistic)
    # A run without such rows has no such family, only its columns.
    family = next(
        family
        for family, columns in record.schema.columns.items()
        if statistic in columns
    )
    return record.schema.rows(family), values


def missing_of(record: Record, statistic: str, rows: str) -> np.ndarray | None:
    """Select `gradient_missing` of the rows of a statistic of variables.

    Returns None for other statistics, and where it was not recorded.
    """
    if statistic not in VARIABLE_COLUMNS:
        return None
    try:
        return values_of(record, "gradient_missing", rows)[1]
    except KeyError:  # a record of an early version
        return None


def sizes_of(record: Record, statistic: str, rows: str) -> list[int] | None:
    """Count the weights or units of the rows of a statistic.

    Returns None for rows that have neither.
    """
    columns = record.schema.columns
    if statistic in columns.get("activations", ()):
        return [activation.units for activation in record.schema.activations]
    if statistic not in COLUMNS:
        return None
    variables = record.schema.variables
    if rows == "variables":
        return [variable.size for variable in variables]
    sizes = dict.fromkeys(record.layers, 0)
    for variable in variables:
        sizes[variable.layer] += variable.size
    return list(sizes.values())
