"""Rules about a loss that grows, or outputs that grow without limit.

They need the loss in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.backward.gradients import disconnected_rows
from gradscope.diagnosis.spells import median, running_median, spells
from gradscope.diagnosis.wording import finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="loss-diverges",
        rank=120,
        ceiling="error",
        what="The loss ends far above its initial value.",
        needs="model",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "growth": Limit(
                3, "loss at the end divided by the first loss (benchmark)"
            ),
            "signed": Limit(
                10,
                "gradients or weights at the end divided by those at the "
                "start, where the loss has been below zero as well (benchmark)",
            ),
            "outputs": Limit(
                1000,
                "rms of the outputs at the end divided by that at the start, "
                "where the loss is negative or not known (benchmark)",
            ),
            "below_zero": Limit(
                30,
                "the same ratio, where the loss is negative and 20 times as "
                "large as at the start (benchmark)",
            ),
        },
        cause_rank=140,
        symptoms=("non-finite", "exploding-gradient", "loss-metric-disagree"),
    )
)


@rule
def loss_diverges(view: View, limits: Limits) -> Findings:
    """A loss that ends far above its start."""
    loss = running_median(view.loss)
    if view.count < 10 or not np.isfinite(loss).any():
        return
    start = view.first_loss
    limit = limits["loss-diverges.growth"]
    if start <= 0:  # a ratio to it says nothing
        return
    high_spells = spells(loss > limit * start, 3)
    # A rise that the training has overcome is no divergence.
    if not high_spells or not high_spells[-1].stop >= view.count - 5:
        return
    spell = high_spells[-1]
    last = float(median(loss[spell.slice][-5:]))
    if _wanders(view, limits, spell, last):
        return
    # The median of the first records may be above what the loss was at first.
    is_first = view.is_from_start and 0 < view.loss[0] <= start
    cause, remedy = _explain_divergence(view, limits, spell)
    yield finding(
        view,
        "loss-diverges",
        "error",
        None,
        spell,
        what=f"The loss rises from {view.loss[0]:.3g} at the start to "
        f"{last:.3g}"
        if is_first
        else f"The loss rises from {start:.3g}, the median of the first "
        f"records, to {last:.3g}",
        evidence={"growth": last / start, "growth_limit": limit},
        cause=cause,
        remedy=remedy,
    )


def _wanders(view: View, limits: Limits, spell: Spell, last: float) -> bool:
    """Return whether a loss is a difference that goes up and down.

    That of a Wasserstein critic and its generator is one: it has no least
    value, passes zero, and may start anywhere near it, so that a ratio to its
    start says nothing. It diverges where it leaves the range that it had, and
    gradients or weights grow with it.
    """
    before = view.loss[: spell.start]
    if not np.nanmin(before, initial=0) < 0:
        return False
    size = np.nanmax(abs(before), initial=0)
    if not last > limits["loss-diverges.growth"] * size:
        return True
    weights = view.get("weight_norm")[:, view.kernels].astype(float)
    norms = view.get("global_gradient_norm").astype(float)
    growth = max(_growth(np.sqrt(np.nansum(weights**2, 1))), _growth(norms))
    return not growth > limits["loss-diverges.signed"]


def _growth(values: np.ndarray) -> float:
    """Divide the median of the last five records by that of the first five."""
    first, last = float(median(values[:5])), float(median(values[-5:]))
    return last / first if first > 0 else 0.0


def _explain_divergence(
    view: View, limits: Limits, spell: Spell
) -> tuple[str, str]:
    """Find why a loss rises: cause and remedy, as sentences."""
    remedy = (
        "Divide the learning rate by ten, and clip gradients with "
        "`global_clipnorm=1.0`."
    )
    ratios = view.get("update_to_weight_ratio")[: spell.stop, view.kernels]
    if ratios.size and median(ratios) > limits["learning-rate.high_ratio"]:
        return (
            "The updates are large beside the weights, so the learning rate "
            "is too large: steps overshoot. It could also be a wrong sign (a "
            "loss that is maximised instead of minimised).",
            remedy,
        )
    is_cut = bool(disconnected_rows(view))
    return (
        "Possible reasons are a learning rate that is too large, so that each "
        "step overshoots, a wrong sign (a loss that is maximised instead of "
        "minimised), or a loss whose terms pull against each other"
        + (
            ", as where a part that gets no gradient cannot follow the others "
            "(disconnected-variable)."
            if is_cut
            else ". The record does not tell which."
        ),
        f"Check, the likeliest first: (1) {remedy[0].lower()}{remedy[1:]} (2) "
        "Compute the loss by hand for a right and for a wrong answer: the "
        "right one must cost less. (3) Log each term of the loss by itself."
        if not is_cut
        else "Connect what gets no gradient to the loss. If the loss still "
        f"rises: {remedy[0].lower()}{remedy[1:]}",
    )


@rule
def outputs_run_away(view: View, limits: Limits) -> Findings:
    """Outputs that grow without end, as under a loss without a lower bound.

    A wrong sign makes such a loss. The rule applies where the loss is negative
    or not known.
    """
    rows = view.data_rows("output")
    if len(rows) != 1 or view.is_short or view.last_loss > 0:
        return
    size = view.get("data_rms")[:, rows[0]].astype(float)
    first, last = float(median(size[:3])), float(median(size[-5:]))
    # A head of zeros starts with outputs of zero.
    growth = last / max(first, 1e-6)
    limit = limits["loss-diverges.outputs"]
    if view.last_loss < -20 * max(abs(view.first_loss), 1):
        limit = limits["loss-diverges.below_zero"]
    middle = float(median(size[: view.count // 2][-5:]))
    # Outputs that have found their level grow no more in the second half.
    if not growth > limit or not last > 3 * middle:
        return
    yield finding(
        view,
        "loss-diverges",
        "error",
        None,
        None,
        what="The outputs grow without limit: their rms rises from "
        f"{first:.3g} to {last:.3g}",
        evidence={"growth": growth, "growth_limit": limit},
        cause="Nothing holds the outputs back. Possible reasons are a loss "
        "without a lower bound (a wrong sign, or a difference that is not "
        "squared), gradients that are applied to other weights than their "
        "own, or a learning rate that is too large.",
        remedy="Check, the likeliest first: (1) the sign of the loss, which "
        "should be smallest when every prediction is right; (2) that each "
        "gradient goes to its own weight, in `zip(gradients, variables)`; (3) "
        "a tenth of the learning rate.",
    )
