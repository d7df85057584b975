"""Rules about activations that are dead, saturated or missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.results.learned import are_outputs_constant
from gradscope.diagnosis.spells import (
    longest_spell,
    median,
    running_median,
    spells,
)
from gradscope.diagnosis.wording import code, finding, join_code, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View
    from gradscope.format.rows import Activation, Variable


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
            "they are zero for every example, so no gradient can revive them",
            evidence={
                "dead_fraction": share,
                "dead_fraction_limit": limits[
                    "dead-relu.error"
                    if share >= limits["dead-relu.error"]
                    else "dead-relu.note"
                ],
                "dead_or_always_on": median(constant[spell.slice, row]),
            },
            cause=_cause_of_death(view, row, spell),
            remedy="Lower the learning rate, start the biases at zero and the "
            'kernels with `kernel_initializer="he_normal"`, or use '
            '`activation="leaky_relu"`.',
        )


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
        return (
            "They were dead from the start. Possible reasons are large "
            "negative biases, or inputs and weights that keep them below zero."
        )
    return (
        "They fired at first and died later: updates of their kernel or bias "
        "made what they receive negative for every example. A learning rate "
        "that is too large is the usual reason; inputs of the layer that "
        "became zero or constant are another."
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
    min_records = min(
        limits["saturated-activation.records"], max(10, view.count // 2)
    )
    for row, activation in view.activations:
        if activation.kind not in (
            "sigmoid",
            "tanh",
            "hard_sigmoid",
            "softsign",
        ):
            continue
        if view.is_output(activation) or _is_last(view, activation):
            continue
        limit = limits["saturated-activation.fraction"]
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


declare(
    Kind(
        name="missing-nonlinearity",
        rank=100,
        ceiling="warning",
        what="There are only linear operations between two layers.",
        is_note_if_learned=True,
        shown_by=Shown(("gradient_norm",)),
    )
)


@rule
def missing_nonlinearity(view: View, limits: Limits) -> Findings:
    """Pairs of layers with nothing but linear operations between them.

    Together they compute one linear function, as a single layer could. A
    narrow layer between wide ones may be meant (a bottleneck), and so may one
    that feeds several kernels (a projection). They are left out, unless the
    whole network is linear.
    """
    pairs = getattr(view.schema, "linear", ())
    if not pairs:
        return
    by_name = {v.name: v for v in view.schema.variables}
    kernels = [view.schema.variables[row].name for row in view.kernels]
    linear_pairs = [p for p in pairs if p[0] in by_name and p[1] in by_name]
    layers = list(dict.fromkeys(by_name[a].layer for a, _ in linear_pairs))
    # All but the first kernel follow another one without a nonlinearity.
    all_linear = len(kernels) > 1 and len({b for _, b in linear_pairs}) >= (
        len(kernels) - 1
    )
    if not all_linear:
        linear_pairs = [
            (a, b) for a, b in linear_pairs if not _is_bottleneck(a, b, by_name)
        ]
        linear_pairs = [
            p for p in linear_pairs if not _is_projection(p[0], linear_pairs)
        ]
        layers = list(dict.fromkeys(by_name[a].layer for a, _ in linear_pairs))
    if not linear_pairs:
        return
    yield finding(
        view,
        "missing-nonlinearity",
        "warning" if all_linear or len(linear_pairs) > 1 else "note",
        layers[0],
        None,
        what=f"The output of {join_code(layers)} reaches the next layer "
        "without an activation function"
        + (
            ", and the network has none between any two layers"
            if all_linear
            else ""
        ),
        evidence={"layers": layers, "pairs": len(linear_pairs)},
        cause="Two layers with only linear operations between them compute "
        "one linear function, so they can do no more than a single layer."
        + ("" if all_linear else " A narrow layer may be linear on purpose."),
        remedy="Give the hidden layers an activation: "
        '`Dense(..., activation="relu")`.',
    )


def _is_projection(first: str, pairs: list[tuple[str, str]]) -> bool:
    """Return whether a kernel feeds several others, as in attention.

    It makes the width that blocks, gates or heads need.
    """
    return sum(a == first for a, _ in pairs) > 1


def _is_bottleneck(
    first: str, second: str, by_name: dict[str, Variable]
) -> bool:
    """Return whether two kernels meet at a width much below their others.

    Such a factorisation of one large kernel is often linear on purpose.
    """
    a, b = by_name[first].shape, by_name[second].shape
    return a[-1] * 2 <= min(int(np.prod(a[:-1])), b[-1])


def _is_last(view: View, activation: Activation) -> bool:
    """Return whether an activation may be the output of the model.

    Where the outputs are not known, this is the last activation, and each
    activation of the last layer.
    """
    if view.outputs:
        return False
    last_layer = view.schema.layers[-1] if view.schema.layers else None
    return (
        activation == view.schema.activations[-1]
        or view.layer_of(activation) == last_layer
    )
