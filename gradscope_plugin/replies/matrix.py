"""Encodes one statistic of a run as bytes, from which a heatmap is drawn.

The bytes are a head of six uint32 (rows, columns, start, total, mark, written),
float64 steps [columns], then float32 values [rows, columns], row by row; all
little-endian. Unlike JSON they can hold NaN and infinities, and they are far
faster to make.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gradscope.format.schema import OCCASIONAL

if TYPE_CHECKING:
    import numpy as np

    from gradscope.reading.record import Record

#: Bytes of the largest reply. A browser takes more, but a reverse proxy or that
#: of a notebook may not. The page asks for longer ones in parts.
MAX_BYTES = 16 * 2**20

# 24 bytes, so that the steps behind them lie at a multiple of their 8 bytes, as
# arrays of JavaScript must.
_HEAD = struct.Struct("<6I")


def _kernels(record, statistic):
    # In 1-D variables a gradient of zero is often right (a bias before batch
    # normalisation), so they can be left out.
    rows = [len(v.shape) >= 2 for v in record.schema.variables]
    return record[statistic][:, rows]


def _all(record, statistic):
    return record[statistic]


#: For each kind of rows the family, and a function that selects the values.
ROWS = {
    "layers": ("variables", lambda record, name: record.by_layer(name)),
    "kernels": ("variables", _kernels),
    "variables": ("variables", _all),
    "activations": ("activations", _all),
    "state": ("state", _all),
    "data": ("data", _all),
    "units": ("units", None),
}


def select(
    record: Record, rows: str, statistic: str
) -> tuple[np.ndarray, np.ndarray]:
    """Select the steps `[T]` and the values `[T, rows]` of a statistic.

    Args:
        record: The record.
        rows: A key of `ROWS`; `"units"` are recorded in some steps only.
        statistic: A column of the rows' family.

    Raises:
        KeyError: If the run has no such numbers, as in a truncated file.
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
    """A single step beyond `MAX_BYTES`; its text is for the user."""


def columns_per_reply(rows: int) -> int:
    """Compute how many columns of `rows` values a reply can hold.

    Raises:
        TooLarge: If it cannot hold a single one.
    """
    # A column has its step, of 8 bytes, and a float32 number for each row.
    columns = (MAX_BYTES - _HEAD.size) // (8 + 4 * rows)
    if columns < 1:
        raise TooLarge(
            f"`rows` must be at most {(MAX_BYTES - 32) // 4} per run, because "
            f"a reply has at most {MAX_BYTES} bytes; got {rows}. Choose one "
            "layer or activation with `only`."
        )
    return columns


def encode(
    steps: np.ndarray,
    values: np.ndarray,
    *,
    start: int = 0,
    total: int | None = None,
    mark: int = 0,
    written: int = 0,
) -> bytes:
    """Encode steps and values as described above.

    Args:
        steps: Integers `[T]` below 2**53, a column of the matrix each.
        values: float32 `[T, rows]`.
        start: Number of columns before the first of these.
        total: Number of all columns; `start` and these by default.
        mark: The checksum of `record_parts.mark`.
        written: Number of columns before TensorBoard dropped some, 0 if that is
            unknown.
    """
    columns, rows = values.shape
    total = start + columns if total is None else total
    head = _HEAD.pack(rows, columns, start, total, mark, written)
    return (
        # JavaScript counts in float64, which has all integers below 2**53.
        head + steps.astype("<f8").tobytes() + values.T.astype("<f4").tobytes()
    )
