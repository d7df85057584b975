"""Rule about kernels that are zero at the start, and stay zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.setup.initial_weights import (
    GLOROT,
    HE,
    min_records,
)
from gradscope.diagnosis.spells import spells
from gradscope.diagnosis.wording import finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="zero-init",
        rank=20,
        ceiling="error",
        what="Kernels start at zero and get no gradient.",
        shown_by=Shown(("weight_norm",)),
        limits={
            "records": Limit(
                10,
                "number of consecutive recorded steps in which all weights "
                "and gradients are zero",
            ),
        },
        cause_rank=10,
        symptoms=(
            "zero-gradient",
            "dead-relu",
            "symmetric-units",
            "vanishing-gradient",
            "init-too-small",
            "update-too-small",
            "learning-rate",
            "hidden-softmax",
            "loss-metric-disagree",
        ),
    )
)


@rule
def zero_init(view: View, limits: Limits) -> Findings:
    """Kernels that start at zero and have a zero gradient because of it.

    A zero kernel in the last layer alone is no fault: it has a gradient, and
    changes in the first step.
    """
    weights, gradients = view.get("weight_norm"), view.get("gradient_norm")
    fewest = min_records(view, limits["zero-init.records"])
    zero_kernels = []
    for row in view.kernels:
        is_stuck = (weights[:, row] == 0) & (gradients[:, row] == 0)
        zero_spells = spells(is_stuck, fewest)
        zero_kernels += [(row, zero_spells[0])] if zero_spells else []
    if not zero_kernels or _is_last_layer_only(view, zero_kernels):
        return
    row, spell = zero_kernels[0]
    layers = [view.layer(row) for row, _ in zero_kernels]
    yield finding(
        view,
        "zero-init",
        "error",
        view.layer(row),
        spell,
        what=f"All weights of {join_code(layers)} are zero, and so are their "
        "gradients" + (", so they stay zero" if spell.until_the_end else ""),
        evidence={
            "weight_norm": 0.0,
            "gradient_norm": 0.0,
            "records": spell.length,
            "records_limit": limits["zero-init.records"],
            "layers": layers,
        },
        cause="Weights of zero multiply the inputs and the backpropagated "
        f"gradient by zero.{_reach_of_zeros(view, spell, layers)}",
        remedy=f"Start kernels with small random numbers: {HE}{GLOROT}. "
        "Biases may start at zero.",
    )


def _reach_of_zeros(view: View, spell: Spell, layers: list[str]) -> str:
    """Tell which of the other layers get no gradient either.

    Args:
        view: The run.
        spell: Recorded steps in which kernels are zero.
        layers: The layers of these kernels.
    """
    gradients = view.get("gradient_norm")[spell.slice]
    other_kernels = [
        row for row in view.kernels if view.layer(row) not in layers
    ]
    silent = [row for row in other_kernels if (gradients[:, row] == 0).all()]
    if not silent:
        return " The other layers get a gradient." if other_kernels else ""
    if len(silent) == len(other_kernels):
        return " No other layer gets a gradient, whatever the learning rate."
    names = [view.layer(row) for row in silent]
    verb = "gets" if len(set(names)) == 1 else "get"
    return (
        f" Besides, {join_code(names)} {verb} no gradient; the other layers do."
    )


def _is_last_layer_only(
    view: View, zero_kernels: list[tuple[int, Spell]]
) -> bool:
    """Return whether the only zero kernel is that of the last layer.

    If hidden activations are not zero, its gradient is zero for another
    reason than its own weights.
    """
    rows = [row for row, _ in zero_kernels]
    if rows != view.kernels[-1:] or len(view.kernels) < 2:
        return False
    hidden = [
        r
        for r, activation in view.activations
        if not view.is_output(activation)
    ]
    return bool(np.nanmax(view.get("activation_rms")[:5, hidden], initial=0))
