"""Rules about updates that are too small to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import guessing_loss
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.steps.learning_rate import (
    rate_finding,
    round_to_one_digit,
    update_ratios,
)
from gradscope.diagnosis.spells import Spell, longest_spell, median
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def learning_rate_too_small(view: View, limits: Limits) -> Findings:
    """Updates so small that the loss hardly changes."""
    ratios = update_ratios(view)
    if ratios.shape[1] == 0 or view.is_short:
        return
    # The ratio of a kernel of zeros that stays so is NaN: no progress,
    # either.
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
    if _has_vanished(view):
        return  # `rate_that_vanished` reports this
    cause = (
        "The learning rate is too small for gradients of this size. A ratio of "
        "about 0.001 is healthy."
    )
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
    yield rate_finding(
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
        # Advice that aims at updates of .001 of the weights.
        factor=round_to_one_digit(1e-3 / max(typical, 1e-12)),
        remedy=remedy,
    )


@rule
def rate_that_vanished(view: View, limits: Limits) -> Findings:
    """A learning rate that has fallen to nothing long before the end."""
    if not _has_vanished(view):
        return
    rate = view.get("learning_rate").astype(float)
    largest = float(np.nanmax(rate))
    # It has vanished right after the last record in which it was larger.
    start = int(np.flatnonzero(~(rate < 1e-3 * largest))[-1]) + 1
    last = float(rate[-1])
    yield finding(
        view,
        "learning-rate",
        "warning" if view.loss_fall < 0.8 else "note",
        None,
        Spell(start, view.count, view.count),
        what=f"The learning rate has fallen from {largest:.2g} to {last:.2g}, "
        "while the gradients have not: the rest of the training changes "
        + ("nothing" if last == 0 else "hardly anything"),
        evidence={
            "learning_rate": last,
            "largest_learning_rate": largest,
            "loss_fall": view.loss_fall,
        },
        cause="Possible reasons are a schedule that decays too fast, one that "
        "is applied to its own result in each epoch (`lr * 0.9 ** epoch` with "
        "the current rate as `lr` compounds), or a plateau that is looked for "
        "in a metric that should rise.",
        remedy="Compute the rate from the initial rate and the epoch, and look "
        "at it: `print(float(model.optimizer.learning_rate))`.",
    )


def _has_vanished(view: View) -> bool:
    """Return whether the learning rate fell to nothing long before the end.

    Schedules that end at zero, such as a cosine, are near it for a few steps
    only. Where the gradients have vanished, too, the rate does no harm.
    """
    rate = view.get("learning_rate").astype(float)
    late = slice(int(0.6 * view.count), None)
    # Of an optimizer with parts, the rate of the step is NaN.
    if view.is_short or not np.isfinite(rate).all():
        return False
    # A rate below zero climbs, and has not vanished.
    if not 0 <= rate[late].max() < 1e-3 * rate.max():
        return False
    norms = view.get("global_gradient_norm").astype(float)
    has_slope = median(norms[late]) > 0.2 * median(norms[:10])
    return bool(has_slope and view.loss_fall < 0.9)


@rule
def training_too_slow(view: View, limits: Limits) -> Findings:
    """A training that changed hardly anything, and was still under way.

    All updates together, even if they all went one way, are a small part of
    the weights; the loss has hardly fallen, and the gradient is as it was.
    """
    ratios = update_ratios(view)
    if ratios.shape[1] == 0 or view.is_short or not view.is_from_start:
        return
    if view.last_step < 200 or _has_vanished(view):
        return
    ratio = float(median(median(ratios, axis=1)))
    moved = ratio * (view.last_step + 1)
    norms = view.get("global_gradient_norm").astype(float)
    is_under_way = median(norms[view.count // 2 :]) > 0.5 * median(norms[:10])
    low = limits["learning-rate.low_ratio"]
    # `learning_rate_too_small` reports smaller ones.
    if not low < ratio or not moved < limits["learning-rate.moved"]:
        return
    # Not `loss_fall`, which is 0 at most where the loss ends at guessing.
    fall = 1 - view.last_loss / view.first_loss
    if not (abs(fall) < limits["learned.fall"] and is_under_way):
        return
    guess = guessing_loss(view)
    if view.last_loss < 0.8 * guess:
        return  # a network that knew much at the start
    rate = float(median(view.get("learning_rate")))
    yield finding(
        view,
        "learning-rate",
        "warning",
        None,
        None,
        what=f"The steps are too small: all {view.last_step + 1} updates "
        f"together are at most {percent(moved)} of the weights, and the loss "
        f"fell by only {percent(max(fall, 0))}",
        evidence={
            "update_to_weight_ratio": ratio,
            "moved": moved,
            "moved_limit": limits["learning-rate.moved"],
            "loss_fall": fall,
        }
        | ({"learning_rate": rate} if np.isfinite(rate) else {}),
        cause="The learning rate is too small for a training of this length. "
        "Possible reasons are the value itself, a warm-up that never leaves "
        "its first steps (as where the rate is a Python function, which a "
        "traced step calls once), and a schedule that counts epochs where it "
        "gets steps.",
        remedy="Print the rate after some steps: "
        "`float(model.optimizer.learning_rate)`. A ratio of updates to weights "
        f"of about 0.001 is healthy; here it is {ratio:.1g}.",
    )
