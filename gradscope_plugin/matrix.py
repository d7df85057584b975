"""One statistic of one run as bytes: what a heatmap is drawn from.

uint32 rows, uint32 columns, float64 steps [columns], then float32 values
[rows, columns], row by row; little-endian. NaN and infinities are kept, which
JSON cannot do, and 200 layers x 1000 steps take 0.1 ms instead of 240.
"""

from __future__ import annotations

import struct

import numpy as np

from gradscope.schema import OCCASIONAL

# 200 layers x 80000 steps. A browser copes with more, a reverse proxy or a
# notebook's does not.
MAX_BYTES = 64 * 2**20


def _kernels(record, statistic):
    # In 1-D variables a gradient of zero is often right (a bias before batch
    # normalisation), so they can be left out.
    rows = [len(v.shape) >= 2 for v in record.schema.variables]
    return record[statistic][:, rows]


def _all(record, statistic):
    return record[statistic]


#: Of each kind of rows the record's family, and how to take its values out.
ROWS = {
    "layers": ("variables", lambda record, name: record.by_layer(name)),
    "kernels": ("variables", _kernels),
    "variables": ("variables", _all),
    "activations": ("activations", _all),
    "state": ("state", _all),
    "data": ("data", _all),
    "units": ("units", None),
}


def select(record, rows: str, statistic: str):
    """Returns the steps `[T]` and the values `[T, rows]` of one statistic.

    Args:
        record: A `gradscope.Record`.
        rows: A key of `ROWS`. Of `"units"` only some steps are recorded.
        statistic: A column of its family.

    Raises:
        KeyError: If the file has no such numbers, as one that was cut short.
    """
    family, take = ROWS[rows]
    if family not in OCCASIONAL:
        return record.steps, take(record, statistic)
    steps, values = record.occasional(family)
    if not len(steps):
        raise KeyError(f"no {family} were recorded so far.")
    column = record.schema.columns[family].index(statistic)
    return steps, values[:, :, column]


class TooLarge(ValueError):
    """A matrix beyond `MAX_BYTES`; its text is for the user."""


def encode(steps: np.ndarray, values: np.ndarray) -> bytes:
    """Returns the bytes described above.

    Args:
        steps: [T], integers below 2**53.
        values: float32 [T, rows], as in a record: a row of its own per step.

    Raises:
        TooLarge: If the result would be longer than `MAX_BYTES`.
    """
    columns, rows = values.shape
    size = 8 + 8 * columns + 4 * rows * columns
    if size > MAX_BYTES:
        raise TooLarge(
            f"{rows} rows x {columns} steps are {size} bytes, the limit is "
            f"{MAX_BYTES}: start TensorBoard with fewer steps, as in "
            "`--samples_per_plugin=gradscope=5000`."
        )
    head = struct.pack("<II", rows, columns)
    return (
        head + steps.astype("<f8").tobytes() + values.T.astype("<f4").tobytes()
    )
