"""Rules about a learning rate that is too large or too small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.backward.exploding import forward_growth
from gradscope.diagnosis.spells import (
    Spell,
    longest_spell,
    median,
    running_median,
    spells,
)
from gradscope.diagnosis.wording import code, finding, join_words

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

#: Activation functions with a slope near zero at both ends of their range.
_FLAT = ("sigmoid", "tanh", "hard_sigmoid", "softsign")

#: Update-to-weight ratio for which a learning rate alone is rarely the cause.
_LARGE = 10


declare(
    Kind(
        name="learning-rate",
        rank=130,
        ceiling="error",
        what="Updates are far too large or too small in most layers.",
        needs="model, for the loss",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "high_ratio": Limit(
                0.1,
                "update-to-weight ratio of most layers; about 0.001 is healthy "
                "(CS231n, neural-networks-3), and above 0.1 weights are "
                "overwritten",
            ),
            "low_ratio": Limit(
                1e-5,
                "update-to-weight ratio that is too small to learn "
                "(TheDeepChecker uses 1e-4)",
            ),
            "moved": Limit(
                0.1,
                "all updates of a training together, as a share of the "
                "weights; an update for an update, a network that learns "
                "moves by its own size",
            ),
        },
        cause_rank=130,
        symptoms=(
            "dead-relu",
            "exploding-gradient",
            "loss-diverges",
            "non-finite",
            "saturated-activation",
            "zero-gradient",
            "update-too-large",
            "update-too-small",
            "vanishing-gradient",
            "batchnorm-statistics",
            "loss-metric-disagree",
        ),
    )
)


@rule
def learning_rate_too_large(view: View, limits: Limits) -> Findings:
    """Updates so large that they overwrite the weights of most layers."""
    ratios = update_ratios(view)
    if ratios.shape[1] == 0:
        return
    if forward_growth(view) > limits["exploding-gradient.forward"]:
        return  # no rate is small enough; `exploding_gradient` reports this
    with np.errstate(all="ignore"):
        typical = running_median(median(ratios, axis=1))
    limit = limits["learning-rate.high_ratio"]
    # The first updates of Adam are always large: its averages start at zero.
    is_late = np.arange(view.count) >= min(10, view.count // 3)
    spell = longest_spell((typical > limit) & is_late, 10)
    is_stalled = view.loss_fall < limits["learned.fall"]
    is_harmful = is_stalled or _has_risen_again(view)
    if (spell is None or not is_harmful) and view.is_from_start:
        spell = _overshoot_at_start(view, ratios, limit) if is_stalled else None
        spell = spell or _overshoot_before_nan(view, ratios, limit)
        spell = spell or _overshoot_that_ruined_units(view, ratios, limits)
        is_harmful = spell is not None
    if spell is None or not is_harmful:
        return
    value = max(float(median(typical[spell.slice])), limit)
    yield _learning_rate_finding(
        view,
        "error" if is_stalled or not np.isfinite(view.last_loss) else "warning",
        spell,
        what=f"Each update is {value:.2g} times as large as the weights, and "
        "the loss does not settle",
        evidence={
            "update_to_weight_ratio": value,
            "update_to_weight_ratio_limit": limit,
            "loss_fall": view.loss_fall,
        },
        cause="The learning rate is too large, so each step overshoots. A "
        "ratio of about 0.001 is healthy."
        if value <= _LARGE
        else "The learning rate is too large for gradients of this size. "
        "Possible reasons are the rate itself, or gradients that are far too "
        "large: inputs or targets in the hundreds, or a loss that grows "
        "without limit. A ratio of about 0.001 is healthy.",
        # Advice that aims at updates of .003 of the weights; a factor beyond a
        # thousandth is no advice, as it is the gradients that are too large.
        factor=round_to_one_digit(max(0.003 / value, 1e-3)),
    )


def _overshoot_at_start(
    view: View, ratios: np.ndarray, limit: float
) -> Spell | None:
    """Find first steps with huge updates that made the loss rise."""
    with np.errstate(all="ignore"):
        typical = running_median(median(ratios, axis=1))
    large_spells = spells(typical > 3 * limit, 3)
    has_risen = np.nanmax(view.loss[:50], initial=0) > 2 * view.first_loss
    if not has_risen or not large_spells or large_spells[0].start > 0:
        return None
    return large_spells[0]


def _overshoot_before_nan(
    view: View, ratios: np.ndarray, limit: float
) -> Spell | None:
    """Find steps with huge updates just before the first NaN or infinity."""
    origin = view.first_nonfinite
    if origin is None or origin.kind in ("input", "target"):
        return None
    index = int(np.searchsorted(view.steps, origin.step))
    with np.errstate(all="ignore"):
        is_large = median(ratios, axis=1)[:index] > limit / 2
    return next((s for s in spells(is_large, 2) if s.stop >= index - 2), None)


def _overshoot_that_ruined_units(
    view: View, ratios: np.ndarray, limits: Limits
) -> Spell | None:
    """Find first steps with huge updates that left units dead or saturated.

    They count if most units of a hidden layer are so at the end of the run.
    """
    with np.errstate(all="ignore"):
        typical = median(ratios[:10], axis=1)
    is_large = typical > 3 * limits["learning-rate.high_ratio"]
    if np.sum(is_large) < 2:
        return None
    stop = 1 + int(np.flatnonzero(is_large)[-1])
    if _gradient_died(view):
        return Spell(0, stop, view.count)
    hidden = [
        row
        for row, activation in view.activations
        if not view.is_output(activation)
    ]
    late = slice(-max(5, view.count // 10), None)
    for name, limit in (
        ("dead_fraction", limits["dead-relu.error"]),
        ("saturated_fraction", 0.9),
    ):
        share = median(view.get(name)[late][:, hidden], axis=0)
        kinds = [view.schema.activations[row].kind for row in hidden]
        shares = zip(np.nan_to_num(share).tolist(), kinds, strict=True)
        is_flat = name == "saturated_fraction"
        if any(
            layer_share >= limit and (not is_flat or kind in _FLAT)
            for layer_share, kind in shares
        ):
            return Spell(0, stop, view.count)
    return None


def _gradient_died(view: View) -> bool:
    """Return whether most kernels had a gradient at first and none at the end.

    That is what dead units leave where activations are not recorded.
    """
    norms = view.get("gradient_norm")[:, view.kernels]
    had_gradient = (norms[:3] > 0).all(axis=0)
    has_none = (norms[-max(5, view.count // 10) :] == 0).all(axis=0)
    is_loss_gone = view.loss_fall > 0.5
    return bool((had_gradient & has_none).mean() > 0.5) and not is_loss_gone


def has_vanished(view: View) -> bool:
    """Return whether the learning rate fell to nothing long before the end.

    Schedules that end at zero, such as a cosine, are near it for a few steps
    only. Where the gradients have vanished, too, the rate does no harm.
    """
    rate = view.get("learning_rate").astype(float)
    late = slice(int(0.6 * view.count), None)
    # Of an optimizer with parts, the rate of the step is NaN.
    if view.count < 20 or not np.isfinite(rate).all():
        return False
    if not rate[late].max() < 1e-3 * rate.max():
        return False
    norms = view.get("global_gradient_norm").astype(float)
    has_slope = median(norms[late]) > 0.2 * median(norms[:10])
    return bool(has_slope and view.loss_fall < 0.9)


@rule
def learning_rate_too_small(view: View, limits: Limits) -> Findings:
    """Updates so small that the loss hardly changes."""
    ratios = update_ratios(view)
    if ratios.shape[1] == 0 or view.count < 20:
        return
    with np.errstate(all="ignore"):
        largest_ratio = np.nanmax(np.where(ratios > 0, ratios, 0), axis=1)
    limit = limits["learning-rate.low_ratio"]
    is_stalled = view.loss_fall < limits["learned.fall"]
    spell = longest_spell(largest_ratio < limit, max(10, view.count // 4))
    if spell is None or not spell.until_the_end:
        return
    # Where the loss is not known, updates must be small in all records.
    is_loss_unknown = np.isnan(view.loss_fall) and spell.length == view.count
    if not (is_stalled or is_loss_unknown):
        return
    typical = float(median(largest_ratio[spell.slice]))
    gradient = view.get("gradient_rms")[spell.slice, view.kernels]
    if not largest_ratio.max() > 0 or not median(gradient) > 0:
        return  # there is no gradient; `zero_gradient` reports this
    if has_vanished(view):
        return  # `rate_that_vanished` reports this
    cause = "The learning rate is too small. A ratio of about 0.001 is healthy."
    remedy = None
    if spell.start > 0:
        cause = (
            "The learning rate has become too small. Possible reasons are a "
            "schedule that counts steps and not epochs, or one that decays "
            "too fast. A ratio of about 0.001 is healthy."
        )
        remedy = (
            "Let the learning rate fall over all steps of the training, as in "
            "`decay_steps=epochs * len(x) // batch_size`."
        )
    yield _learning_rate_finding(
        view,
        "warning",
        spell,
        what=f"Each update is {typical:.2g} times as large as the weights, "
        "which is too small to make progress",
        evidence={
            "update_to_weight_ratio": typical,
            "update_to_weight_ratio_limit": limit,
            "loss_fall": view.loss_fall,
        },
        cause=cause,
        factor=round_to_one_digit(1e-3 / max(typical, 1e-12)),
        remedy=remedy,
    )


def _learning_rate_finding(
    view: View,
    severity: str,
    spell: Spell,
    *,
    what: str,
    evidence: dict[str, float],
    cause: str,
    factor: float,
    remedy: str | None = None,
) -> Finding:
    """Make a finding that advises another learning rate.

    Args:
        view: The run.
        severity: Severity of the finding.
        spell: Recorded steps with updates of the wrong size.
        what: Description of the fault.
        evidence: Numbers; the learning rate is added where it is known.
        cause: The likely cause.
        factor: Factor by which to multiply the learning rate.
        remedy: Advice other than that factor.
    """
    rate = float(median(view.get("learning_rate")))
    is_known = np.isfinite(rate)
    advice = _advice(view, spell, factor)
    return finding(
        view,
        "learning-rate",
        severity,
        None,
        spell,
        what=what,
        evidence=evidence | ({"learning_rate": rate} if is_known else {}),
        cause=cause,
        remedy=remedy or f"Try {advice}, then adjust it in factors of three.",
    )


def _advice(view: View, spell: Spell, factor: float) -> str:
    """Word the learning rates to set.

    Of an optimizer with parts, these are the parts with a kernel whose updates
    are as wrong as those of the typical kernel, or more.
    """
    paces = [view.pace[row] for row in view.kernels]
    ratios = median(update_ratios(view)[spell.slice], axis=0)
    typical = median(ratios)
    is_wrong = ratios >= typical if factor < 1 else ratios <= typical
    wrong_paces = {paces[column] for column in np.flatnonzero(is_wrong)}
    return join_words(
        [
            _word_rate(part, rate, factor)
            for part, rate in sorted(wrong_paces or set(paces), key=repr)
        ]
    )


def _word_rate(part: str, rate: float, factor: float) -> str:
    """Word the learning rate to set for one part of the optimizer."""
    advice = f"{factor:g} times the learning rate"
    if np.isfinite(rate):
        advice = f"`learning_rate={rate * factor:.1g}`"
    return f"{advice} for {code(part)}" if part else advice


def update_ratios(view: View) -> np.ndarray:
    """Get update-to-weight ratios of the K kernels, float64 [T, K]."""
    return view.get("update_to_weight_ratio")[:, view.kernels].astype(float)


def _has_risen_again(view: View) -> bool:
    """Return whether the loss ends far above its lowest value."""
    loss = running_median(view.loss)
    if not np.isfinite(loss).any():
        return False
    return bool(view.last_loss > 2 * np.nanmin(loss) and view.loss_fall < 0.5)


def round_to_one_digit(factor: float) -> float:
    """Round to one significant digit, for advice: `0.0321` to `0.03`."""
    return float(f"{factor:.0e}")
