"""Finds where a number first became NaN or infinite.

A step runs forward and then backward: from inputs and targets over weights,
activations and outputs to the loss, and from the loss to the gradients (those
of the last layer first) and the updates. The first non-finite number in this
order is the cause; all later ones are its consequences.

`nonfinite_steps` tells which numbers are not finite, and which are NaN because
they are undefined.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gradscope.reading import nonfinite_text
from gradscope.reading.nonfinite_steps import (
    Masks,
    any_row,
    applied_steps,
    column_values,
    find_nonfinite,
    loss_is_known,
    operation_outputs,
    row_series,
)

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
        """One line: the NaN or infinity, since when, and where it began."""
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
    applied = applied_steps(record)
    by_kind = find_nonfinite(record, applied)
    dirty = any_row(by_kind)
    if not dirty.any():
        return None
    index = int(np.argmax(dirty))
    kind = next(kind for kind in _SIZES if by_kind[kind][1][index].any())
    names, masks = by_kind[kind]
    # Going backward, the last layer comes first.
    last_first = -1 if kind == "gradient" else 1
    name = names[::last_first][int(np.argmax(masks[index][::last_first]))]
    series = {s: row_series(record, s, name) for s in _statistics_of(kind)}
    # All steps before the first that is not finite are clean, but for skipped
    # ones.
    clean = np.flatnonzero(applied[:index])
    step = int(record.steps[index])
    last = int(record.steps[clean[-1]]) if len(clean) else None
    since = record.steps[:index] > (-1 if last is None else last)
    before = clean[-_BEFORE:]
    return NonFinite(
        kind=kind,
        name=name or None,
        step=step,
        last_clean_step=last,
        is_overflow=_is_overflow(record, kind, series, index),
        dtype=_dtype(record, name),
        # Each step between both is recorded: all of them were skipped.
        exact=step - (-1 if last is None else last) == 1 + int(since.sum()),
        steps_before=record.steps[before],
        before={s: values[before] for s, values in series.items()},
        weights_were_finite=_weights_were_finite(record, by_kind, index),
        loss_is_known=bool(loss_is_known(record)[index]),
        lasts=bool(dirty[np.flatnonzero(applied)[-1]]),
        lost_loss=_lost_loss(record, applied, by_kind["loss"][1][:, 0]),
    )


def _is_overflow(
    record: Record, kind: str, series: dict[str, np.ndarray], index: int
) -> bool:
    """Return whether a row has infinities and no NaN in a step."""
    # Sizes are infinite if there are infinities alone, and NaN if there is any
    # NaN.
    sizes = np.array([series[size][index] for size in _SIZES[kind]])
    if kind == "layer":
        sizes = operation_outputs(record)[index]
    return bool(np.isinf(sizes).any() and not np.isnan(sizes).any())


def _lost_loss(
    record: Record, applied: np.ndarray, lost: np.ndarray
) -> tuple[int, float] | None:
    """Find since when the loss is not finite until the end of the run."""
    steps = np.flatnonzero(applied)
    finite = np.flatnonzero(~lost[steps])
    since = finite[-1] + 1 if len(finite) else 0
    if since == len(steps):
        return None
    last = float(row_series(record, "loss", "")[steps[-1]])
    return int(record.steps[steps[since]]), last


def _weights_were_finite(record: Record, by_kind: Masks, index: int) -> bool:
    has_weights = np.isfinite(column_values(record, "weight_norm")[index]).any()
    return bool(has_weights and not by_kind["weight"][1][index].any())


def _statistics_of(kind: str) -> tuple[str, ...]:
    """List the statistics of the steps before that explain a kind."""
    of_row = _SIZES[kind]
    if kind in ("weight", "gradient", "update"):
        of_row = of_row + _OF_VARIABLE
    return tuple(dict.fromkeys(of_row + _OF_STEP))


def _dtype(record: Record, name: str) -> str | None:
    schema = record.schema
    rows = (*schema.variables, *schema.activations, *schema.operations)
    return next((row.dtype for row in rows if row.name == name), None)
