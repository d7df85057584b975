"""Rules about single steps: clipped, too large or too small for a layer."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.rules.learning_rate import ratios_of, rounded
from gradscope.diagnosis.spells import (
    longest,
    median,
    smoothed,
)
from gradscope.diagnosis.wording import finding


@rule
def clipped_to_nothing(view, limits):
    """Gradients that are clipped to nearly nothing in each step, where steps
    are as large as gradients are."""
    ratios = ratios_of(view)
    if view.is_adaptive or ratios.shape[1] == 0 or view.count < 20:
        return
    with np.errstate(all="ignore"):
        left = view.get("global_clipped_norm") / view.get(
            "global_gradient_norm"
        )
    largest_each = np.where(np.isnan(ratios), -1, ratios).max(axis=1)
    share, largest = median(left), float(median(largest_each))
    limit = limits["update-too-small.clipped"]
    small = limits["update-too-small.clipped_ratio"]
    if not share < limit or not largest < small or not view.fall < 0.5:
        return
    yield finding(
        view,
        "update-too-small",
        "warning",
        None,
        None,
        what=f"Clipping leaves {share:.2g} of the gradient, in half of the "
        f"steps or more; they change the weights by {largest:.2g} of their "
        "size",
        evidence={
            "clipped_share": share,
            "clipped_share_limit": limit,
            "update_to_weight_ratio": largest,
            "update_to_weight_ratio_limit": small,
            "loss_fall": view.fall,
        },
        cause="The bound is far below the size that gradients have here, so "
        "that it sets the size of each step. About .001 is healthy.",
        remedy="Clip at the size that only rare gradients have: "
        f"`global_clipnorm={rounded(3 * _typical_norm(view)):g}`.",
    )


def _typical_norm(view) -> float:
    return float(median(view.get("global_gradient_norm")))


@rule
def weights_run_away(view, limits):
    """Weights of most layers that grow without end, from a usual start."""
    rms = view.get("weight_rms")[:, view.kernels].astype(float)
    if not view.is_from_start or rms.shape[1] < 2 or view.count < 20:
        return
    inputs = [
        np.prod(view.schema.variables[row].shape[:-1]) for row in view.kernels
    ]
    usual = rms[0] * np.sqrt(inputs) > 0.2
    with np.errstate(all="ignore"):
        growth = rms[-1] / rms[0]
    limit = limits["update-too-large.growth"]
    if not usual.all() or not median(growth) > limit or view.fall > 0.5:
        return
    worst = view.kernels[int(np.nanargmax(growth))]
    yield finding(
        view,
        "update-too-large",
        "error",
        view.layer(worst),
        None,
        what=f"The weights grew to {median(growth):.3g} times what they "
        "started as",
        evidence={"growth": median(growth), "growth_limit": limit},
        cause="Steps go on in one direction without end: a learning rate that "
        "is too large, gradients that are added up and never reset, or a loss "
        "without a floor.",
        remedy="Divide the learning rate by ten; compute a new gradient for "
        "each step (a new `GradientTape`).",
    )


@rule
def update_too_large(view, limits):
    """One layer whose weights are overwritten, where others' are not."""
    yield from _odd_one(
        view,
        limits,
        "update-too-large",
        "update-too-large.ratio",
        lambda own, others, limit: (own > limit) & (own > 30 * others),
        "far more than in the other layers",
        "Its weights are very small, or its gradient is very large beside "
        "theirs.",
        "Look at its initializer and at what goes into it; clip gradients "
        "with `clipnorm=1.0`.",
    )


@rule
def update_too_small(view, limits):
    """One layer that hardly moves, where others do."""
    yield from _odd_one(
        view,
        limits,
        "update-too-small",
        "update-too-small.ratio",
        lambda own, others, limit: (
            (own > 0) & (own < limit) & (own < others / 100)
        ),
        "far less than in the other layers",
        "Its gradient is very small beside its weights: they are very large, "
        "or little of the gradient gets there.",
        "Look at its initializer and at its gradient.",
    )


def _odd_one(view, limits, kind, name, is_odd, than, cause, remedy):
    ratios = ratios_of(view)
    if ratios.shape[1] < 2:
        return
    others = _others(view, ratios)
    late = np.arange(view.count) >= min(10, view.count // 3)
    with np.errstate(all="ignore"):
        often = is_odd(ratios, others, limits[name]).mean(axis=0)
    # What is not odd in a quarter of all records is not in half of them.
    for column in np.flatnonzero(often > 0.25):
        row = view.kernels[column]
        own = smoothed(ratios[:, column])
        typical = smoothed(others[:, column])
        with np.errstate(all="ignore"):
            odd = is_odd(own, typical, limits[name])
        spell = longest(odd & late, max(20, view.count // 2))
        if spell is None:
            continue
        value = float(median(own[spell.slice]))
        yield finding(
            view,
            kind,
            "warning" if view.fall < limits["learned.fall"] else "note",
            view.layer(row),
            spell,
            what=f"Each step changes the weights of {view.layer(row)} by "
            f"{value:.2g} of their size, {than}",
            evidence={
                "update_to_weight_ratio": value,
                "update_to_weight_ratio_limit": limits[name],
                "others": median(typical[spell.slice]),
            },
            cause=cause,
            remedy=remedy,
        )


def _others(view, ratios) -> np.ndarray:
    """Returns the typical ratio of what each kernel is compared with, [T, K]:
    of those that one part of the optimizer updates at one learning rate, for
    others were meant to move faster or slower; NaN where there is no other."""
    paces = [repr(view.pace[row]) for row in view.kernels]
    typical = np.full(ratios.shape, np.nan)
    for pace in dict.fromkeys(paces):
        alike = np.array([one == pace for one in paces])
        if alike.sum() > 1:
            typical[:, alike] = median(ratios[:, alike], axis=1)[:, np.newaxis]
    return typical
