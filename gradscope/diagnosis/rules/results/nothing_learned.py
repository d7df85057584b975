"""Rules about the least that any training must do: learn something.

Where nothing else is found, these name what one sees and what to check; the
record of a training does not tell why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import chance, classes, guessing_loss
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, first_to_find, rule
from gradscope.diagnosis.rules.results.constant_outputs import (
    find_constant_outputs,
)
from gradscope.diagnosis.rules.results.zero_losses import (
    find_loss_of_zero,
    find_lost_steps,
)
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
        what="The loss stays at that of guessing, is exactly zero in all or "
        "many of the steps from the first one on, or the outputs are the same "
        "for all examples, and no other finding explains it.",
        needs="model",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "share": Limit(
                0.95,
                "loss at the end, as a share of the loss of the best constant "
                "answer: ln C for C classes, the variance of the targets for "
                "a squared error",
            ),
            "many": Limit(
                0.93, "the same, for five or more classes, whose ln C is large"
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
            "lost": Limit(
                0.2,
                "share of the steps, and of the first twenty alone, in which "
                "the loss and all of its gradients are exactly 0",
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
            "disconnected-variable",
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
    # A loss of zero also stays where it was, and outputs that are all the same
    # can only guess: the first sign that holds says most.
    looks = (
        find_loss_of_zero,
        find_constant_outputs,
        _only_guesses,
        _stays_where_it_was,
        _nothing_resists,
        find_lost_steps,
    )
    yield from first_to_find(looks, view, limits)


def _only_guesses(view: View, limits: Limits) -> Findings:
    """A loss that never gets better than that of a constant answer."""
    guess = guessing_loss(view)
    if view.last_step < limits["nothing-learned.steps"] or view.is_short:
        return
    # With many classes, what is learned by heart in some epochs of labels that
    # do not belong to the inputs is a small part of ln C.
    has_many = guess == view.uniform_loss and classes(view) >= 5
    limit = limits[f"nothing-learned.{'many' if has_many else 'share'}"]
    if not guess > 0 or not view.last_loss > limit * guess:
        return
    share = view.last_loss / guess
    # A GAN's discriminator that only guesses at the end had learned something.
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
        what=f"The loss ends at {view.last_loss:.3g}, "
        f"{'no' if share > limits['nothing-learned.share'] else 'hardly'} "
        f"better than guessing ({guess:.3g}), although the weights are "
        "updated: check first that inputs and targets belong together",
        evidence={
            "last_loss": view.last_loss,
            "guessing_loss": guess,
            "share": share,
            "share_limit": limit,
        },
        cause="This is what one sees; the record does not tell why. Possible "
        "reasons are inputs that say nothing about the targets as they reach "
        "the network, a loss that does not reward telling them apart, a part "
        "of the network that is not trained, and a network that cannot "
        "express what is to be learned.",
        remedy=_CHECKS,
    )


def _stays_where_it_was(view: View, limits: Limits) -> Findings:
    """A loss of unknown kind that never leaves its first value.

    Adversaries and rewards have losses that need not fall, but they go up and
    down.
    """
    if view.last_step < limits["nothing-learned.steps"] or view.is_short:
        return
    if not view.is_from_start or np.isfinite(guessing_loss(view)):
        return
    first = abs(view.first_loss)
    limit = limits["nothing-learned.stays"]
    change = float(np.max(abs(view.loss - view.first_loss)) / max(first, 1e-12))
    if not change < limit or _has_learned_by_accuracy(view):
        return
    ratios = view.get("update_to_weight_ratio")[:, view.kernels].astype(float)
    # As if all updates went one way: the weights moved no further.
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


def _nothing_resists(view: View, limits: Limits) -> Findings:
    """A generator's loss of zero: the adversary that is frozen learns nothing.

    A generator is trained through a frozen discriminator, to get one answer for
    all that it makes. A discriminator that learns does not give it for long.
    """
    targets = view.data_rows("target")
    frozen = [
        str(fact.get("name"))
        for fact in view.facts.values()
        if (fact.get("config") or {}).get("trainable") is False
    ]
    if len(targets) != 1 or not frozen or view.is_short:
        return
    if view.last_step < limits["nothing-learned.steps"]:
        return
    row = targets[0]
    # The variation of a batch of one example is NaN.
    is_constant = not np.nan_to_num(view.get("data_variation")[:, row]).any()
    if not is_constant or np.ptp(view.get("data_mean")[:, row]) > 0:
        return
    if not 0 <= view.last_loss < 0.01 or not view.first_loss > 0.1:
        return
    yield finding(
        view,
        "nothing-learned",
        "warning",
        frozen[0],
        None,
        what=f"The loss fell to {view.last_loss:.2g} for targets that are all "
        "the same, through layers that are frozen: they give that answer to "
        "everything by now",
        evidence={"last_loss": view.last_loss, "layers": frozen},
        cause="A discriminator that learns finds out what the generator makes, "
        "so the generator's loss does not stay near 0. The frozen part "
        "probably does not learn in its own training. Possible reasons are "
        "`trainable = False` before its own step was traced (it then trains no "
        "weights), steps that are too few or too small, or labels of real and "
        "made examples that are swapped in one of the two.",
        remedy="Look at the weights of the discriminator before and after its "
        "own `train_on_batch`. Set `trainable = True` before, and False after.",
    )


def _has_learned_by_accuracy(view: View) -> bool:
    """Return whether the logged accuracy is clearly better than guessing."""
    accuracy, guess = view.accuracy, chance(view)
    if accuracy is None or not guess > 0 or not len(accuracy):
        return False
    # Where guessing is right in half of the cases, no accuracy is twice as
    # high.
    return bool(np.nanmax(accuracy, initial=0) > min(2 * guess, guess + 0.1))


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
