"""Rules about sigmoids and tanh at the ends of their range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import longest_spell, median, running_median
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View
    from gradscope.format.rows import Activation

#: Activation functions with a slope near zero at both ends of their range.
FLAT = ("sigmoid", "tanh", "hard_sigmoid", "softsign")

declare(
    Kind(
        name="saturated-activation",
        rank=190,
        ceiling="warning",
        what="The outputs of a hidden sigmoid or tanh layer are at the ends "
        "of their range; or attention attends to a single position from the "
        "first step on.",
        needs="activations",
        shown_by=Shown(("saturated_fraction",)),
        limits={
            "peaked": Limit(
                0.95,
                "rms of the attention weights, divided by their rms where a "
                "single weight is 1 (1 / sqrt(positions)); equal weights have "
                "an rms of 1 / positions",
            ),
            "fraction": Limit(
                0.8,
                "share of outputs at which the slope is below 0.05 of its "
                "maximum (Rakitianskaia and Engelbrecht 2015 use 0.85 of a "
                "similar measure)",
            ),
            "records": Limit(20, "number of consecutive recorded steps"),
        },
        cause_rank=180,
        symptoms=("zero-gradient", "update-too-small", "loss-metric-disagree"),
    )
)


@rule
def saturated_activation(view: View, limits: Limits) -> Findings:
    """Sigmoid or tanh layers whose outputs are at the ends of their range.

    Output layers are left out: there, saturation means a certain prediction.
    Needs activations.
    """
    share = view.get("saturated_fraction").astype(float)
    # A short run may have fewer records than the limit.
    min_records = min(
        limits["saturated-activation.records"], max(10, view.count // 2)
    )
    limit = limits["saturated-activation.fraction"]
    for row, activation in view.activations:
        if activation.kind not in FLAT or _may_be_output(view, activation):
            continue
        spell = longest_spell(
            running_median(share[:, row]) > limit, min_records
        )
        if spell is None:
            continue
        layer = view.layer_of(activation)
        value = float(median(share[spell.slice, row]))
        yield finding(
            view,
            "saturated-activation",
            "note" if view.loss_fall > 0.9 else "warning",
            layer,
            spell,
            what=f"{percent(value)} of the outputs of {code(layer)} "
            f"({activation.kind}) are saturated: they are at the ends of "
            "their range, where the slope is near zero",
            evidence={
                "saturated_fraction": value,
                "saturated_fraction_limit": limit,
                "loss_fall": view.loss_fall,
            },
            cause="The inputs of the activation are too large. Possible "
            "reasons are data that are not scaled, initial weights that are "
            "too large, or a learning rate that made the weights too large.",
            remedy="Scale the inputs to mean 0 and standard deviation 1, use "
            "the default initializer, or put batch normalisation before the "
            "activation.",
        )
        return  # layers behind the first one mostly share its cause


def _may_be_output(view: View, activation: Activation) -> bool:
    """Return whether an activation is or may be an output of the model.

    Where the outputs are not known, this is the last activation, and each
    activation of the last layer.
    """
    if view.outputs:
        return view.is_output(activation)
    return (
        activation == view.schema.activations[-1]
        or view.layer_of(activation) == view.last_layer
    )
