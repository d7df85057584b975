"""Rules about softmax: peaked, hidden, applied twice, or over wrong axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View
    from gradscope.format.rows import Activation

#: Layers whose output is that of their activation.
_PASSES_ON = ("Activation", "Softmax", "Conv1D", "Conv2D", "Conv3D")


@rule
def peaked_attention(view: View, limits: Limits) -> Findings:
    """Attention that attends to a single position from the first step on."""
    for row, activation in view.activations:
        rank = getattr(activation, "rank", 0)
        if activation.kind != "softmax" or rank < 3 or activation.units < 4:
            continue
        if view.is_output(activation) or not view.is_from_start:
            continue
        # Of n weights that add up to 1 the rms is 1 / sqrt(n) if one of them is
        # 1, and smaller otherwise.
        peak = view.get("activation_rms")[:, row] * np.sqrt(activation.units)
        limit = limits["saturated-activation.peaked"]
        # Beyond 1 it is another axis along which weights add up.
        is_peaked = (peak > limit) & (peak < 1.01)
        if not is_peaked.mean() > 0.9 or not is_peaked[0]:
            continue
        layer = view.layer_of(activation)
        yield finding(
            view,
            "saturated-activation",
            "note" if view.loss_fall > 0.9 else "warning",
            layer,
            None,
            what=f"The attention of {code(layer)} attends to a single position "
            "for every example, from the first step on",
            evidence={
                "peak": float(median(peak)),
                "peak_limit": limit,
                "loss_fall": view.loss_fall,
            },
            cause="Its scores are far apart. Where one weight is near 1, the "
            "slope of the softmax is near zero, so queries and keys hardly "
            "learn where to attend. Possible reasons are scores that are not "
            "divided by the square root of the width, and embeddings or "
            "weights that start too large.",
            remedy="Divide the scores by `width ** 0.5`, and use the default "
            "initializers.",
        )
        return


declare(
    Kind(
        name="hidden-softmax",
        rank=90,
        ceiling="warning",
        what="A softmax between layers has nearly equal outputs; one that "
        "selects a few units is only a note.",
        needs="activations",
        shown_by=Shown(("activation_rms",)),
        limits={
            "evenly": Limit(
                2.5,
                "rms of the outputs of a softmax divided by that of equal "
                "outputs; between layers it is 1 to 2.3 (benchmark), and a "
                "larger value means that a few units are selected",
            ),
        },
        cause_rank=170,
        symptoms=(
            "vanishing-gradient",
            "saturated-activation",
            "learning-rate",
            "loss-metric-disagree",
        ),
    )
)


@rule
def hidden_softmax(view: View, limits: Limits) -> Findings:
    """A softmax in front of a kernel, or of a loss that applies its own.

    A softmax whose output multiplies something else weighs it, as that of
    attention does, and is meant. So is one that selects a few units.
    """
    consumers = {w.name: w.detail for w in view.wiring("softmax_into")}
    for row, activation in view.activations:
        # A softmax of one unit has a rule of its own, `single_unit_softmax`.
        if activation.kind != "softmax" or activation.units < 2:
            continue
        layer = view.layer_of(activation)
        if view.is_output(activation):
            if view.loss_takes_logits:
                yield _double_softmax_finding(view, layer)
            continue
        consumer = consumers.get(activation.name) or _consumer(view, activation)
        if consumer != "kernel":
            continue  # a weight of something, as in attention
        rms = float(median(view.get("activation_rms")[:, row]))
        # Equal outputs of a softmax are 1 / units each.
        is_even = rms * activation.units < limits["hidden-softmax.evenly"]
        yield finding(
            view,
            "hidden-softmax",
            "warning" if is_even else "note",
            layer,
            None,
            what=f"The hidden layer {code(layer)} has a softmax, so its "
            "outputs sum to 1" + (" and each is tiny" if is_even else ""),
            evidence={
                "units": activation.units,
                "activation_rms": rms,
                "activation_rms_limit": limits["hidden-softmax.evenly"]
                / activation.units,
            },
            cause="A softmax turns outputs into probabilities. "
            + (
                "Here they are all of about the same size, so the next layer "
                "gets little that tells examples apart, and this one little "
                "of the gradient."
                if is_even
                else "Between layers, it lets few units win and leaves the "
                "others, and their gradient, near zero."
            ),
            remedy='Use `activation="relu"` in this layer, and keep the '
            "softmax for the last layer.",
        )


declare(
    Kind(
        name="single-unit-softmax",
        rank=40,
        ceiling="error",
        what="A softmax over a single unit is always 1.",
        needs="activations",
        shown_by=Shown(("activation_mean",)),
        cause_rank=30,
        symptoms=(
            "zero-gradient",
            "output-range",
            "loss-metric-disagree",
            "vanishing-gradient",
            "learning-rate",
            "constant-labels",
            "hidden-softmax",
        ),
    )
)


@rule
def single_unit_softmax(view: View, limits: Limits) -> Findings:
    """A softmax over a single unit, whose output is always 1."""
    for _, activation in view.activations:
        if activation.kind != "softmax" or activation.units != 1:
            continue
        # Along another axis a softmax of one unit is not always 1.
        if getattr(activation, "axis", -1) != -1:
            continue
        layer = view.layer_of(activation)
        yield finding(
            view,
            "single-unit-softmax",
            "error",
            layer,
            None,
            what=f"{code(layer)} applies a softmax to a single unit, so its "
            "output is always 1, whatever the input",
            evidence={"units": 1},
            cause="The outputs of a softmax sum to 1. A single unit always "
            "has all of this sum, so it gets no gradient.",
            remedy=_better_than_single_unit(view, activation),
        )


def _better_than_single_unit(view: View, activation: Activation) -> str:
    """Advise an alternative, by the place of the softmax if known."""
    for_output = (
        'For two classes, use `Dense(1, activation="sigmoid")` with binary '
        "cross-entropy, or two units with the softmax."
    )
    for_weights = (
        "If it is to weigh positions, as attention does, apply it along these: "
        '`Softmax(axis=1)`. For a gate, use `activation="sigmoid"`.'
    )
    if view.is_output(activation):
        return for_output
    return for_weights if view.outputs else f"{for_output} {for_weights}"


declare(
    Kind(
        name="softmax-axis",
        rank=50,
        ceiling="error",
        what="A softmax runs along the examples or positions, not the classes.",
        needs="activations",
        shown_by=Shown(("activation_mean",)),
        cause_rank=40,
        symptoms=("hidden-softmax", "loss-metric-disagree"),
    )
)


@rule
def softmax_axis(view: View, limits: Limits) -> Findings:
    """A softmax along an axis that is not that of the classes."""
    for _, activation in view.activations:
        axis = getattr(activation, "axis", -1)
        rank = getattr(activation, "rank", 0)
        if activation.kind != "softmax" or axis in (-1, rank - 1):
            continue
        # Inside of a model an axis may be that of positions, as in attention.
        if axis != 0 and not view.is_output(activation):
            continue
        layer = view.layer_of(activation)
        axis_text = "the examples of the batch" if axis == 0 else f"axis {axis}"
        yield finding(
            view,
            "softmax-axis",
            "error" if view.is_output(activation) else "warning",
            layer,
            None,
            what=f"The softmax of {code(layer)} runs along {axis_text}, not "
            "along the classes",
            evidence={"axis": axis, "rank": rank},
            cause="The values that sum to 1 belong to different examples (or "
            "positions), so the outputs of one example are not probabilities.",
            remedy="Use `axis=-1`, the default.",
        )


def _double_softmax_finding(view: View, layer: str) -> Finding:
    """Make the finding about a softmax in front of a loss that takes logits."""
    return finding(
        view,
        "hidden-softmax",
        "note",
        layer,
        None,
        what=f"{code(layer)} ends with a softmax, but the loss applies its "
        "own (`from_logits=True`)",
        evidence={"softmaxes": 2},
        cause="The loss takes probabilities for logits. The losses of Keras "
        "find the logits before the softmax and use those. Any other loss "
        "cannot become small, because its inputs lie between 0 and 1.",
        remedy="Remove the softmax of the last layer, or set "
        "`from_logits=False` in the loss.",
    )


def _consumer(view: View, activation: Activation) -> str:
    """Guess the consumer of a softmax's output: `"kernel"` or `"other"`.

    For records without the graph of the forward pass: the output of a `Dense`
    layer, or of an activation of two axes, goes to the next layer.
    """
    layer_class = view.facts.get(view.layer_of(activation), {}).get("class")
    if layer_class != "Dense":
        rank = getattr(activation, "rank", 0)
        if rank != 2 or layer_class not in _PASSES_ON:
            return "other"
    return "kernel" if _feeds_kernel(view, activation) else "other"


def _feeds_kernel(view: View, activation: Activation) -> bool:
    """Return whether a later layer has weights."""
    names = list(view.schema.layers)
    layer = view.layer_of(activation)
    if layer in names:
        return names.index(layer) < len(names) - 1
    return bool(view.outputs) or activation != view.schema.activations[-1]
