"""Rules about steps that hardly move, or that move far too much at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing import guessing_loss
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.steps.learning_rate import (
    has_vanished,
    update_ratios,
)
from gradscope.diagnosis.spells import Spell, median
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def rate_that_vanished(view: View, limits: Limits) -> Findings:
    """A learning rate that has fallen to nothing long before the end."""
    if not has_vanished(view):
        return
    rate = view.get("learning_rate").astype(float)
    start, largest = int(0.6 * view.count), float(np.nanmax(rate))
    last = float(rate[-1])
    yield finding(
        view,
        "learning-rate",
        "warning" if view.loss_fall < 0.8 else "note",
        None,
        Spell(start, view.count, view.count),
        what=f"The learning rate has fallen from {largest:.2g} to {last:.2g}, "
        "while the gradients have not: the rest of the training changes "
        "nothing",
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


@rule
def training_too_slow(view: View, limits: Limits) -> Findings:
    """A training that changed hardly anything, and was still under way.

    All updates together, even if they all went one way, are a small part of
    the weights; the loss has hardly fallen, and the gradient is as it was.
    """
    ratios = update_ratios(view)
    if ratios.shape[1] == 0 or view.count < 20 or not view.is_from_start:
        return
    if view.last_step < 200 or has_vanished(view):
        return
    ratio = float(median(median(ratios, axis=1)))
    moved = ratio * (view.last_step + 1)
    norms = view.get("global_gradient_norm").astype(float)
    is_under_way = median(norms[view.count // 2 :]) > 0.5 * median(norms[:10])
    low = limits["learning-rate.low_ratio"]
    if not low < ratio or not moved < limits["learning-rate.moved"]:
        return
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
        what=f"All {view.last_step + 1} updates together are at most "
        f"{percent(moved)} of the weights, and the loss fell by only "
        f"{percent(max(fall, 0))}",
        evidence={
            "update_to_weight_ratio": ratio,
            "moved": moved,
            "moved_limit": limits["learning-rate.moved"],
            "loss_fall": fall,
        }
        | ({"learning_rate": rate} if np.isfinite(rate) else {}),
        cause="The learning rate is too small for a training of this length: "
        "the value itself, a warm-up that never leaves its first steps (as "
        "where the rate is a Python function, which a traced step calls once), "
        "or a schedule that counts epochs where it gets steps.",
        remedy="Print the rate after some steps: "
        "`float(model.optimizer.learning_rate)`. A ratio of updates to weights "
        f"of about 0.001 is healthy; here it is {ratio:.1g}.",
    )


@rule
def first_step_too_large(view: View, limits: Limits) -> Findings:
    """A first update that is larger than most kernels themselves."""
    if not view.is_from_start or not view.kernels:
        return
    ratios = view.get("update_to_weight_ratio")[0, view.kernels].astype(float)
    # Of a kernel of zeros, which is no fault in a head, it is infinite.
    is_finite = np.isfinite(ratios)
    ratio = float(median(ratios[is_finite]))
    if not ratio > 1.5 or is_finite.mean() < 0.5:
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
            "update_to_weight_ratio_limit": 1.5,
        },
        cause="The learning rate is far too large for the first step, or the "
        "first step divides by an epsilon that its dtype rounds to zero (Adam "
        "in float16), or the weights start much too small.",
        remedy="Lower the learning rate or warm it up over some hundred steps; "
        "in float16 use `epsilon=1e-4`.",
    )


@rule
def layer_overwritten(view: View, limits: Limits) -> Findings:
    """A layer that each update overwrites, in a network that only guesses."""
    ratios = update_ratios(view)
    guess = guessing_loss(view)
    if ratios.shape[1] == 0 or view.count < 20 or not view.last_loss > guess:
        return
    late = median(ratios[view.count // 2 :], axis=0)
    if not np.nanmax(late, initial=0) > 0.3:
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
            "last_loss": view.last_loss,
            "guessing_loss": guess,
        },
        cause="The learning rate is too large for this layer, so each step "
        "overwrites what the last ones learned. A ratio of about 0.001 is "
        "healthy.",
        remedy="Divide the learning rate by 30, then adjust it in factors of "
        "three.",
    )
