"""One statistic of one run as bytes: what a heatmap is drawn from.

A head of six uint32 (rows, columns, start, total, mark, written), float64 steps
[columns], then float32 values [rows, columns], row by row; little-endian. NaN
and infinities are kept, which JSON cannot do, and 200 layers x 1000 steps take
0.1 ms instead of 240.
"""

from __future__ import annotations

import struct

from gradscope.format.schema import OCCASIONAL

#: Of one reply. A browser copes with more, a reverse proxy or a notebook's
#: does not; what is longer is asked for in parts.
MAX_BYTES = 16 * 2**20

_HEAD = struct.Struct("<6I")


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
    """A column beyond `MAX_BYTES`; its text is for the user."""


def fitting(rows: int) -> int:
    """Returns how many columns of so many rows one reply can hold.

    Raises:
        TooLarge: If there is not room for one.
    """
    columns = (MAX_BYTES - _HEAD.size) // (8 + 4 * rows)
    if columns < 1:
        raise TooLarge(
            f"`rows` must be at most {(MAX_BYTES - 32) // 4} a run, for a "
            f"reply has at most {MAX_BYTES} bytes; got {rows}: choose one "
            "layer or activation with `only`."
        )
    return columns


def encode(steps, values, *, start=0, total=None, mark=0, written=0) -> bytes:
    """Returns the bytes described above.

    Args:
        steps: [T], integers below 2**53.
        values: float32 [T, rows], as in a record: a row of its own per step.
        start: How many columns there are before the first one.
        total: How many columns there are in all; as many as here if None.
        mark: See `parts.mark`.
        written: How many columns there were before TensorBoard sampled some
            away, 0 if nobody knows.
    """
    columns, rows = values.shape
    total = start + columns if total is None else total
    head = _HEAD.pack(rows, columns, start, total, mark, written)
    return (
        head + steps.astype("<f8").tobytes() + values.T.astype("<f4").tobytes()
    )
