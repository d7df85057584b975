"""Rules about updates of single layers that are too large or too small.

Updates of most layers together are a matter of `learning_rate`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.steps.learning_rate import (
    round_to_one_digit,
    update_ratios,
)
from gradscope.diagnosis.spells import (
    longest_spell,
    median,
    running_median,
)
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="update-too-small",
        rank=290,
        ceiling="warning",
        what="One layer changes far less than the others, or clipping leaves "
        "almost nothing of the gradient.",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "ratio": Limit(
                1e-6,
                "update-to-weight ratio of a single layer, if it is also less "
                "than a hundredth of that of the others",
            ),
            "clipped": Limit(
                0.01,
                "share of the gradient norm that clipping leaves (benchmark)",
            ),
            "clipped_ratio": Limit(
                1e-4,
                "update-to-weight ratio of the layer that changes most, where "
                "clipping leaves so little",
            ),
        },
    )
)


@rule
def clipped_to_nothing(view: View, limits: Limits) -> Findings:
    """Gradients that clipping makes so small that nothing is learned.

    Adaptive optimizers are left out: the size of their updates does not depend
    on the size of gradients.
    """
    ratios = update_ratios(view)
    if view.is_adaptive or ratios.shape[1] == 0 or view.is_short:
        return
    shares = view.get("global_clipped_norm") / view.get("global_gradient_norm")
    # `nanmax` would warn of steps without any number.
    largest_ratios = np.where(np.isnan(ratios), -1, ratios).max(axis=1)
    share, largest = median(shares), float(median(largest_ratios))
    limit = limits["update-too-small.clipped"]
    small = limits["update-too-small.clipped_ratio"]
    if not share < limit or not largest < small or not view.loss_fall < 0.5:
        return
    yield finding(
        view,
        "update-too-small",
        "warning",
        None,
        None,
        what=f"Clipping leaves {share:.2g} of the gradient norm in at least "
        f"half of the steps, and each update is {largest:.2g} times as large "
        "as the weights",
        evidence={
            "clipped_share": share,
            "clipped_share_limit": limit,
            "update_to_weight_ratio": largest,
            "update_to_weight_ratio_limit": small,
            "loss_fall": view.loss_fall,
        },
        cause="The clipping norm is far below the usual gradient norm, so it "
        "determines the size of each update. A ratio of about 0.001 is "
        "healthy.",
        remedy="Clip at a norm that gradients rarely exceed: "
        f"`global_clipnorm={round_to_one_digit(3 * _typical_norm(view)):g}`.",
    )


def _typical_norm(view: View) -> float:
    """Compute the median of the global gradient norm."""
    return float(median(view.get("global_gradient_norm")))


declare(
    Kind(
        name="update-too-large",
        rank=280,
        ceiling="error",
        what="One layer changes far more than the others, or the weights grow "
        "without limit.",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "ratio": Limit(0.3, "update-to-weight ratio of a single layer"),
            "first": Limit(
                1.5,
                "median update-to-weight ratio of the kernels in the first "
                "step; above 1, it leaves little of what they began with",
            ),
            "growth": Limit(
                20,
                "rms of the weights at the end divided by that at the start "
                "(benchmark)",
            ),
        },
    )
)


@rule
def weights_run_away(view: View, limits: Limits) -> Findings:
    """Weights of usual initial size that grow without end in most layers."""
    rms = view.get("weight_rms")[:, view.kernels].astype(float)
    if not view.is_from_start or rms.shape[1] < 2 or view.is_short:
        return
    inputs = [
        np.prod(view.schema.variables[row].shape[:-1]) for row in view.kernels
    ]
    # Weights that start very small grow many times in a healthy run, too.
    is_usual = rms[0] * np.sqrt(inputs) > 0.2
    growth = rms[-1] / rms[0]
    limit = limits["update-too-large.growth"]
    if not is_usual.all() or not median(growth) > limit or view.loss_fall > 0.5:
        return
    worst = view.kernels[int(np.nanargmax(growth))]
    yield finding(
        view,
        "update-too-large",
        "error",
        view.layer(worst),
        None,
        what=f"The weights grew to {median(growth):.3g} times their initial "
        "size",
        evidence={"growth": median(growth), "growth_limit": limit},
        cause="The updates keep going in one direction. Possible reasons are a "
        "learning rate that is too large, gradients that are accumulated and "
        "never reset, or a loss without a lower bound.",
        remedy="Divide the learning rate by ten, and compute a new gradient "
        "for each step (with a new `GradientTape`).",
    )


@dataclasses.dataclass(frozen=True)
class _Oddity:
    """A way in which the updates of one layer differ from those of others.

    Attributes:
        kind: Kind of the findings; its limit `ratio` is compared with.
        is_odd: Function from ratios of layers, ratios of a typical layer, and
            the limit to booleans.
        comparison: How the ratio compares, in words.
        cause: The likely cause.
        remedy: Advice.
    """

    kind: str
    is_odd: Callable[[np.ndarray, np.ndarray, float], np.ndarray]
    comparison: str
    cause: str
    remedy: str


_TOO_LARGE = _Oddity(
    kind="update-too-large",
    is_odd=lambda ratio, typical, limit: (
        (ratio > limit) & (ratio > 30 * typical)
    ),
    comparison="far more than in the other layers",
    cause="Its weights are very small, or its gradient is very large compared "
    "with those of the other layers.",
    remedy="Check its initializer and its inputs, and clip gradients with "
    "`clipnorm=1.0`.",
)

_TOO_SMALL = _Oddity(
    kind="update-too-small",
    is_odd=lambda ratio, typical, limit: (
        (ratio > 0) & (ratio < limit) & (ratio < typical / 100)
    ),
    comparison="far less than in the other layers",
    cause="Its gradient is very small compared with its weights: the weights "
    "are very large, or little of the gradient reaches this layer.",
    remedy="Check its initializer and its gradient.",
)


@rule
def update_too_large(view: View, limits: Limits) -> Findings:
    """A layer with far larger updates than others, relative to its weights."""
    yield from _odd_layers(view, limits, _TOO_LARGE)


@rule
def update_too_small(view: View, limits: Limits) -> Findings:
    """A layer with far smaller updates than others, relative to its weights."""
    yield from _odd_layers(view, limits, _TOO_SMALL)


def _odd_layers(view: View, limits: Limits, oddity: _Oddity) -> Findings:
    """Find layers whose update-to-weight ratio differs from that of the others.

    Args:
        view: The run.
        limits: The limits.
        oddity: The way in which they differ, in numbers and words.
    """
    ratios = update_ratios(view)
    if ratios.shape[1] < 2:
        return
    limit = limits[f"{oddity.kind}.ratio"]
    typical = _typical_ratios(view, ratios)
    # The first updates of Adam are always large: its averages start at zero.
    is_late = np.arange(view.count) >= min(10, view.count // 3)
    odd_share = oddity.is_odd(ratios, typical, limit).mean(axis=0)
    # A spell needs half of the records; this spares most layers the search.
    for column in np.flatnonzero(odd_share > 0.25):
        row = view.kernels[column]
        ratio = running_median(ratios[:, column])
        typical_ratio = running_median(typical[:, column])
        is_odd_step = oddity.is_odd(ratio, typical_ratio, limit)
        spell = longest_spell(is_odd_step & is_late, max(20, view.count // 2))
        if spell is None:
            continue
        value = float(median(ratio[spell.slice]))
        yield finding(
            view,
            oddity.kind,
            "warning" if view.loss_fall < limits["learned.fall"] else "note",
            view.layer(row),
            spell,
            what=f"Each update of {code(view.layer(row))} is {value:.2g} times "
            f"as large as its weights, {oddity.comparison}",
            evidence={
                "update_to_weight_ratio": value,
                "update_to_weight_ratio_limit": limit,
                "others": median(typical_ratio[spell.slice]),
            },
            cause=oddity.cause,
            remedy=oddity.remedy,
        )


def _typical_ratios(view: View, ratios: np.ndarray) -> np.ndarray:
    """Compute the typical ratio to compare each kernel's with, [T, K].

    It is the median over the kernels that the same part of the optimizer
    updates at the same learning rate, since those of others were meant to move
    faster or slower; NaN for a kernel that is alone.
    """
    # By `repr`, since a rate that is not known is NaN, which is not even equal
    # to itself.
    paces = [repr(view.pace[row]) for row in view.kernels]
    typical = np.full(ratios.shape, np.nan)
    for pace in dict.fromkeys(paces):
        is_alike = np.array([other == pace for other in paces])
        if is_alike.sum() > 1:
            typical[:, is_alike] = median(ratios[:, is_alike], axis=1)[
                :, np.newaxis
            ]
    return typical
