"""Rules about updates that are far too large in most layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import guessing_loss
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.backward.exploding import forward_growth
from gradscope.diagnosis.rules.forward.saturation import FLAT
from gradscope.diagnosis.rules.steps.learning_rate import (
    rate_finding,
    round_to_one_digit,
    update_ratios,
)
from gradscope.diagnosis.spells import (
    Spell,
    longest_spell,
    median,
    running_median,
    spells,
)
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def learning_rate_too_large(view: View, limits: Limits) -> Findings:
    """Updates so large that they overwrite the weights of most layers."""
    ratios = update_ratios(view)
    if ratios.shape[1] == 0:
        return
    if forward_growth(view) > limits["exploding-gradient.forward"]:
        return  # no rate is small enough; `exploding_gradient` reports this
    typical = running_median(median(ratios, axis=1))
    limit = limits["learning-rate.high_ratio"]
    # The first updates of Adam are always large: its averages start at zero.
    is_late = np.arange(view.count) >= min(10, view.count // 3)
    spell = longest_spell((typical > limit) & is_late, 10)
    is_stalled = view.loss_fall < limits["learned.fall"]
    is_harmful = is_stalled or _has_risen_again(view)
    if (spell is None or not is_harmful) and view.is_from_start:
        # Healthy trainings may begin with huge steps as well, so each of these
        # asks for a harm that came of them.
        spell = _overshoot_at_start(view, ratios, limit) if is_stalled else None
        spell = spell or _overshoot_before_nan(view, ratios, limit)
        spell = spell or _overshoot_that_ruined_units(view, ratios, limits)
        is_harmful = spell is not None
    if spell is None or not is_harmful:
        return
    value = max(float(median(typical[spell.slice])), limit)
    yield rate_finding(
        view,
        "error" if is_stalled or not np.isfinite(view.last_loss) else "warning",
        spell,
        what=f"The steps are too large: each update is {value:.2g} times as "
        "large as the weights, and the loss does not settle",
        evidence={
            "update_to_weight_ratio": value,
            "update_to_weight_ratio_limit": limit,
            "loss_fall": view.loss_fall,
        },
        cause="The learning rate is too large, so each step overshoots. A "
        "ratio of about 0.001 is healthy."
        if value <= limits["learning-rate.beyond_rate"]
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
    typical = running_median(median(ratios, axis=1))
    large_spells = spells(typical > 3 * limit, 3)
    # A loss that is NaN in all of these steps has not risen.
    has_risen = np.nanmax(view.loss[:50], initial=0) > 2 * view.first_loss
    if not has_risen or not large_spells or large_spells[0].start > 0:
        return None
    return large_spells[0]


def _overshoot_before_nan(
    view: View, ratios: np.ndarray, limit: float
) -> Spell | None:
    """Find steps with huge updates just before the first NaN or infinity."""
    origin = view.first_nonfinite
    # Data that are not finite are no fault of the rate.
    if origin is None or origin.kind in ("input", "target"):
        return None
    index = int(np.searchsorted(view.steps, origin.step))
    is_large = median(ratios, axis=1)[:index] > limit / 2
    return next((s for s in spells(is_large, 2) if s.stop >= index - 2), None)


def _overshoot_that_ruined_units(
    view: View, ratios: np.ndarray, limits: Limits
) -> Spell | None:
    """Find first steps with huge updates that left units dead or saturated.

    They count if most units of a hidden layer are so at the end of the run.
    """
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
    for name, limit in (
        ("dead_fraction", limits["dead-relu.error"]),
        ("saturated_fraction", 0.9),
    ):
        share = median(view.get(name)[view.end.slice, hidden], axis=0)
        kinds = [view.schema.activations[row].kind for row in hidden]
        shares = zip(np.nan_to_num(share).tolist(), kinds, strict=True)
        is_flat = name == "saturated_fraction"
        if any(
            layer_share >= limit and (not is_flat or kind in FLAT)
            for layer_share, kind in shares
        ):
            return Spell(0, stop, view.count)
    return None


def _gradient_died(view: View) -> bool:
    """Return whether most kernels had a gradient at first and none at the end.

    Dead units leave this trace where activations are not recorded.
    """
    norms = view.get("gradient_norm")[:, view.kernels]
    had_gradient = (norms[:3] > 0).all(axis=0)
    has_none = (norms[view.end.slice] == 0).all(axis=0)
    # Where the loss is down, gradients may be gone because it is learned.
    is_loss_gone = view.loss_fall > 0.5
    return bool((had_gradient & has_none).mean() > 0.5) and not is_loss_gone


def _has_risen_again(view: View) -> bool:
    """Return whether the loss ends far above its lowest value."""
    loss = running_median(view.loss)
    if not np.isfinite(loss).any():
        return False
    return bool(view.last_loss > 2 * np.nanmin(loss) and view.loss_fall < 0.5)


@rule
def first_step_too_large(view: View, limits: Limits) -> Findings:
    """A first update that is larger than most kernels themselves."""
    if not view.is_from_start or not view.kernels:
        return
    ratios = view.get("update_to_weight_ratio")[0, view.kernels].astype(float)
    # Of a kernel of zeros, which is no fault in a head, it is infinite.
    is_finite = np.isfinite(ratios)
    ratio = float(median(ratios[is_finite]))
    limit = limits["update-too-large.first"]
    if not ratio > limit or is_finite.mean() < 0.5:
        return
    column = int(np.argmax(np.where(is_finite, ratios, -1)))
    yield finding(
        view,
        "update-too-large",
        "note" if view.loss_fall > 0.9 else "warning",
        view.layer(view.kernels[column]),
        Spell(0, 1, view.count),
        what=f"The first update is {ratio:.2g} times as large as the kernels "
        "that it changes, so little of their initial values is left",
        evidence={
            "update_to_weight_ratio": ratio,
            "update_to_weight_ratio_limit": limit,
        },
        cause="Possible reasons are a learning rate that is far too large for "
        "the first step, an epsilon that its dtype rounds to zero (Adam in "
        "float16), and weights that start much too small.",
        remedy="Lower the learning rate or warm it up over some hundred steps; "
        "in float16 use `epsilon=1e-4`.",
    )


@rule
def layer_overwritten(view: View, limits: Limits) -> Findings:
    """A layer that each update overwrites, in a network that only guesses."""
    ratios = update_ratios(view)
    guess = guessing_loss(view)
    if ratios.shape[1] == 0 or view.is_short or not view.last_loss > guess:
        return
    late = median(ratios[view.count // 2 :], axis=0)
    limit = limits["learning-rate.overwritten"]
    if not np.nanmax(late, initial=0) > limit:
        return
    column = int(np.nanargmax(late))
    row = view.kernels[column]
    yield finding(
        view,
        "learning-rate",
        "warning",
        view.layer(row),
        None,
        what=f"Each update changes {code(view.layer(row))} by "
        f"{percent(float(late[column]))} of its weights, and the loss "
        f"({view.last_loss:.3g}) stays above that of guessing ({guess:.3g})",
        evidence={
            "update_to_weight_ratio": float(late[column]),
            "update_to_weight_ratio_limit": limit,
            "last_loss": view.last_loss,
            "guessing_loss": guess,
        },
        cause="The learning rate is too large for this layer, so each step "
        "overwrites what the last ones learned. A ratio of about 0.001 is "
        "healthy.",
        remedy="Divide the learning rate by 30, then adjust it in factors of "
        "three.",
    )
