"""Rules about inputs that hardly vary, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data.data_scale import dtype_of
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="constant-input",
        rank=65,
        ceiling="error",
        what="All examples have the same input.",
        needs="model",
        shown_by=Shown(("data_variation",), role="input"),
        is_note_if_learned=True,  # a network may make one picture of nothing
        cause_rank=8,
        symptoms=(
            "dead-relu",
            "zero-gradient",
            "vanishing-gradient",
            "saturated-activation",
            "symmetric-units",
            "init-too-small",
            "loss-metric-disagree",
            "nothing-learned",
        ),
    )
)


@rule
def constant_input(view: View, limits: Limits) -> Findings:
    """Inputs that are the same for every example of every batch."""
    rows = view.data_rows("input")
    if not rows or view.count < 5:
        return
    variation = view.get("data_variation")[:, rows]
    # A batch of a single example has no variation (NaN).
    if (
        not (np.isfinite(variation).any(axis=0)).all()
        or variation[np.isfinite(variation)].any()
    ):
        return
    mean = view.get("data_mean")[:, rows].astype(float)
    if np.ptp(mean, axis=0).any():  # it differs from batch to batch
        return
    is_zero = not mean.any() and not view.get("data_rms")[:, rows].any()
    yield finding(
        view,
        "constant-input",
        "error",
        None,
        None,
        what="The input is zero for every example"
        if is_zero
        else "Every example has the same input",
        evidence={"input_variation": 0.0, "input_mean": float(mean[0, 0])},
        cause="Nothing that tells examples apart reaches the model. Possible "
        "reasons are an integer dtype that cuts fractions off, a division of "
        "integers, a scaling applied twice, or an array that was allocated "
        "and never filled.",
        remedy="Print one batch as it enters the model: its dtype, minimum, "
        "maximum and standard deviation.",
    )


@rule
def input_too_small(view: View, limits: Limits) -> Findings:
    """An input that hardly varies, as pixels divided by 255 twice."""
    row = _float_input(view)
    if row is None or view.is_normalised or not view.kernels:
        return
    scale = _first_scale(view)
    variation = float(median(view.get("data_variation")[:, row])) * scale
    size = float(median(view.get("data_rms")[:, row])) * scale
    # An input that is larger and hardly varies is not too small: it has an
    # offset.
    limit = limits["unscaled-input.small"]
    if not 0 < variation < limit or not 0 < size < 5 * limit:
        return
    name = view.schema.rows("data")[row]
    rescaled = (
        f" after the model's own `Rescaling` by {scale:.2g}"
        if scale != 1
        else ""
    )
    yield finding(
        view,
        "unscaled-input",
        "note" if view.loss_fall > 0.5 else "warning",
        view.layer(view.kernels[0]),
        None,
        what=f"`{name}` of the model hardly varies: its rms is {size:.2g} and "
        f"its examples differ by {variation:.2g}{rescaled}",
        evidence={
            "input_rms": size,
            "input_variation": variation,
            "input_variation_limit": limit,
            "loss_fall": view.loss_fall,
        },
        cause="Initializers and learning rates are made for inputs of about "
        "size 1. Pixels that are divided by 255 twice, once in the data and "
        "once in the model, become this small.",
        remedy="Scale the input once: remove one of the two divisions, or "
        "standardise it to mean 0 and standard deviation 1.",
    )


def _float_input(view: View) -> int | None:
    """Return the row of the only input if it has a floating dtype."""
    rows = view.data_rows("input")
    if len(rows) != 1 or not dtype_of(view, rows[0]).startswith(
        ("float", "bfloat")
    ):
        return None
    facts = [f for f in view.facts.values() if f.get("class") != "InputLayer"]
    if facts and facts[0].get("class") == "Embedding":
        return None  # indices
    return rows[0]


def _first_scale(view: View) -> float:
    """Return the factor of a `Rescaling` right behind the input; 1 without."""
    facts = [f for f in view.facts.values() if f.get("class") != "InputLayer"]
    if not facts or facts[0].get("class") != "Rescaling":
        return 1.0
    scale = (facts[0].get("config") or {}).get("scale")
    if isinstance(scale, int | float) and np.isfinite(scale):
        return abs(float(scale))
    return 1.0
