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
from gradscope.diagnosis.wording import finding

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
    for look in (_loss_of_zero, _outputs_that_are_all_the_same, _only_guesses):
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
    outputs, targets = view.data_rows("output"), view.data_rows("target")
    inputs = view.data_rows("input")
    if len(outputs) != 1 or len(inputs) != 1 or view.count < 20:
        return
    if view.last_step < limits["nothing-learned.steps"]:
        return
    variation = view.get("data_variation")
    late = slice(-max(5, view.count // 10), None)
    with np.errstate(all="ignore"):
        shares = variation[late] / view.get("data_rms")[late]
    share = float(np.nanmax(shares[:, outputs[0]], initial=-1))
    limit = limits["nothing-learned.same"]
    # Where all targets are the same, so may be all outputs.
    varied = median(shares[:, [inputs[0], *targets]], axis=0)
    if not 0 <= share < limit or not (varied > 0.01).all():
        return
    if not view.is_finite[late].all():
        return
    yield finding(
        view,
        "nothing-learned",
        "warning",
        view.schema.layers[-1] if view.schema.layers else None,
        None,
        what="The outputs are the same for all examples: they differ by "
        f"{share:.1g} of their size, while the inputs differ by "
        f"{float(varied[0]):.2g} of theirs",
        evidence={
            "output_variation": share,
            "output_variation_limit": limit,
        },
        cause="This is what one sees; the record does not tell why. A loss "
        "that one constant answer makes small pulls all outputs to it: "
        "arguments of the loss that are swapped, embeddings that nothing "
        "pushes apart, a sign that is wrong. Units that are dead or saturated "
        "do the same.",
        remedy="Compute the loss by hand for a right, a wrong and a constant "
        "answer: the right one must cost least.",
    )


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
