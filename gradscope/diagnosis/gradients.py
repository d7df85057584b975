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
        evidence={"step": found.step, "first": found.kind}
        | ({"operation": found.name} if found.kind == "layer" else {}),
        cause=rest,
        remedy="Nothing is learned from then on: mend the cause, and start "
        "from weights of before this step.",
    )


@rule
def vanishing_gradient(view, limits):
    """Gradients that get lost on their way back to the first layers.

    Attention's queries and keys get what its softmax lets through, which is
    little where it is sure; what flows back goes through its values.
    """
    kernels = [row for row in view.kernels if not _only_weighs(view, row)]
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
def forgetful_recurrence(view, limits):
    """A simple recurrent layer over many time steps that learns nothing.

    Its gradient is a sum over time steps, in which the last ones hide that
    nothing arrives from the first.
    """
    inputs = view.data("input")
    if not inputs or not view.fall < 0.05:
        return
    shape = view.schema.data[inputs[0]].shape
    length = shape[0] if shape else 0
    for name, fact in view.facts.items():
        bend = str((fact.get("config") or {}).get("activation", "tanh"))
        if fact.get("class") != "SimpleRNN" or length < 20:
            continue
        if bend not in ("tanh", "sigmoid"):
            continue
        parts = [n for n in view.schema.layers if n.startswith(f"{name}/")]
        yield finding(
            view,
            "vanishing-gradient",
            "warning",
            parts[0] if parts else name,
            None,
            what=f"{name} goes through {length} time steps with {bend}, and "
            "the network does not learn",
            evidence={"time_steps": length, "loss_fall": view.fall},
            cause="Each time step multiplies the gradient by the slope of "
            f"{bend}"
            + (" (a quarter at most)" if "sigmoid" in bend else "")
            + " and by the same weights: what the first time steps did has "
            "vanished long before the gradient reaches them.",
            remedy="Use `LSTM` or `GRU`, which carry it along.",
        )
        return


@rule
def exploding_gradient(view, limits):
    """Gradients that grow on their way back, or in the course of training."""
    if len(view.kernels) < 2 or not view.count:
        return
    norm = view.get("global_gradient_norm").astype(float)
    grown = grown_forward(view)
    if grown > limits["exploding-gradient.forward"] and not view.fall > 0.5:
        yield _summed(view, limits, grown)
        return
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


def grown_forward(view) -> float:
    """Returns how much larger the outputs of the last hidden activations are
    than those of the first in the first step, 1 where there are few, or where
    something normalises."""
    rows = [
        row
        for row, one in view.activations
        if one.kind in ("relu", "gelu", "silu", "elu", "selu", "leaky_relu")
        and not view.is_output(one)
    ]
    if len(rows) < 6 or not view.is_from_start or view.is_normalised:
        return 1.0
    rms = view.get("activation_rms")[0, rows].astype(float)
    first, last = median(rms[:2]), median(rms[-2:])
    return float(last / first) if first > 0 else 1.0


def _summed(view, limits, grown: float):
    where = view.layer(view.kernels[0])
    return finding(
        view,
        "exploding-gradient",
        "error" if not np.isfinite(view.last_loss) else "warning",
        where,
        None,
        what=f"In the first step the outputs of the last hidden layers are "
        f"{grown:.3g} times as large as those of the first: they grow from "
        f"{where} on, and gradients with them",
        evidence={
            "growth_forward": grown,
            "growth_forward_limit": limits["exploding-gradient.forward"],
            "first_loss": view.first_loss,
        },
        cause="Each layer adds to what it gets, or multiplies it by more than "
        "one, and nothing normalises it: blocks `x + f(x)` without "
        "normalisation, or weights that start a little too large.",
        remedy="Put `LayerNormalization()` in front of each block, or start "
        'the last layer of each block with `kernel_initializer="zeros"`.',
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
        stuck = norms[:, row] == 0
        if not _is_half(view):
            stuck &= weights[:, row] != 0  # of zero weights see `zero_init`
        spell = longest(stuck, least)
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
        cause="Gradients below 6e-8 are zero in float16, in which this network "
        "computes."
        if _is_half(view)
        else "Something behind lets no gradient pass: units that are all "
        "dead, a loss that does not depend on it, rounding or comparing, or "
        "weights of zero.",
        remedy="Wrap the optimizer in `keras.optimizers.LossScaleOptimizer`, "
        'or use `"mixed_bfloat16"`.'
        if _is_half(view)
        else "Look at the activations of the layers behind it; and at "
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
    # One of several outputs was given no loss, which may be meant; and what
    # learns as well without them may have them for another day.
    losses = view.model.get("loss")
    is_told = isinstance(losses, list) and None in losses
    is_told = is_told or view.fall > 0.95
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


def _only_weighs(view, row: int) -> bool:
    parts = view.schema.variables[row].name.lower().split("/")
    return "query" in parts or "key" in parts


def _is_stuck(view, limits) -> bool:
    """Returns whether the loss is known not to fall."""
    return bool(view.fall < limits["learned.fall"])


def _is_half(view) -> bool:
    """Returns whether outputs are of half precision, which ends at 6e-8."""
    rows = view.data("output")
    return any(view.schema.data[row].dtype == "float16" for row in rows)


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
