"""Finds at which steps each row of a record is NaN or infinite.

A record also has NaN for numbers that are undefined or were not recorded. So
the proof is a count of non-finite elements; NaN itself is a proof only where
the number must be defined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.format.schema import FAMILIES

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: For each kind the names of its R rows, and bool `[T, R]`: not finite.
Masks = dict[str, tuple[tuple[str, ...], np.ndarray]]


def find_nonfinite(record: Record, applied: np.ndarray) -> Masks:
    """Find for each kind the steps at which its rows are not finite."""
    variables = record.variables
    # A share of at most 2^18 numbers, to which older records add rounding.
    data = column_values(record, "data_nonfinite") > 1e-6
    by_kind = {
        "weight": (variables, _not_finite(record, "weight_norm")),
        "layer": (
            record.schema.rows("operations"),
            operation_outputs(record) != 0,
        ),
        "activation": (
            record.activations,
            column_values(record, "activation_nonfinite") > 0,
        ),
        "gradient": (
            variables,
            column_values(record, "gradient_nonfinite") > 0,
        ),
        "update": (variables, _not_finite(record, "update_norm")),
    }
    for kind in ("input", "target", "output"):
        data_rows = record.schema.rows("data")
        rows = [n for n, name in enumerate(data_rows) if name.startswith(kind)]
        names = tuple(data_rows[row] for row in rows)
        by_kind[kind] = names, data[:, rows]
    by_kind = {
        kind: (names, mask & applied[:, np.newaxis])
        for kind, (names, mask) in by_kind.items()
    }
    loss = applied & _loss_not_finite(record, any_row(by_kind))
    return by_kind | {"loss": (("",), loss[:, np.newaxis])}


def operation_outputs(record: Record) -> np.ndarray:
    """Read the outputs of operations as infinity, NaN or 0, `[T, rows]`.

    0 stands for a finite output.
    """
    out = np.zeros([len(record.steps), len(record.schema.operations)])
    steps, values = record.occasional("operations")
    for step, codes in zip(steps, values[:, :, 0], strict=True):
        out[record.steps == step] = np.select(
            [codes == 1, codes == 2], [np.inf, np.nan], 0.0
        )
    return out


def applied_steps(record: Record) -> np.ndarray:
    """Find the steps in which any variable took part, bool `[T]`.

    A step that a loss scale skipped has a header and nothing else.
    """
    return (~_absent(record)).any(axis=1)


def _absent(record: Record) -> np.ndarray:
    """Find the variables that are no part of a step, bool `[T, V]`."""
    values = record.families["variables"]
    absent = np.ones(values.shape[:2], bool)
    # In most runs the first column decides, and the rest of a table that may
    # have gigabytes is not looked at.
    for column in np.moveaxis(values, 2, 0):
        absent &= np.isnan(column)
        if not absent.any():
            break
    return absent


def any_row(by_kind: Masks) -> np.ndarray:
    """Find the steps in which any row is not finite, bool `[T]`."""
    return np.any([mask.any(axis=1) for _, mask in by_kind.values()], axis=0)


def _not_finite(record: Record, norm: str) -> np.ndarray:
    """Find where a norm is not finite although it is defined, bool `[T, V]`.

    A variable that took no part in a step has NaN in all columns; of one that
    took part, the count of non-finite elements of the gradient is a number.
    """
    values = column_values(record, norm)
    took_part = np.isfinite(column_values(record, "gradient_nonfinite"))
    if norm == "update_norm":  # a variable without a gradient has one, too
        took_part |= np.isfinite(column_values(record, "weight_norm"))
    return np.isinf(values) | (np.isnan(values) & took_part)


def _loss_not_finite(record: Record, dirty: np.ndarray) -> np.ndarray:
    """Find the steps in which the loss is not finite, bool `[T]`.

    Args:
        record: The record.
        dirty: Whether anything else is not finite in a step, bool `[T]`.
    """
    loss = row_series(record, "loss", "")
    must_be_number = loss_is_known(record)
    if record.schema.loss_is_known is None:  # of an older version
        must_be_number &= dirty | _has_been(record, np.isfinite(loss))
    return np.isinf(loss) | (np.isnan(loss) & must_be_number)


def loss_is_known(record: Record) -> np.ndarray:
    """Find the steps in which the loss must be a number, bool `[T]`.

    Without a known model the loss is NaN, too, but then the model's inputs are
    unknown as well. In a loop that computes its own loss, after a `fit` with
    the same optimizer, the inputs are known and the targets are not.
    """
    finite = np.isfinite(row_series(record, "loss", ""))
    is_recorded = np.isfinite(column_values(record, "data_nonfinite"))
    was_found = is_recorded.any(axis=1) & (
        record.schema.loss_is_known is not False
    )
    is_computed = _has_been(record, finite) | was_found
    targets = [
        row
        for row, name in enumerate(record.schema.rows("data"))
        if name.startswith("target")
    ]
    has_targets = is_recorded[:, targets].any(axis=1)
    return is_computed & has_targets if has_targets.any() else is_computed


def _has_been(record: Record, flags: np.ndarray) -> np.ndarray:
    """Find the steps at or after which a flag was set for the same variables.

    Steps of other variables do not count: a run may have several optimizers,
    and the model of one may be known while that of another is not.
    """
    result = np.zeros(len(flags), bool)
    groups: dict[bytes, list[int]] = {}
    # Packed, the flags of a step are a short key.
    for step, absent in enumerate(np.packbits(_absent(record), axis=1)):
        groups.setdefault(absent.tobytes(), []).append(step)
    for indices in groups.values():
        result[indices] = np.logical_or.accumulate(flags[indices])
    return result


def _family(statistic: str) -> str:
    return next(f for f, names in FAMILIES.items() if statistic in names)


def column_values(record: Record, statistic: str) -> np.ndarray:
    """Read a statistic, `[T, rows]`; NaN if it was not recorded."""
    shape = len(record.steps), len(record.schema.rows(_family(statistic)))
    if statistic not in record.statistics:
        return np.full(shape, np.nan, np.float32)
    return record[statistic].reshape(shape)


def row_series(record: Record, statistic: str, name: str) -> np.ndarray:
    """Read a statistic of one row, or of the step as a whole, `[T]`."""
    family = _family(statistic)
    row = 0 if family == "run" else record.schema.rows(family).index(name)
    return column_values(record, statistic)[:, row]
