"""Where a number became NaN or infinite first.

One step runs forward, then backward: from inputs and targets over weights,
activations and outputs to the loss, from there to the gradients, the last
layer's first, and to the updates. What is first in this order is the cause;
what comes behind it is its consequence.

NaN also means that a number is undefined or was not recorded. So a count of
elements is proof, and NaN itself only where the number must be defined.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gradscope.format.schema import FAMILIES
from gradscope.reading import nonfinite_text

#: How many recorded steps before it are told.
_BEFORE = 10

#: The kinds in the order of a step, each with what tells how large a row was:
#: infinite if the row has infinities and no NaN.
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

#: What is told besides of the steps before.
_OF_VARIABLE = ("gradient_norm", "weight_norm", "update_norm")
_OF_STEP = ("global_gradient_norm", "learning_rate", "loss")


@dataclasses.dataclass(frozen=True, eq=False)
class NonFinite:
    """What became NaN or infinite first.

    Attributes:
        kind: `"input"`, `"target"`, `"weight"`, `"layer"`, `"activation"`,
            `"output"`, `"loss"`, `"gradient"` or `"update"`.
        name: Name of its row, None for the loss; of a layer with the type of
            the operation, as in `dense_2 (MatMul)`.
        step: The recorded step in which it was seen.
        last_clean_step: The last recorded step before it, in which all was
            finite; None if there is none.
        is_overflow: Whether it is infinite without a NaN.
        dtype: Name of the dtype of a variable, an activation or what an
            operation of a layer returned, else None.
        exact: Whether every step since the last clean one was recorded, so
            that nothing can have been non-finite before `step`.
        steps_before: int64 [n], the recorded steps just before, up to 10.
        before: The values in these steps, float32 [n], of the row's
            statistics, and of `global_gradient_norm`, `learning_rate` and
            `loss`.
        weights_were_finite: Whether all weights that the step had were still
            finite before it.
        loss_is_known: Whether the loss of the step was recorded; else it may
            have come before a gradient.
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

    @property
    def message(self) -> str:
        """All this in one paragraph."""
        return nonfinite_text.message(self)


def first_nonfinite(record) -> NonFinite | None:
    """Returns what became NaN or infinite first, None if nothing did.

    Steps that a loss scale skipped do not count: by their overflows it finds
    its scale, and they changed nothing.

    Args:
        record: A `gradscope.Record`.
    """
    made = _made(record)
    found = _found(record, made)
    dirty = _any(found)
    if not dirty.any():
        return None
    index = int(np.argmax(dirty))
    kind, (names, masks) = next(
        (kind, found[kind]) for kind in _SIZES if found[kind][1][index].any()
    )
    # Going backward, the last layer comes first.
    last_first = -1 if kind == "gradient" else 1
    name = names[::last_first][int(np.argmax(masks[index][::last_first]))]
    told = {s: _of_row(record, s, name) for s in _told_of(kind)}
    clean = np.flatnonzero(made[:index])
    step = int(record.steps[index])
    last = int(record.steps[clean[-1]]) if len(clean) else None
    since = record.steps[:index] > (-1 if last is None else last)
    before = clean[-_BEFORE:]
    sizes = np.array([told[size][index] for size in _SIZES[kind]])
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
        before={s: values[before] for s, values in told.items()},
        weights_were_finite=_weights_were_finite(record, found, index),
        loss_is_known=bool(_loss_is_known(record)[index]),
    )


