"""Rules about validation that contradicts the training.

They need the logs of `fit`, which `Callback` records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import chance
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, first_to_find, rule
from gradscope.diagnosis.rules.forward.batch_norms import (
    has_batch_norm,
    have_hardly_begun,
    have_settled,
)
from gradscope.diagnosis.spells import largest
from gradscope.diagnosis.wording import finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="validation-differs",
        rank=275,
        ceiling="warning",
        what="Validation is no better than guessing, worse than an untrained "
        "network, or far worse than the first epoch of a training that goes "
        "well.",
        needs="`Callback`; validation data",
        shown_by=Shown(("gradient_norm",)),
        limits={
            "share": Limit(
                0.6, "validation accuracy, as a share of that of guessing"
            ),
            "guessing": Limit(
                1.1,
                "the same, where training is at least 0.3 better than guessing",
            ),
            "first_epoch": Limit(
                0.3,
                "best validation accuracy beyond guessing, as a share of the "
                "training accuracy of the first epoch beyond guessing; what "
                "is overfitted in later epochs keeps more",
            ),
            "learned": Limit(
                0.2,
                "training accuracy of the first epoch beyond guessing, the "
                "least to compare with",
            ),
            "scale": Limit(
                1.5,
                "smallest validation loss, divided by the training loss of the "
                "first steps",
            ),
        },
        symptom_of=("batchnorm-statistics", "dropout-keep-prob"),
    )
)


@rule
def validation_differs(view: View, limits: Limits) -> Findings:
    """The plainest of the signs that validation is of another kind."""
    looks = (_only_guesses, _has_another_scale, _stays_below_first_epoch)
    yield from first_to_find(looks, view, limits)


def _only_guesses(view: View, limits: Limits) -> Findings:
    """A validation accuracy of guessing, or below, beside one that is high.

    Below guessing are answers that training ruled out. A network that only
    guesses learned its data by heart, or sees others in validation.
    """
    accuracy, validation = view.accuracy, view.validation_accuracy
    guess = chance(view)
    if accuracy is None or validation is None or len(validation) < 2:
        return
    if not guess > 0 or have_hardly_begun(view, limits):
        return
    # At first a network that learns well may guess in validation, too.
    late = validation[len(validation) // 2 :]
    is_below = bool((late < limits["validation-differs.share"] * guess).all())
    # A rare class makes guessing look good, and a little better than it hard.
    is_guessing = guess <= 0.6 and bool(
        (late < limits["validation-differs.guessing"] * guess).all()
    )
    margin = 0.1 if is_below else 0.3
    if not (is_below or is_guessing) or not accuracy[-1] > max(
        0.6, guess + margin
    ):
        return
    yield finding(
        view,
        "validation-differs",
        "warning",
        None,
        None,
        what=f"Accuracy is {accuracy[-1]:.2g} in training and "
        f"{validation[-1]:.2g} in validation, where guessing gives "
        f"{guess:.2g}",
        evidence={
            "accuracy": float(accuracy[-1]),
            "validation_accuracy": float(validation[-1]),
            "guessing_accuracy": guess,
            "share": float(late.max()) / guess,
            "share_limit": limits[
                "validation-differs.share"
                if is_below
                else "validation-differs.guessing"
            ],
        },
        cause=_BELOW_GUESSING if is_below else _AT_GUESSING,
        remedy="Shuffle before `fit`: `order = np.random.permutation(len(x))`, "
        "`x, y = x[order], y[order]`; or use `train_test_split(..., "
        "stratify=y)`. Compare ten rows of both sets as they enter the model.",
    )


def _has_another_scale(view: View, limits: Limits) -> Findings:
    """A validation loss that is never as small as that of the first step.

    Data of the same kind have the loss of an untrained network, or less, at
    least in the first epochs, before a network can learn its data by heart.
    """
    loss, validation = view.logs.get("loss"), view.logs.get("val_loss")
    if loss is None or validation is None or len(validation) < 3:
        return
    start, first = view.first_loss, float(loss[0])
    if not view.is_from_start or not np.isfinite(validation).all():
        return
    least = float(validation.min())
    limit = limits["validation-differs.scale"]
    worst = max(start, first)
    # A batch norm's moving statistics settle in the first epochs.
    if has_batch_norm(view) or not worst > 0 or not least > limit * worst:
        return
    if not view.loss_fall > 0.5:
        return
    # A few answers that are wrong with certainty make the loss large, while
    # most of the answers are right.
    accuracy = view.validation_accuracy
    if accuracy is not None and accuracy[-1] > 1.5 * chance(view):
        return
    yield finding(
        view,
        "validation-differs",
        "warning",
        None,
        None,
        what=f"The validation loss is never below {least:.3g}, and the loss "
        f"in training was {start:.3g} even in the first steps",
        evidence={
            "validation_loss": least,
            "first_loss": start,
            "last_loss": view.last_loss,
            "scale": least / worst,
            "scale_limit": limit,
        },
        cause="Overfitting begins after the first epochs, and here the "
        "untrained network was better on the training data than it ever is on "
        "the validation data. So these are most likely of another scale or "
        "kind: inputs or targets that are not scaled there (or scaled with "
        "another mean and deviation), another order of columns or classes.",
        remedy="Compare minimum, maximum, mean and standard deviation of both "
        "sets, inputs and targets, as they enter the model.",
    )


def _stays_below_first_epoch(view: View, limits: Limits) -> Findings:
    """A validation accuracy that stays far below that of the first epoch.

    There, each example is new to the network when it meets it. So the accuracy
    of that epoch is one on examples that were not seen, by a network that knew
    less than it knows later.
    """
    accuracy, validation = view.accuracy, view.validation_accuracy
    guess = chance(view)
    if accuracy is None or validation is None or len(validation) < 2:
        return
    if not guess > 0 or not view.is_from_start:
        return
    # A batch norm's moving statistics settle in the first epochs.
    if has_batch_norm(view) and not (
        len(validation) >= 4 and have_settled(view, limits)
    ):
        return
    first, best = float(accuracy[0]), largest(validation)
    share = (best - guess) / max(first - guess, 1e-12)
    limit = limits["validation-differs.first_epoch"]
    has_learned = first - guess > limits["validation-differs.learned"]
    if not has_learned or not share < limit:
        return
    yield finding(
        view,
        "validation-differs",
        "warning",
        None,
        None,
        what=f"Validation accuracy never gets above {best:.2g}, and training "
        f"had {first:.2g} in its first epoch, where guessing gives {guess:.2g}",
        evidence={
            "accuracy": float(accuracy[-1]),
            "first_accuracy": first,
            "validation_accuracy": best,
            "guessing_accuracy": guess,
            "share": share,
            "share_limit": limit,
        },
        cause="Unless an epoch shows its examples several times, this is not "
        "overfitting: in the first epoch each of them is new to the network, "
        "as those of the validation data are. The record does not tell how "
        "these differ. Possible reasons, the likeliest first, are inputs that "
        "are prepared in another way there (a scaling that is missing, or "
        "another one), labels that are numbered in another way (each folder "
        "for itself), and other classes."
        + (
            " A batch norm that goes by the batch in validation, too "
            "(`training=True`), sees other statistics in batches of one class."
            if has_batch_norm(view)
            else ""
        ),
        remedy="Compare ten rows of both sets as they enter the model: "
        "minimum, maximum, mean and standard deviation of the inputs, and the "
        "names of the classes behind each label.",
    )


_BELOW_GUESSING = (
    "This is not overfitting: an overfitted model does no worse than guessing. "
    "The record does not tell how the validation data differ. Possible reasons "
    "are classes that hardly occur in training (`validation_split` takes the "
    "last rows before anything is shuffled, so of data sorted by class it "
    "takes the last classes), labels that are numbered in another way (each "
    "folder for itself), or inputs that are prepared in another way."
)

_AT_GUESSING = (
    "What the network learned does not hold for the validation data at all. "
    "Possible reasons are inputs or labels that are prepared in another way "
    "there (a scaling that is missing, another order of the classes), classes "
    "that are missing in training, or training data that are learned by heart, "
    "as where they are few or the labels do not belong to the inputs."
)
