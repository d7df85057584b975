"""Rules about softmax: too sure, between layers, twice, of one unit, along the
wrong axis."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import finding

#: Layers that put out nothing but their activation.
_PASSES_ON = ("Activation", "Softmax", "Conv1D", "Conv2D", "Conv3D")


@rule
def peaked_attention(view, limits):
    """Attention that is sure of one position from the first step on."""
    for row, one in view.activations:
        rank = getattr(one, "rank", 0)
        if one.kind != "softmax" or rank < 3 or one.units < 4:
            continue
        if view.is_output(one) or not view.is_from_start:
            continue
        # All but one of n weights zero: rms is 1 / sqrt(n), and never more.
        peak = view.get("activation_rms")[:, row] * np.sqrt(one.units)
        limit = limits["saturated-activation.peaked"]
        is_one = (peak > limit) & (peak < 1.01)
        if not is_one.mean() > 0.9 or not is_one[0]:
            continue
        layer = view.layer_of(one)
        yield finding(
            view,
            "saturated-activation",
            "note" if view.fall > 0.9 else "warning",
            layer,
            None,
            what=f"The attention of {layer} looks at a single position, for "
            "every example and from the first step on",
            evidence={
                "peak": float(median(peak)),
                "peak_limit": limit,
                "loss_fall": view.fall,
            },
            cause="Its scores are far apart, and where a softmax is sure its "
            "slope is near zero: queries and keys cannot learn where to look. "
            "Embeddings or weights start too large, or the scores are not "
            "divided by the root of the width.",
            remedy="Divide the scores by `width ** 0.5`, and use the default "
            "initializers.",
        )
        return


@rule
def hidden_softmax(view, limits):
    """A softmax between layers, or in front of a loss that has its own.

    That of attention is over positions, and has more than two axes. One that
    is sure of a few units is a choice, and meant.
    """
    goes = {one.name: one.detail for one in view.wiring("softmax_into")}
    for row, one in view.activations:
        if one.kind != "softmax" or one.units < 2:
            continue
        layer = view.layer_of(one)
        if view.is_output(one):
            if view.loss_takes_logits:
                yield _softmax_twice(view, layer)
            continue
        into = goes.get(one.name) or _into(view, one)
        if into != "kernel":
            continue  # it weighs something
        rms = float(median(view.get("activation_rms")[:, row]))
        evenly = rms * one.units < limits["hidden-softmax.evenly"]
        yield finding(
            view,
            "hidden-softmax",
            "warning" if evenly else "note",
            layer,
            None,
            what=f"{layer} is a hidden layer with a softmax: its outputs share "
            "a sum of 1" + (", so each is tiny" if evenly else ""),
            evidence={
                "units": one.units,
                "activation_rms": rms,
                "activation_rms_limit": limits["hidden-softmax.evenly"]
                / one.units,
            },
            cause="A softmax makes probabilities of an output. Between layers "
            "it lets one unit win, and leaves the others, and the gradient, "
            "near zero.",
            remedy='Use `activation="relu"` there; keep the softmax for the '
            "last layer.",
        )


@rule
def single_unit_softmax(view, limits):
    """A softmax over one unit: always 1."""
    for _, one in view.activations:
        if one.kind != "softmax" or one.units != 1:
            continue
        if getattr(one, "axis", -1) != -1:
            continue
        layer = view.layer_of(one)
        yield finding(
            view,
            "single-unit-softmax",
            "error",
            layer,
            None,
            what=f"{layer} is a softmax over a single unit: its output is "
            "always 1, whatever goes in",
            evidence={"units": 1},
            cause="A softmax shares a sum of 1 among its units; a single one "
            "gets all of it, and no gradient.",
            remedy='For two classes use `Dense(1, activation="sigmoid")` with '
            "binary cross-entropy; or two units with the softmax.",
        )


@rule
def softmax_axis(view, limits):
    """A softmax along another axis than that of the classes."""
    for _, one in view.activations:
        axis, rank = getattr(one, "axis", -1), getattr(one, "rank", 0)
        if one.kind != "softmax" or axis in (-1, rank - 1):
            continue
        if axis != 0 and not view.is_output(one):
            continue
        layer = view.layer_of(one)
        over = "the examples of the batch" if axis == 0 else f"axis {axis}"
        yield finding(
            view,
            "softmax-axis",
            "error" if view.is_output(one) else "warning",
            layer,
            None,
            what=f"The softmax of {layer} works along {over}, and not along "
            "the classes",
            evidence={"axis": axis, "rank": rank},
            cause="The values that share a sum of 1 are those of different "
            "examples (or positions), so an example's outputs are no "
            "probabilities.",
            remedy="Use `axis=-1`, the default.",
        )


def _softmax_twice(view, layer: str):
    return finding(
        view,
        "hidden-softmax",
        "note",
        layer,
        None,
        what=f"{layer} ends with a softmax, and the loss has one of its own "
        "(`from_logits=True`)",
        evidence={"softmaxes": 2},
        cause="The loss takes probabilities for logits. Those of Keras find "
        "the logits behind the softmax and use those; any other loss cannot "
        "get small like this, as what it gets lies between 0 and 1.",
        remedy="Leave out the softmax of the last layer, or set "
        "`from_logits=False` in the loss.",
    )


def _into(view, one) -> str:
    """Returns what gets the output of a softmax where no graph was seen: that
    of a layer of numbers is for the next layer, if that has weights."""
    owner = view.facts.get(view.layer_of(one), {}).get("class")
    if owner != "Dense":
        rank = getattr(one, "rank", 0)
        if rank != 2 or owner not in _PASSES_ON:
            return "other"
    return "kernel" if _feeds_kernel(view, one) else "other"


def _feeds_kernel(view, one) -> bool:
    """Returns whether a later layer has weights."""
    names = list(view.schema.layers)
    layer = view.layer_of(one)
    if layer in names:
        return names.index(layer) < len(names) - 1
    return bool(view.outputs) or one != view.schema.activations[-1]