def _found(record, made) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Returns for each kind the names of its R rows, and bool `[T, R]`: where
    they are not finite."""
    variables = record.variables
    # A share of at most 2^18 numbers; older records have rounding in it.
    data = _column(record, "data_nonfinite") > 1e-6
    found = {
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
        told = record.schema.rows("data")
        rows = [n for n, name in enumerate(told) if name.startswith(kind)]
        names = tuple(told[row] for row in rows)
        found[kind] = names, data[:, rows]
    found = {
        kind: (names, mask & made[:, np.newaxis])
        for kind, (names, mask) in found.items()
    }
    loss = made & _loss_not_finite(record, _any(found))
    return found | {"loss": (("",), loss[:, np.newaxis])}


def _operations(record) -> np.ndarray:
    """Returns what operations made, `[T, rows]`: infinity, NaN, or 0 for
    neither."""
    out = np.zeros([len(record.steps), len(record.schema.operations)])
    steps, values = record.occasional("operations")
    for step, found in zip(steps, values[:, :, 0], strict=True):
        out[record.steps == step] = np.select(
            [found == 1, found == 2], [np.inf, np.nan], 0.0
        )
    return out


def _made(record) -> np.ndarray:
    """Returns in which steps a variable took part, bool `[T]`: of one that a
    loss scale skipped, nothing but the header is recorded."""
    return (~_absent(record)).any(axis=1)


def _absent(record) -> np.ndarray:
    """Returns which variables are no part of a step, bool `[T, V]`."""
    values = record.families["variables"]
    absent = np.ones(values.shape[:2], bool)
    for column in np.moveaxis(values, 2, 0):
        absent &= np.isnan(column)
        if not absent.any():
            break
    return absent


def _any(found) -> np.ndarray:
    return np.any([mask.any(axis=1) for _, mask in found.values()], axis=0)


def _not_finite(record, norm: str) -> np.ndarray:
    """Returns where a norm is infinite, or NaN of a variable that took part
    in the step, bool `[T, V]`.

    One that did not has only NaN; of one that did, the number of elements of
    the gradient that are not finite is a number.
    """
    values = _column(record, norm)
    took_part = np.isfinite(_column(record, "gradient_nonfinite"))
    if norm == "update_norm":  # of a variable without a gradient, too
        took_part |= np.isfinite(_column(record, "weight_norm"))
    return np.isinf(values) | (np.isnan(values) & took_part)


def _loss_not_finite(record, others: np.ndarray) -> np.ndarray:
    """Returns in which steps the loss is not finite, bool `[T]`.

    Args:
        record: The record.
        others: In which steps something else is not finite.
    """
    loss = _of_row(record, "loss", "")
    was_known = _has_been(record, np.isfinite(loss))
    known = was_known | (others & _loss_is_known(record))
    return np.isinf(loss) | (np.isnan(loss) & known)


def _loss_is_known(record) -> np.ndarray:
    """Returns in which steps the loss must be a number, bool `[T]`.

    It is NaN, too, where nobody knows the model; then nothing is known of the
    model's inputs either.
    """
    finite = np.isfinite(_of_row(record, "loss", ""))
    data = np.isfinite(_column(record, "data_nonfinite")).any(axis=1)
    return _has_been(record, finite) | data


def _has_been(record, flags: np.ndarray) -> np.ndarray:
    """Returns where a flag is set, or was in an earlier step of the same
    variables: another optimizer's model, or another part's, need not be known
    where this one is."""
    out = np.zeros(len(flags), bool)
    alike: dict[bytes, list[int]] = {}
    for step, absent in enumerate(np.packbits(_absent(record), axis=1)):
        alike.setdefault(absent.tobytes(), []).append(step)
    for own in alike.values():
        out[own] = np.logical_or.accumulate(flags[own])
    return out


def _weights_were_finite(record, found, index: int) -> bool:
    has = np.isfinite(_column(record, "weight_norm")[index]).any()
    return bool(has and not found["weight"][1][index].any())


def _told_of(kind: str) -> tuple[str, ...]:
    of_row = _SIZES[kind]
    if kind in ("weight", "gradient", "update"):
        of_row = of_row + _OF_VARIABLE
    return tuple(dict.fromkeys(of_row + _OF_STEP))


def _family(statistic: str) -> str:
    return next(f for f, names in FAMILIES.items() if statistic in names)


def _column(record, statistic: str) -> np.ndarray:
    """Returns a statistic, `[T, rows]`; NaN where it was not recorded."""
    shape = len(record.steps), len(record.schema.rows(_family(statistic)))
    if statistic not in record.statistics:
        return np.full(shape, np.nan, np.float32)
    return record[statistic].reshape(shape)


def _of_row(record, statistic: str, name: str) -> np.ndarray:
    """Returns a statistic of one row or of the whole step, `[T]`."""
    family = _family(statistic)
    row = 0 if family == "run" else record.schema.rows(family).index(name)
    return _column(record, statistic)[:, row]


def _dtype(record, name: str) -> str | None:
    schema = record.schema
    rows = (*schema.variables, *schema.activations, *schema.operations)
    return next((row.dtype for row in rows if row.name == name), None)
