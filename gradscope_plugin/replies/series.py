"""Selects all statistics of one row over time, for the details of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope_plugin.replies import matrix

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: Kinds of rows that have series.
ROWS = ("layers", "variables", "activations", "state")


def select(record: Record, rows: str) -> tuple[np.ndarray, np.ndarray]:
    """Select the steps `[T]` and the statistics `[T, S]` of the first row.

    Args:
        record: A record of one row or layer, see `record_parts.select_rows`.
        rows: One of `ROWS`; its columns give the order of the statistics.
    """
    family, _ = matrix.ROWS[rows]
    columns = [
        matrix.select(record, rows, name)[1][:, 0]
        for name in record.schema.columns[family]
    ]
    return record.steps, np.stack(columns, axis=1)
