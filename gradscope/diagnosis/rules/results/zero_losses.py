"""Losses of exactly zero, of the kind `nothing-learned`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import classes
from gradscope.diagnosis.registry import Findings
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


def find_loss_of_zero(view: View, limits: Limits) -> Findings:
    """A loss that is zero, or rounded to it, from the first step on."""
    if view.count < 5 or not view.is_from_start:
        return
    gradient = np.nan_to_num(view.get("global_gradient_norm"))
    if not (abs(view.loss) < 1e-6).all() or not (gradient < 1e-6).all():
        return
    is_single = "categoricalcrossentropy" in view.loss_name and (
        view.data_rows("output") and classes(view) == 1
    )
    yield finding(
        view,
        "nothing-learned",
        "error",
        None,
        None,
        what="The loss is exactly 0 in every step from the first one on, so "
        "there is nothing to learn from"
        if not view.loss.any()
        else "The loss is 0 but for rounding in every step from the first one "
        "on, so there is nothing to learn from",
        evidence={
            "last_loss": view.last_loss,
            "gradient_norm": float(gradient.max()),
        },
        cause="A categorical cross-entropy takes its outputs for the "
        "probabilities of classes, which add up to 1. There is a single "
        "output, so it counts as 1, whatever the network says."
        if is_single
        else "No example contributes to the loss: the sample weights, class "
        "weights or mask are all zero, or the loss was clipped to zero before "
        "the network had learned anything.",
        remedy='For two classes use `Dense(1, activation="sigmoid")` with '
        "`binary_crossentropy`, or two units with a softmax."
        if is_single
        else "Look at the sample weights or the mask of one batch, and at "
        "the loss of that batch computed by hand.",
    )


def find_lost_steps(view: View, limits: Limits) -> Findings:
    """A compiled loss that is exactly zero in many steps, early ones too.

    Losses with a margin become zero for what has been learned, and rewards may
    be zero in a loop of one's own; a compiled loss of an untrained network is
    zero only where no example of a batch counts.
    """
    if view.count < 40 or not view.is_from_start or not view.loss_name:
        return
    gradient = view.get("global_gradient_norm")
    is_lost = (view.loss == 0) & (gradient == 0)
    shares = float(np.mean(is_lost[:20])), float(np.mean(is_lost))
    limit = limits["nothing-learned.lost"]
    if not min(shares) > limit:
        return
    is_harmless = view.accuracy is not None and view.went_well
    yield finding(
        view,
        "nothing-learned",
        "note" if is_harmless else "warning",
        None,
        None,
        what=f"In {percent(shares[1])} of the recorded steps, and in "
        f"{percent(shares[0])} of the first twenty, the loss and all of its "
        "gradients are exactly 0: nothing is learned from these batches",
        evidence={
            "lost": shares[1],
            "lost_at_first": shares[0],
            "lost_limit": limit,
        },
        cause="No example of these batches counts in the loss; the record does "
        "not tell why. A part of the loss that was to count for all examples "
        "may be 0 (something is compared with itself, as the teacher's answers "
        "with the teacher's, or is multiplied by 0), so that only the "
        "few examples of another part count; or masks and sample weights are 0 "
        "for whole batches.",
        remedy="Check, the likeliest first: (1) compute each part of the loss "
        "by itself on one batch: which is 0 whatever the network says? (2) "
        "Count the examples of some batches whose weight, mask or label is not "
        "0. If only few are meant to count, draw batches that have some.",
    )
