"""Rules about gradients: vanishing, exploding, zero, missing, not finite."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis import layers
from gradscope.diagnosis.about import finding, several
from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.spells import longest, median, smoothed, spells


@rule
def non_finite(view, limits):
    """NaN or infinity, wherever it came first."""
    found = view.record.first_nonfinite()
    if found is None:
        return
    index = int(np.searchsorted(view.steps, found.step))
    index = min(index, view.count - 1)
    spell = spells(np.arange(view.count) >= index)[0]
    what, _, rest = found.message.partition(". ")
    yield finding(
        view,
        "non-finite",
        "error",
        layers.owner(view, found.name) or layers.entered(view, found.kind),
        spell,
        what=what,
        evidence={"step": found.step, "first": found.kind},
        cause=rest,
        remedy="Nothing is learned from then on: mend the cause, and start "
        "from weights of before this step.",
    )


@rule
def vanishing_gradient(view, limits):
    """Gradients that get lost on their way back to the first layers."""
    kernels = view.kernels
    if len(kernels) < 2:
        return
    rms = view.get("gradient_rms")[:, kernels].astype(float)
    part = max(1, len(kernels) // 3)
    with np.errstate(all="ignore"):
        first, last = rms[:, :part].max(axis=1), rms[:, -part:].max(axis=1)
        ratio = smoothed(first / last)
    limit = limits["vanishing-gradient.ratio"]
    if view.is_adaptive and not _is_stuck(view, limits):
        limit = limits["vanishing-gradient.adaptive_ratio"]
    least = min(limits["vanishing-gradient.records"], max(10, view.count // 2))
    # One of exactly zero is another fault: see `zero_gradient`.
    spell = longest((ratio < limit) & (ratio > 0), least)
    if spell is None:
        return
    typical = float(median(ratio[spell.slice]))
    where = view.layer(kernels[0])
    cause, remedy = layers.why_it_vanishes(view, limits)
    yield finding(
        view,
        "vanishing-gradient",
        "error" if _is_stuck(view, limits) else "warning",
        where,
        spell,
        what=f"The gradient of {where} is {_fraction(typical)} of that of "
        f"{view.layer(kernels[-1])}: it vanishes on its way back, and the "
        "first layers hardly learn",
        evidence={
            "ratio": typical,
            "ratio_limit": limit,
            "first_gradient_rms": median(first[spell.slice]),
            "last_gradient_rms": median(last[spell.slice]),
            "loss_fall": view.fall,
        },
        cause=cause,
        remedy=remedy,
    )


@rule
def exploding_gradient(view, limits):
    """Gradients that grow on their way back, or in the course of training."""
    if len(view.kernels) < 2 or not view.count:
        return
    norm = view.get("global_gradient_norm").astype(float)
    start = median(norm[: max(3, min(10, view.count // 4))])
    grown = norm > limits["exploding-gradient.growth"] * start
    spell = longest(grown, 2)
    if spell is not None and not view.fall > 0.5:
        yield _exploding(view, limits, spell, norm, start)
        return
    rms = view.get("gradient_rms")[:, view.kernels].astype(float)
    part = max(1, len(view.kernels) // 3)
    with np.errstate(all="ignore"):
        ratio = rms[:, :part].max(axis=1) / rms[:, -part:].max(axis=1)
    limit = limits["exploding-gradient.ratio"]
    spell = longest(smoothed(ratio) > limit, 10)
    if spell is None or view.fall > 0.5:
        return
    where = view.layer(view.kernels[0])
    yield finding(
        view,
        "exploding-gradient",
        "warning",
        where,
        spell,
        what=f"The gradient of {where} is {median(ratio[spell.slice]):.0f} "
        f"times that of {view.layer(view.kernels[-1])}: it grows on its way "
        "back",
        evidence={
            "ratio": median(ratio[spell.slice]),
            "ratio_limit": limit,
        },
        cause="Each layer makes it larger, as weights that start too large "
        "do, or a recurrent layer over many time steps.",
        remedy="Clip it with `global_clipnorm=1.0` in the optimizer, and use "
        "the default initializers.",
    )


def _exploding(view, limits, spell, norm, start):
    peak = float(np.nanmax(norm[spell.slice]))
    rms = view.get("gradient_norm")[spell.slice].astype(float)
    row = int(np.nanargmax(np.nanmax(np.where(np.isinf(rms), np.nan, rms), 0)))
    return finding(
        view,
        "exploding-gradient",
        "error" if spell.until_the_end else "warning",
        view.layer(row),
        spell,
        what=f"The gradient grew to {peak:.3g}, {peak / start:.3g} times what "
        f"it was at the start; most of it is in {view.layer(row)}",
        evidence={
            "growth": peak / start,
            "growth_limit": limits["exploding-gradient.growth"],
            "global_gradient_norm": peak,
            "start": start,
        },
        cause="Steps too large lead to where the loss is steep, and its slope "
        "makes the next step larger still. Could also be one odd batch, or a "
        "recurrent layer over many time steps.",
        remedy="Clip it with `global_clipnorm=1.0` in the optimizer, or divide "
        "the learning rate by ten.",
    )


@rule
def zero_gradient(view, limits):
    """Kernels that get no gradient at all, for no reason known."""
    norms, weights = view.get("gradient_norm"), view.get("weight_norm")
    least = min(limits["zero-gradient.records"], max(5, view.count - 1))
    found = []
    for row in view.kernels:
        spell = longest((norms[:, row] == 0) & (weights[:, row] != 0), least)
        found += [(row, spell)] if spell else []
    # A net that has nothing left to learn has no gradient anywhere.
    if not found or _has_converged(view, found):
        return
    names = [view.layer(row) for row, _ in found]
    row, spell = found[0]
    yield finding(
        view,
        "zero-gradient",
        "error" if spell.until_the_end else "warning",
        view.layer(row),
        spell,
        what=f"The gradient of {several(names)} is exactly zero, so nothing is "
        "learned there",
        evidence={
            "gradient_norm": 0.0,
            "records": spell.length,
            "records_limit": limits["zero-gradient.records"],
            "layers": names,
        },
        cause="Something behind lets no gradient pass: units that are all "
        "dead, a loss that does not depend on it, rounding or comparing, or "
        "weights of zero.",
        remedy="Look at the activations of the layers behind it; and at "
        "operations without a slope (`round`, `argmax`, `cast` to an "
        "integer, comparisons).",
    )


@rule
def disconnected_variable(view, limits):
    """Variables that the loss does not depend on."""
    missing = view.get("gradient_missing")
    present = ~np.isnan(missing)
    rows = [
        row
        for row in range(missing.shape[1])
        if present[:, row].sum() >= min(10, view.count)
        and (missing[present[:, row], row] == 1).all()
    ]
    if not rows or len(rows) == missing.shape[1]:
        return
    names = [view.schema.variables[row].name for row in rows]
    # One of several outputs was given no loss, which may be meant.
    losses = view.model.get("loss")
    is_told = isinstance(losses, list) and None in losses
    yield finding(
        view,
        "disconnected-variable",
        "note" if is_told else "warning",
        view.layer(rows[0]),
        None,
        what=f"The loss does not depend on {several(names)}: "
        f"{'it has' if len(names) == 1 else 'they have'} no gradient at all "
        "and never change" + ("s" if len(names) == 1 else ""),
        evidence={"variables": names, "gradient_missing": 1.0},
        cause="The layer's output is not used, or the way from it to the loss "
        "is cut: by `stop_gradient`, by rounding or a cast to an integer, by "
        "numpy, or because it is computed outside of the gradient tape.",
        remedy="Use the layer's output in the loss. If it is meant to stay as "
        "it is, say so: `layer.trainable = False`.",
    )


def _is_stuck(view, limits) -> bool:
    """Returns whether the loss is known not to fall."""
    return bool(view.fall < limits["learned.fall"])


def _has_converged(view, found) -> bool:
    """Returns whether gradients end because the loss has reached zero."""
    ended = all(spell.until_the_end for _, spell in found)
    begun = min(spell.start for _, spell in found)
    if not ended or begun < 10:
        return False
    norm = view.get("global_gradient_norm").astype(float)
    return bool(median(norm[begun:]) < 1e-3 * median(norm[:10])) or (
        view.fall > 0.95
    )


def _fraction(ratio: float) -> str:
    if ratio <= 0 or not np.isfinite(1 / ratio):
        return "nothing"
    return f"a {1 / ratio:,.0f}th"
