"""Rules about units that are dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.example_variation import are_outputs_constant
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median, spells
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View
    from gradscope.format.rows import Activation


declare(
    Kind(
        name="dead-relu",
        rank=180,
        ceiling="error",
        what="Most units of a layer are dead: zero for every example.",
        needs="activations",
        shown_by=Shown(("dead_fraction", "zero_fraction")),
        limits={
            "error": Limit(
                0.9,
                "share of dead units; it reports all 9 dead layers, and none "
                "in 66 healthy runs (our measurement)",
            ),
            "note": Limit(0.5, "share of dead units that is worth a note"),
        },
        cause_rank=160,
        symptoms=(
            "zero-gradient",
            "vanishing-gradient",
            "loss-metric-disagree",
            "update-too-small",
        ),
    )
)


@rule
def dead_relu(view: View, limits: Limits) -> Findings:
    """Layers in which many units are dead until the end of the run.

    A unit is dead if it fires for no example of a window of 1000 examples or
    more; see `gradscope.recording.unit_history`. Needs activations.
    """
    if are_outputs_constant(view) and _get_nothing(view):
        return  # `nothing_learned` reports this
    dead = view.get("dead_fraction").astype(float)
    # Devices differ in what a ReLU and a maximum make of NaN.
    dead[~view.is_finite] = np.nan
    constant = dead + np.nan_to_num(view.get("always_on_fraction"))
    for activation, row, spell, severity in _dead_layers(view, limits, dead):
        share = float(median(dead[spell.slice, row]))
        layer = view.layer_of(activation)
        yield finding(
            view,
            "dead-relu",
            severity,
            layer,
            spell,
            what=f"{percent(share)} of the units of {code(layer)} are dead: "
            "they were zero for every example of the last window, so no "
            "gradient reaches their own weights",
            evidence={
                "dead_fraction": share,
                "dead_fraction_limit": limits[
                    "dead-relu.error"
                    if share >= limits["dead-relu.error"]
                    else "dead-relu.note"
                ],
                "dead_or_always_on": median(constant[spell.slice, row]),
            },
            cause=_cause_of_death(view, row, spell)
            + " Whatever changes what they receive may revive them: layers "
            "before this one that are trained, or other inputs.",
            remedy="Lower the learning rate, start "
            + (
                ""
                if _starts_at_zero(view, layer)
                else "the biases at zero and "
            )
            + 'the kernels with `kernel_initializer="he_normal"`, or use '
            '`activation="leaky_relu"`.',
        )


def _starts_at_zero(view: View, layer: str) -> bool:
    """Return whether the biases of a layer were recorded to start at zero."""
    biases = [
        row
        for row, variable in enumerate(view.schema.variables)
        if variable.layer == layer and len(variable.shape) == 1
    ]
    starts = view.get("weight_norm")[0, biases]
    return view.is_from_start and bool(biases) and not starts.any()


def _get_nothing(view: View) -> bool:
    """Return whether a layer is silent though no weight or bias makes it so.

    Where biases are zero and weights as likely below as above zero, some unit
    fires for any input that is not zero.
    """
    biases = {
        variable.layer: float(view.get("weight_norm")[0, row])
        for row, variable in enumerate(view.schema.variables)
        if len(variable.shape) == 1
    }
    for row, activation in view.activations:
        layer = view.layer_of(activation)
        # By chance, ten such units are all silent for one input in a thousand.
        is_silent = view.get("zero_fraction")[0, row] == 1
        if is_silent and activation.units > 10 and biases.get(layer) == 0:
            initializer = view.config(layer, "kernel_initializer") or {}
            return initializer.get("class_name") in _EVEN
    return False


#: Initializers whose weights are as likely below as above zero.
_EVEN = (
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "LecunUniform",
    "LecunNormal",
)


def _cause_of_death(view: View, row: int, spell: Spell) -> str:
    """Tell units that never fired from those that died, and how fast.

    Args:
        view: The run.
        row: Row of the activation.
        spell: Recorded steps in which its units are dead.
    """
    dead = view.get("dead_fraction")[:, row].astype(float)
    zero = view.get("zero_fraction")[:, row].astype(float)
    step = int(view.steps[spell.start])
    share = float(median(dead[spell.slice]))
    # No unit counts as dead before the first window is full.
    first_window = int(np.isfinite(dead).argmax())
    is_early = spell.start < first_window + 5 or step < 50
    # Units that never fired are zero in the first step, too.
    if is_early and not (view.is_from_start and zero[0] < 0.95 * share):
        since = "the start" if view.is_from_start else "the first record"
        return (
            f"They were dead from {since} on. Possible reasons are large "
            "negative biases, or inputs and weights that keep them below zero."
        )
    return (
        "They fired at first and died later: what the ReLU receives became "
        "zero or negative for every example. A learning rate that is too large "
        "is the usual reason; inputs of the layer that became zero or constant "
        "are another."
    )


def _dead_layers(
    view: View, limits: Limits, dead: np.ndarray
) -> list[tuple[Activation, int, Spell, str]]:
    """List the layers with dead units at the end, each with its row of `dead`,
    the spell since when, and the severity."""
    layers = []
    for row, activation in view.activations:
        # An output that is always zero is a finding of `relu_output`.
        if activation.units < 2 or view.is_output(activation):
            continue
        # A layer above the stricter limit gets no note in addition.
        for severity in ("error", "note"):
            limit = limits[f"dead-relu.{severity}"]
            dead_spells = spells(dead[:, row] >= limit, 5)
            if dead_spells and dead_spells[-1].until_the_end:
                # The other units have learned enough.
                has_learned = severity == "error" and view.loss_fall > 0.8
                lowered = "warning" if has_learned else severity
                layers.append((activation, row, dead_spells[-1], lowered))
                break
    return layers
