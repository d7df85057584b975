"""Finds where a number first became NaN or infinite.

A step runs forward and then backward: from inputs and targets over weights,
activations and outputs to the loss, and from the loss to the gradients (those
of the last layer first) and the updates. The first non-finite number in this
order is the cause; all later ones are its consequences.

A record also has NaN for numbers that are undefined or were not recorded. So
the proof is a count of non-finite elements; NaN itself is a proof only where
the number must be defined.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gradscope.format.schema import FAMILIES
from gradscope.reading import nonfinite_text

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: Most recorded steps before it that `NonFinite.before` has.
_BEFORE = 10

#: The kinds in the order of a step, each with the statistics that give the
#: size of a row: infinite if the row has infinities and no NaN.
_SIZES = {
    "input": ("data_rms", "data_max", "data_min"),
    "target": ("data_rms", "data_max", "data_min"),
    "weight": ("weight_norm",),
    "layer": (),
    "activation": ("activation_rms", "activation_max"),
    "output": ("data_rms", "data_max", "data_min"),
    "loss": ("loss",),
    "gradient": ("gradient_norm",),
    "update": ("update_norm",),
}

#: Statistics of the steps before that `NonFinite.before` has in any case.
_OF_VARIABLE = ("gradient_norm", "weight_norm", "update_norm")
_OF_STEP = ("global_gradient_norm", "learning_rate", "loss")


#: For each kind the names of its R rows, and bool `[T, R]`: not finite.
_Masks = dict[str, tuple[tuple[str, ...], np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class NonFinite:
    """The first number of a run that became NaN or infinite.

    Attributes:
        kind: `"input"`, `"target"`, `"weight"`, `"layer"`, `"activation"`,
            `"output"`, `"loss"`, `"gradient"` or `"update"`.
        name: Name of its row, None for the loss. The name of a layer is
            followed by the type of the operation, as in `dense_2 (MatMul)`.
        step: The first recorded step in which it is not finite.
        last_clean_step: The last recorded step before it, in which everything
            was finite; None without such a step.
        is_overflow: Whether it has infinities and no NaN.
        dtype: Name of the dtype of the variable, the activation or the output
            of the layer's operation; None for other kinds.
        exact: Whether every step since the last clean one was recorded, so
            that nothing can have been non-finite before `step`.
        steps_before: int64 [n], the recorded steps just before, up to 10.
        before: The values in these steps, float32 [n], of the row's
            statistics, and of `global_gradient_norm`, `learning_rate` and
            `loss`.
        weights_were_finite: Whether all weights of the step were still finite
            before it.
        loss_is_known: Whether the loss of the step was recorded; an unknown
            loss may have become non-finite before a gradient did.
        lasts: Whether anything is still not finite in the last recorded step.
        lost_loss: Since which recorded step the loss is not finite until the
            end, and its last value; None if the loss ends finite or is not
            known.
    """

    kind: str
    name: str | None
    step: int
    last_clean_step: int | None
    is_overflow: bool
    dtype: str | None
    exact: bool
    steps_before: np.ndarray
    before: dict[str, np.ndarray]
    weights_were_finite: bool
    loss_is_known: bool
    lasts: bool = False
    lost_loss: tuple[int, float] | None = None

    @property
    def headline(self) -> str:
        """What is not finite, since when, and where it began: one line."""
        return nonfinite_text.headline(self)

    @property
    def message(self) -> str:
        """The finding and its remedy, as one paragraph."""
        return nonfinite_text.message(self)


def first_nonfinite(record: Record) -> NonFinite | None:
    """Find the first NaN or infinity of a run, None if all was finite.

    Steps that a loss scale skipped do not count: their overflows are how a
    dynamic loss scale is adjusted, and they changed no weight.

    Args:
        record: A `gradscope.Record`.
    """
    applied = _applied(record)
    by_kind = _find_nonfinite(record, applied)
    dirty = _any(by_kind)
    if not dirty.any():
        return None
    index = int(np.argmax(dirty))
    kind, (names, masks) = next(
        (kind, by_kind[kind])
        for kind in _SIZES
        if by_kind[kind][1][index].any()
    )
    # Going backward, the last layer comes first.
    last_first = -1 if kind == "gradient" else 1
    name = names[::last_first][int(np.argmax(masks[index][::last_first]))]
    series = {s: _of_row(record, s, name) for s in _statistics_of(kind)}
    # All steps before the first that is not finite are clean, but for skipped
    # ones.
    clean = np.flatnonzero(applied[:index])
    step = int(record.steps[index])
    last = int(record.steps[clean[-1]]) if len(clean) else None
    since = record.steps[:index] > (-1 if last is None else last)
    before = clean[-_BEFORE:]
    # Sizes are infinite if there are infinities alone, and NaN if there is any
    # NaN.
    sizes = np.array([series[size][index] for size in _SIZES[kind]])
    if kind == "layer":
        sizes = _operations(record)[index]
    return NonFinite(
        kind=kind,
        name=name or None,
        step=step,
        last_clean_step=last,
        is_overflow=bool(np.isinf(sizes).any() and not np.isnan(sizes).any()),
        dtype=_dtype(record, name),
        exact=step - (-1 if last is None else last) == 1 + int(since.sum()),
        steps_before=record.steps[before],
        before={s: values[before] for s, values in series.items()},
        weights_were_finite=_weights_were_finite(record, by_kind, index),
        loss_is_known=bool(_loss_is_known(record)[index]),
        lasts=bool(dirty[np.flatnonzero(applied)[-1]]),
        lost_loss=_lost_loss(record, applied, by_kind["loss"][1][:, 0]),
    )


def _lost_loss(
    record: Record, applied: np.ndarray, lost: np.ndarray
) -> tuple[int, float] | None:
    """Find since when the loss is not finite until the end of the run."""
    steps = np.flatnonzero(applied)
    finite = np.flatnonzero(~lost[steps])
    since = finite[-1] + 1 if len(finite) else 0
    if since == len(steps):
        return None
    last = float(_of_row(record, "loss", "")[steps[-1]])
    return int(record.steps[steps[since]]), last


def _find_nonfinite(record: Record, applied: np.ndarray) -> _Masks:
    """Find for each kind the steps at which its rows are not finite."""
    variables = record.variables
    # A share of at most 2^18 numbers, to which older records add rounding.
    data = _column(record, "data_nonfinite") > 1e-6
    by_kind = {
        "weight": (variables, _not_finite(record, "weight_norm")),
        "layer": (record.schema.rows("operations"), _operations(record) != 0),
        "activation": (
            record.activations,
            _column(record, "activation_nonfinite") > 0,
        ),
        "gradient": (variables, _column(record, "gradient_nonfinite") > 0),
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
    loss = applied & _loss_not_finite(record, _any(by_kind))
    return by_kind | {"loss": (("",), loss[:, np.newaxis])}


def _operations(record: Record) -> np.ndarray:
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


def _applied(record: Record) -> np.ndarray:
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


def _any(by_kind: _Masks) -> np.ndarray:
    """Find the steps in which any row is not finite, bool `[T]`."""
    return np.any([mask.any(axis=1) for _, mask in by_kind.values()], axis=0)


def _not_finite(record: Record, norm: str) -> np.ndarray:
    """Find where a norm is not finite although it is defined, bool `[T, V]`.

    A variable that took no part in a step has NaN in all columns; of one that
    took part, the count of non-finite elements of the gradient is a number.
    """
    values = _column(record, norm)
    took_part = np.isfinite(_column(record, "gradient_nonfinite"))
    if norm == "update_norm":  # a variable without a gradient has one, too
        took_part |= np.isfinite(_column(record, "weight_norm"))
    return np.isinf(values) | (np.isnan(values) & took_part)


def _loss_not_finite(record: Record, dirty: np.ndarray) -> np.ndarray:
    """Find the steps in which the loss is not finite, bool `[T]`.

    Args:
        record: The record.
        dirty: Whether anything else is not finite in a step, bool `[T]`.
    """
    loss = _of_row(record, "loss", "")
    must_be_number = _loss_is_known(record)
    if record.schema.loss_is_known is None:  # of an older version
        must_be_number &= dirty | _has_been(record, np.isfinite(loss))
    return np.isinf(loss) | (np.isnan(loss) & must_be_number)


def _loss_is_known(record: Record) -> np.ndarray:
    """Find the steps in which the loss must be a number, bool `[T]`.

    Without a known model the loss is NaN, too, but then the model's inputs are
    unknown as well. In a loop that computes its own loss, after a `fit` with
    the same optimizer, the inputs are known and the targets are not.
    """
    finite = np.isfinite(_of_row(record, "loss", ""))
    known = np.isfinite(_column(record, "data_nonfinite"))
    was_found = known.any(axis=1) & (record.schema.loss_is_known is not False)
    is_computed = _has_been(record, finite) | was_found
    targets = [
        row
        for row, name in enumerate(record.schema.rows("data"))
        if name.startswith("target")
    ]
    has_targets = known[:, targets].any(axis=1)
    return is_computed & has_targets if has_targets.any() else is_computed


def _has_been(record: Record, flags: np.ndarray) -> np.ndarray:
    """Find the steps at or after which a flag was set for the same variables.

    Steps of other variables do not count: a run may have several optimizers,
    and the model of one may be known while that of another is not.
    """
    result = np.zeros(len(flags), bool)
    groups: dict[bytes, list[int]] = {}
    for step, absent in enumerate(np.packbits(_absent(record), axis=1)):
        groups.setdefault(absent.tobytes(), []).append(step)
    for indices in groups.values():
        result[indices] = np.logical_or.accumulate(flags[indices])
    return result


def _weights_were_finite(record: Record, by_kind: _Masks, index: int) -> bool:
    has_weights = np.isfinite(_column(record, "weight_norm")[index]).any()
    return bool(has_weights and not by_kind["weight"][1][index].any())


def _statistics_of(kind: str) -> tuple[str, ...]:
    """List the statistics of the steps before that explain a kind."""
    of_row = _SIZES[kind]
    if kind in ("weight", "gradient", "update"):
        of_row = of_row + _OF_VARIABLE
    return tuple(dict.fromkeys(of_row + _OF_STEP))


def _family(statistic: str) -> str:
    return next(f for f, names in FAMILIES.items() if statistic in names)


def _column(record: Record, statistic: str) -> np.ndarray:
    """Read a statistic, `[T, rows]`; NaN if it was not recorded."""
    shape = len(record.steps), len(record.schema.rows(_family(statistic)))
    if statistic not in record.statistics:
        return np.full(shape, np.nan, np.float32)
    return record[statistic].reshape(shape)


def _of_row(record: Record, statistic: str, name: str) -> np.ndarray:
    """Read a statistic of one row, or of the step as a whole, `[T]`."""
    family = _family(statistic)
    row = 0 if family == "run" else record.schema.rows(family).index(name)
    return _column(record, statistic)[:, row]


def _dtype(record: Record, name: str) -> str | None:
    schema = record.schema
    rows = (*schema.variables, *schema.activations, *schema.operations)
    return next((row.dtype for row in rows if row.name == name), None)
