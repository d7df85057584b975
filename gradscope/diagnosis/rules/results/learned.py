"""Rules about what must hold of any training: that something is learned.

Where nothing else is found, these name what one sees and what to check; the
record of a training does not tell why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing import chance, guessing_loss
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median, running_median
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="nothing-learned",
        rank=295,
        ceiling="error",
        what="The loss stays at that of guessing, is exactly zero from the "
        "first step on, or the outputs are the same for all examples, and no "
        "other finding explains it.",
        needs="model",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "share": Limit(
                0.95,
                "loss at the end, as a share of the loss of the best constant "
                "answer: ln C for C classes, the variance of the targets for "
                "a squared error",
            ),
            "same": Limit(
                1e-3,
                "variation of the outputs between examples, as a share of "
                "their rms",
            ),
            "stays": Limit(
                0.08,
                "largest difference of the loss from its first value, as a "
                "share of that; where the loss of guessing is not known",
            ),
            "steps": Limit(
                100, "steps of a training that should have learned something"
            ),
        },
        symptom_of=(
            "non-finite",
            "zero-init",
            "symmetric-units",
            "single-unit-softmax",
            "softmax-axis",
            "constant-labels",
            "output-range",
            "relu-output",
            "hidden-softmax",
            "loss-diverges",
            "learning-rate",
            "exploding-gradient",
            "init-too-large",
            "init-too-small",
            "vanishing-gradient",
            "dead-relu",
            "saturated-activation",
            "unscaled-input",
            "unscaled-target",
            "dropout-keep-prob",
            "penalty-dominates",
            "batchnorm-statistics",
            "shared-batchnorm",
        ),
    )
)

_CHECKS = (
    "Check, the likeliest first: (1) look at ten inputs with their targets "
    "right before `fit`: do they belong together, or was one of them shuffled "
    "or batched without the other? (2) Does the loss reach all of the "
    "network: call it on one batch before and after some steps. (3) Train on "
    "20 examples alone: a network that is put together well learns them by "
    "heart."
)


@rule
def nothing_learned(view: View, limits: Limits) -> Findings:
    """The plainest of the signs that nothing is learned, if there is any."""
    for look in (
        _loss_of_zero,
        _outputs_that_are_all_the_same,
        _only_guesses,
        _stays_where_it_was,
    ):
        findings = list(look(view, limits))
        if findings:
            yield from findings
            return


def _only_guesses(view: View, limits: Limits) -> Findings:
    """A loss that never gets better than that of a constant answer."""
    guess = guessing_loss(view)
    if view.last_step < limits["nothing-learned.steps"] or view.count < 20:
        return
    limit = limits["nothing-learned.share"]
    if not guess > 0 or not view.last_loss > limit * guess:
        return
    # A GAN's discriminator that only guesses at the end had learned something.
    with np.errstate(all="ignore"):
        was_better = running_median(view.loss) < 0.9 * guess
    if was_better.any():
        return
    if _has_learned_by_accuracy(view) or _has_penalties(view):
        return
    yield finding(
        view,
        "nothing-learned",
        "warning",
        None,
        None,
        what=f"The loss ends at {view.last_loss:.3g}, no better than guessing "
        f"({guess:.3g}), although the weights are updated",
        evidence={
            "last_loss": view.last_loss,
            "guessing_loss": guess,
            "share": view.last_loss / guess,
            "share_limit": limit,
        },
        cause="This is what one sees; the record does not tell why. Either the "
        "inputs say nothing about the targets as they reach the network, or "
        "the loss does not reward telling them apart.",
        remedy=_CHECKS,
    )


def _stays_where_it_was(view: View, limits: Limits) -> Findings:
    """A loss of unknown kind that never leaves its first value.

    Adversaries and rewards have losses that need not fall, but they go up and
    down.
    """
    if view.last_step < limits["nothing-learned.steps"] or view.count < 20:
        return
    if not view.is_from_start or np.isfinite(guessing_loss(view)):
        return
    first = abs(view.first_loss)
    limit = limits["nothing-learned.stays"]
    change = float(np.max(abs(view.loss - view.first_loss)) / max(first, 1e-12))
    if not change < limit or _has_learned_by_accuracy(view):
        return
    ratios = view.get("update_to_weight_ratio")[:, view.kernels].astype(float)
    moved = float(median(ratios)) * (view.last_step + 1)
    if not moved > limits["learning-rate.moved"]:
        return  # `training_too_slow` reports this
    yield finding(
        view,
        "nothing-learned",
        "warning",
        None,
        None,
        what=f"The loss stays within {percent(change)} of its first value "
        f"({view.first_loss:.3g}) in every step, although the weights are "
        "updated",
        evidence={
            "first_loss": view.first_loss,
            "last_loss": view.last_loss,
            "change": change,
            "change_limit": limit,
        },
        cause="This is what one sees; the record does not tell why. What the "
        "weights change is nearly nothing beside the rest of the loss: it may "
        "be a large constant, a margin that distances never reach (a mean "
        "where a sum belongs), similarities that are all next to 0 or to 1 (a "
        "norm over the whole batch, no temperature), or a term that hides the "
        "one that matters.",
        remedy="Compute the loss by hand for a perfect and for a random "
        "answer: if they hardly differ, its parts are of the wrong size. "
        + _CHECKS,
    )


def _has_learned_by_accuracy(view: View) -> bool:
    """Return whether the logged accuracy is clearly better than guessing."""
    accuracy, guess = view.accuracy, chance(view)
    if accuracy is None or not guess > 0 or not len(accuracy):
        return False
    return bool(np.nanmax(accuracy, initial=0) > min(1.5 * guess, guess + 0.1))


def _has_penalties(view: View) -> bool:
    """Return whether layers add to the loss, so that guessing has no price."""
    return any(
        (fact.get("config") or {}).get(name)
        for fact in view.facts.values()
        for name in (
            "kernel_regularizer",
            "bias_regularizer",
            "activity_regularizer",
        )
    )


def _outputs_that_are_all_the_same(view: View, limits: Limits) -> Findings:
    """Outputs that hardly differ between examples, though the inputs do."""
    if view.count < 20 or view.last_step < limits["nothing-learned.steps"]:
        return
    late = slice(-max(5, view.count // 10), None)
    if not view.is_finite[late].all():
        return
    share = _largest_share(view, "output", late)
    limit = limits["nothing-learned.same"]
    # Where all targets are the same, so may be all outputs.
    varied = _smallest_share(view, ("input", "target"), late)
    if not 0 <= share < limit or not varied > 0.01:
        return
    always = are_outputs_constant(view)
    yield finding(
        view,
        "nothing-learned",
        "error" if always else "warning",
        view.schema.layers[-1] if view.schema.layers else None,
        None,
        what="The outputs are exactly the same for all examples, from the "
        "first step on: nothing of the inputs, which differ, reaches them"
        if always
        else "The outputs are the same for all examples: they differ by "
        f"{share:.1g} of their size, while the inputs differ by "
        f"{varied:.2g} of theirs",
        evidence={
            "output_variation": share,
            "output_variation_limit": limit,
        },
        cause=_NOTHING_PASSES if always else _COLLAPSED,
        remedy="Call the layers one by one on two different examples, and look "
        "for the first whose outputs are equal."
        if always
        else "Compute the loss by hand for a right, a wrong and a constant "
        "answer: the right one must cost least.",
    )


_NOTHING_PASSES = (
    "This is what one sees; the record does not tell where it is lost. "
    "Possible reasons are a layer that makes zeros or a constant of its input "
    "(a division by a variance that is infinite, as in float16, a mask that is "
    "all zero, a product with zero), units that are all dead, or inputs that "
    "are not those that the network reads."
)

_COLLAPSED = (
    "This is what one sees; the record does not tell why. A loss that one "
    "constant answer makes small pulls all outputs to it: arguments of the "
    "loss that are swapped, embeddings that nothing pushes apart, a sign that "
    "is wrong. Units that are dead or saturated do the same."
)


def are_outputs_constant(view: View) -> bool:
    """Return whether the outputs never differed between two examples."""
    rows = view.data_rows("output")
    variation = view.get("data_variation")[:, rows]
    has_varied = _smallest_share(view, ("input",), slice(None)) > 0.01
    return bool(rows and (variation == 0).all() and has_varied)


def _largest_share(view: View, role: str, steps: slice) -> float:
    """Largest variation of the rows of a role, as a share of their rms."""
    shares = _shares(view, (role,), steps)
    return float(np.nanmax(shares, initial=-1))


def _smallest_share(view: View, roles: tuple[str, ...], steps: slice) -> float:
    """Smallest of the typical variations of rows, as shares of their rms."""
    shares = _shares(view, roles, steps)
    return float(median(shares, axis=0).min(initial=np.inf))


def _shares(view: View, roles: tuple[str, ...], steps: slice) -> np.ndarray:
    rows = [row for role in roles for row in view.data_rows(role)]
    with np.errstate(all="ignore"):
        shares: np.ndarray = (
            view.get("data_variation")[steps][:, rows]
            / view.get("data_rms")[steps][:, rows]
        )
    return shares


def _loss_of_zero(view: View, limits: Limits) -> Findings:
    """A loss that is exactly zero from the first step on."""
    if view.count < 5 or not view.is_from_start:
        return
    gradient = view.get("global_gradient_norm")
    if not (view.loss == 0).all() or not (np.nan_to_num(gradient) == 0).all():
        return
    yield finding(
        view,
        "nothing-learned",
        "error",
        None,
        None,
        what="The loss is exactly 0 in every step from the first one on, so "
        "there is nothing to learn from",
        evidence={"last_loss": 0.0, "gradient_norm": 0.0},
        cause="No example contributes to the loss: the sample weights, class "
        "weights or mask are all zero, or the loss was clipped to zero before "
        "the network had learned anything.",
        remedy="Look at the sample weights or the mask of one batch, and at "
        "the loss of that batch computed by hand.",
    )
