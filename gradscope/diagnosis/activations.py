"""Rules about activations: dead, saturated, missing, or in the wrong place."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.about import finding, percent, several
from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.spells import longest, median, smoothed, spells

#: Layers that put out nothing but their activation.
_PASSES_ON = ("Activation", "Softmax", "Conv1D", "Conv2D", "Conv3D")


@rule
def dead_relu(view, limits):
    """Layers most of whose units never fire any more.

    Needs activations. Dead is what fired for no example of a window of 1000
    and more; see `gradscope.units`.
    """
    dead = view.get("dead_fraction").astype(float)
    constant = dead + np.nan_to_num(view.get("always_on_fraction"))
    worst = []
    for row, one in view.activations:
        if one.units < 2 or view.is_output(one):
            continue
        for name, severity in (("error", "error"), ("note", "note")):
            some = spells(dead[:, row] >= limits[f"dead-relu.{name}"], 5)
            if some and some[-1].until_the_end:
                worst.append((one, row, some[-1], severity))
                break
    for one, row, spell, severity in worst:
        share = float(median(dead[spell.slice, row]))
        layer = view.layer_of(one)
        if severity == "error" and view.fall > 0.8:
            severity = "warning"
        # Before that no window of examples was seen.
        known = int(np.isfinite(dead[:, row]).argmax())
        early = spell.start < known + 5 or view.steps[spell.start] < 50
        yield finding(
            view,
            "dead-relu",
            severity,
            layer,
            spell,
            what=f"{percent(share)} of the units of {layer} fire for no "
            "example: they are dead, and get no gradient to come back",
            evidence={
                "dead_fraction": share,
                "dead_fraction_limit": limits[
                    "dead-relu.error"
                    if share >= limits["dead-relu.error"]
                    else "dead-relu.note"
                ],
                "dead_or_always_on": median(constant[spell.slice, row]),
            },
            cause="They were dead from the start: a large negative bias, or "
            "inputs and weights that leave them below zero."
            if early
            else "A step that was too large has pushed their biases far below "
            "zero: a learning rate that is too large.",
            remedy="Lower the learning rate, start biases at zero with "
            '`kernel_initializer="he_normal"`, or use '
            '`activation="leaky_relu"`.',
        )


@rule
def saturated_activation(view, limits):
    """Sigmoid or tanh layers that sit at the ends of their range.

    Needs activations. A saturated output layer is a sure one, and no fault.
    """
    share = view.get("saturated_fraction").astype(float)
    least = min(
        limits["saturated-activation.records"], max(10, view.count // 2)
    )
    for row, one in view.activations:
        if one.kind not in ("sigmoid", "tanh", "hard_sigmoid", "softsign"):
            continue
        if view.is_output(one) or _is_last(view, one):
            continue
        limit = limits["saturated-activation.fraction"]
        spell = longest(smoothed(share[:, row]) > limit, least)
        if spell is None:
            continue
        layer = view.layer_of(one)
        value = float(median(share[spell.slice, row]))
        yield finding(
            view,
            "saturated-activation",
            "note" if view.fall > 0.9 else "warning",
            layer,
            spell,
            what=f"{percent(value)} of the outputs of {layer} ({one.kind}) are "
            "at the ends of their range, where the slope is near zero",
            evidence={
                "saturated_fraction": value,
                "saturated_fraction_limit": limit,
                "loss_fall": view.fall,
            },
            cause="What goes in is too large: inputs that are not scaled, "
            "weights that start too large, or a learning rate that made them "
            "so.",
            remedy="Scale the inputs to mean 0 and standard deviation 1, use "
            "the default initializer, or put batch normalisation in front.",
        )
        return


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
            "a sum of 1, so each is tiny",
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


@rule
def missing_nonlinearity(view, limits):
    """Layers with nothing but linear operations between them.

    Two linear layers are one linear layer. Between a wide and a narrow one
    this can be meant (a bottleneck); a network that is linear from end to end
    is not.
    """
    pairs = getattr(view.schema, "linear", ())
    if not pairs:
        return
    by_name = {v.name: v for v in view.schema.variables}
    kernels = [view.schema.variables[row].name for row in view.kernels]
    joined = [p for p in pairs if p[0] in by_name and p[1] in by_name]
    firsts = list(dict.fromkeys(by_name[a].layer for a, _ in joined))
    all_linear = len(kernels) > 1 and len({b for _, b in joined}) >= (
        len(kernels) - 1
    )
    if not all_linear:
        joined = [p for p in joined if not _is_bottleneck(*p, by_name)]
        joined = [p for p in joined if not _is_projection(p[0], joined)]
        firsts = list(dict.fromkeys(by_name[a].layer for a, _ in joined))
    if not joined:
        return
    yield finding(
        view,
        "missing-nonlinearity",
        "warning" if all_linear or len(joined) > 1 else "note",
        firsts[0],
        None,
        what=f"Nothing bends the output of {several(firsts)}: there is no "
        "activation function before the next layer"
        + (", and in the whole network" if all_linear else ""),
        evidence={"layers": firsts, "pairs": len(joined)},
        cause="Two layers with nothing but sums and products between them "
        "can do no more than one: all that depth buys nothing."
        + ("" if all_linear else " A narrow layer in between may be meant."),
        remedy='Give hidden layers an activation: `Dense(..., activation="'
        'relu")`.',
    )


def _is_projection(first: str, joined: list) -> bool:
    """Returns whether several kernels get what one returns: it makes the width
    that blocks, gates or heads of attention need."""
    return sum(a == first for a, _ in joined) > 1


def _is_bottleneck(first: str, second: str, by_name: dict) -> bool:
    """Returns whether the layer between two kernels is much narrower than
    what goes in and what comes out: then it may be meant to be linear."""
    a, b = by_name[first].shape, by_name[second].shape
    return a[-1] * 2 <= min(int(np.prod(a[:-1])), b[-1])


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


def _is_last(view, one) -> bool:
    """Returns whether it is the last activation where nobody knows which of
    them is the output, or that of the last layer: the loss may go on."""
    if view.outputs:
        return False
    last = view.schema.layers[-1] if view.schema.layers else None
    return one == view.schema.activations[-1] or view.layer_of(one) == last


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
