"""All statistics of one row over time: what the page draws of one layer."""

from __future__ import annotations

import numpy as np

from gradscope_plugin.replies import matrix

#: Kinds of rows of which there are series.
ROWS = ("layers", "variables", "activations", "state")


def select(record, rows: str):
    """Returns the steps `[T]` and the statistics `[T, S]` of a record's first
    row, in the order of its columns.

    Args:
        record: A `gradscope.Record` of one layer, see `parts.only`.
        rows: One of `ROWS`.
    """
    family, _ = matrix.ROWS[rows]
    columns = [
        matrix.select(record, rows, name)[1][:, 0]
        for name in record.schema.columns[family]
    ]
    return record.steps, np.stack(columns, axis=1)
