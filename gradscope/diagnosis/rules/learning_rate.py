"""Rules about the learning rate: too large or too small."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.rules.exploding import grown_forward
from gradscope.diagnosis.spells import (
    Spell,
    longest,
    median,
    smoothed,
    spells,
)
from gradscope.diagnosis.wording import finding, several

#: Functions that are flat at their ends.
_FLAT = ("sigmoid", "tanh", "hard_sigmoid", "softsign")


@rule
def learning_rate_too_large(view, limits):
    """Steps that overwrite most layers' weights again and again."""
    ratios = ratios_of(view)
    if ratios.shape[1] == 0:
        return
    if grown_forward(view) > limits["exploding-gradient.forward"]:
        return  # no rate is small enough: see `exploding_gradient`
    with np.errstate(all="ignore"):
        typical = smoothed(median(ratios, axis=1))
    limit = limits["learning-rate.high_ratio"]
    # The first steps of Adam are large by nature: its averages start empty.
    late = np.arange(view.count) >= min(10, view.count // 3)
    spell = longest((typical > limit) & late, 10)
    stuck = view.fall < limits["learned.fall"]
    harmed = stuck or _is_rough(view)
    if (spell is None or not harmed) and view.is_from_start:
        spell = _at_once(view, ratios, limit) if stuck else None
        spell = spell or _before_nan(view, ratios, limit)
        spell = spell or _thrown(view, ratios, limits)
        harmed = spell is not None
    if spell is None or not harmed:
        return
    value = max(float(median(typical[spell.slice])), limit)
    yield _learning_rate(
        view,
        "error" if stuck or not np.isfinite(view.last_loss) else "warning",
        spell,
        what=f"Each step changes the weights by {value:.2g} of their size, and "
        "the loss does not settle",
        evidence={
            "update_to_weight_ratio": value,
            "update_to_weight_ratio_limit": limit,
            "loss_fall": view.fall,
        },
        cause="The learning rate is too large: each step jumps over the place "
        "that it should reach. About .001 is healthy."
        + (
            " Could also be inputs or targets in thousands, which make "
            "gradients as large."
            if value > 10 and not view.data("target")
            else ""
        ),
        factor=rounded(0.003 / value),
    )


def _at_once(view, ratios, limit: float):
    """Returns the first steps, if they threw the weights far away and the
    loss up with them; None if not."""
    with np.errstate(all="ignore"):
        typical = smoothed(median(ratios, axis=1))
    some = spells(typical > 3 * limit, 3)
    rose = np.nanmax(view.loss[:50], initial=0) > 2 * view.first_loss
    return some[0] if some and some[0].start == 0 and rose else None


def _before_nan(view, ratios, limit: float):
    """Returns the last steps before something became NaN, if they were far
    too large; None if not, or if nothing became NaN."""
    found = view.record.first_nonfinite()
    if found is None or found.kind in ("input", "target"):
        return None
    index = int(np.searchsorted(view.steps, found.step))
    with np.errstate(all="ignore"):
        large = median(ratios, axis=1)[:index] > limit / 2
    return next((s for s in spells(large, 2) if s.stop >= index - 2), None)


def _thrown(view, ratios, limits):
    """Returns the first steps, if they overwrote the weights and left a hidden
    layer dead or saturated to the end; None if not."""
    with np.errstate(all="ignore"):
        typical = median(ratios[:10], axis=1)
    large = typical > 3 * limits["learning-rate.high_ratio"]
    if np.sum(large) < 2:
        return None
    hidden = [row for row, one in view.activations if not view.is_output(one)]
    late = slice(-max(5, view.count // 10), None)
    for name, limit in (
        ("dead_fraction", limits["dead-relu.error"]),
        ("saturated_fraction", 0.9),
    ):
        share = median(view.get(name)[late][:, hidden], axis=0)
        kinds = [view.schema.activations[row].kind for row in hidden]
        ends = zip(np.nan_to_num(share).tolist(), kinds, strict=True)
        is_flat = name == "saturated_fraction"
        if any(s >= limit and (not is_flat or k in _FLAT) for s, k in ends):
            stop = 1 + int(np.flatnonzero(large)[-1])
            return Spell(0, stop, view.count)
    return None


@rule
def learning_rate_too_small(view, limits):
    """Steps so small that the loss hardly moves."""
    ratios = ratios_of(view)
    if ratios.shape[1] == 0 or view.count < 20:
        return
    with np.errstate(all="ignore"):
        each = np.nanmax(np.where(ratios > 0, ratios, 0), axis=1)
    largest = median(each)
    limit = limits["learning-rate.low_ratio"]
    stuck = view.fall < limits["learned.fall"]
    spell = longest(each < limit, max(10, view.count // 4))
    if spell is None or not spell.until_the_end:
        return
    # Where the loss is not known, it must be so in every record.
    unknown = np.isnan(view.fall) and spell.length == view.count
    if not (stuck or unknown):
        return
    largest = float(median(each[spell.slice]))
    gradient = view.get("gradient_rms")[spell.slice, view.kernels]
    if not each.max() > 0 or not median(gradient) > 0:
        return  # without a gradient there is no step: see `zero_gradient`
    cause = "The learning rate is too small. About .001 is healthy."
    remedy = None
    if spell.start > 0:
        cause = (
            "The learning rate has become too small: its schedule counts "
            "steps, not epochs. About .001 is healthy."
        )
        remedy = "Let it fall over all steps: `decay_steps=epochs * len(x) // "
        remedy += "batch_size`."
    yield _learning_rate(
        view,
        "warning",
        spell,
        what=f"Each step changes the weights by {largest:.2g} of their size, "
        "too little to get anywhere",
        evidence={
            "update_to_weight_ratio": largest,
            "update_to_weight_ratio_limit": limit,
            "loss_fall": view.fall,
        },
        cause=cause,
        factor=rounded(1e-3 / max(largest, 1e-12)),
        remedy=remedy,
    )


def _learning_rate(
    view, severity, spell, *, what, evidence, cause, factor, remedy=None
):
    rate = float(median(view.get("learning_rate")))
    known = np.isfinite(rate)
    advice = _advice(view, spell, factor)
    return finding(
        view,
        "learning-rate",
        severity,
        None,
        spell,
        what=what,
        evidence=evidence | ({"learning_rate": rate} if known else {}),
        cause=cause,
        remedy=remedy
        or f"Try {advice}, and go up or down by threes from there.",
    )


def _advice(view, spell, factor: float) -> str:
    """Returns what to set; where an optimizer has parts, of those whose steps
    are as wrong as the typical one or more."""
    paces = [view.pace[row] for row in view.kernels]
    ratios = median(ratios_of(view)[spell.slice], axis=0)
    typical = median(ratios)
    wrong = ratios >= typical if factor < 1 else ratios <= typical
    chosen = {
        pace for pace, is_wrong in zip(paces, wrong, strict=True) if is_wrong
    }
    return several(
        [
            (
                f"`learning_rate={rate * factor:.1g}`"
                if np.isfinite(rate)
                else f"{factor:g} times as much"
            )
            + (f" of `{part}`" if part else "")
            for part, rate in sorted(chosen or set(paces), key=repr)
        ]
    )


def ratios_of(view) -> np.ndarray:
    """Returns update-to-weight ratios of the kernels, [T, K]."""
    return view.get("update_to_weight_ratio")[:, view.kernels].astype(float)


def _is_rough(view) -> bool:
    """Returns whether the loss ends far above the lowest that it has been."""
    loss = smoothed(view.loss)
    if not np.isfinite(loss).any():
        return False
    return bool(view.last_loss > 2 * np.nanmin(loss) and view.fall < 0.5)


def rounded(factor: float) -> float:
    return float(f"{factor:.0e}")
