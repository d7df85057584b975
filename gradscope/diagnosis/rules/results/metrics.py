"""Rules about metrics and validation that contradict the loss.

They need the logs of `fit`, which `Callback` records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import chance
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.forward.batch_norms import (
    has_batch_norm,
    have_hardly_begun,
)
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

#: Parts of the names of metrics that are better the smaller, or the larger.
_SMALLER = ("mae", "mse", "rmse", "error")
_LARGER = ("acc", "auc", "cosine_similarity", "r2", "iou")


@rule
def metric_against_loss(view: View, limits: Limits) -> Findings:
    """A metric that gets worse while the loss falls."""
    loss = view.logs.get("loss")
    if loss is None or len(loss) < 3 or not np.isfinite(loss).all():
        return
    fall = float(loss[0] - loss[-1]) / max(abs(float(loss[0])), 1e-12)
    if fall < limits["loss-metric-disagree.fall"]:
        return
    for name, values in view.logs.items():
        # Overfitting, too, makes those of validation worse.
        if name.startswith("val_") or not np.isfinite(values).all():
            continue
        if not _gets_worse(view, name, values):
            continue
        yield finding(
            view,
            "loss-metric-disagree",
            "warning",
            None,
            None,
            what=f"The loss gets better, from {loss[0]:.3g} to {loss[-1]:.3g}, "
            f"while {code(name)} gets worse, from {values[0]:.3g} to "
            f"{values[-1]:.3g}",
            evidence={
                "loss_fall": fall,
                "metric": name,
                "metric_first": float(values[0]),
                "metric_last": float(values[-1]),
            },
            cause="The loss rewards the opposite of what the metric measures: "
            "a sign that is wrong (a similarity is to be maximised, so its "
            "loss is negative), or labels that are the wrong way round (0 for "
            "what should be 1).",
            remedy="Compute the loss by hand for a right and for a wrong "
            "answer: the right one must cost less.",
        )
        return


def _gets_worse(view: View, name: str, values: np.ndarray) -> bool:
    """Return whether a metric ends clearly worse than it began.

    An accuracy must also end below guessing: it may sink a little under
    regularisation, and says nothing of a few examples.
    """
    first, last = float(values[0]), float(values[-1])
    if any(part in name for part in _SMALLER):
        return first > 0 and last > 1.2 * first and last > np.median(values)
    if "acc" in name:
        return last < 0.6 * chance(view) and last <= first
    if any(part in name for part in _LARGER):
        return last < first - 0.2
    return False


declare(
    Kind(
        name="validation-differs",
        rank=275,
        ceiling="warning",
        what="Validation is no better than guessing, or worse than an "
        "untrained network, while training goes well.",
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
def validation_that_guesses(view: View, limits: Limits) -> Findings:
    """A validation accuracy of guessing, or below, beside one that is high.

    Below guessing are answers that training ruled out. A network that only
    guesses learned its data by heart, or sees others in validation.
    """
    accuracy, validation = view.accuracy, view.validation_accuracy
    guess = chance(view)
    if accuracy is None or validation is None or len(validation) < 2:
        return
    if not guess > 0 or have_hardly_begun(view):
        return
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


@rule
def validation_of_another_scale(view: View, limits: Limits) -> Findings:
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
    accuracy = view.validation_accuracy
    if accuracy is not None and accuracy[-1] > 1.5 * chance(view):
        return
    if any(validation_that_guesses(view, limits)):
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
        cause="This is not overfitting, which begins after the first epochs: "
        "the untrained network was better on the training data than it ever is "
        "on the validation data. They are of another scale or kind: inputs or "
        "targets that are not scaled there (or scaled with another mean and "
        "deviation), another order of columns or classes.",
        remedy="Compare minimum, maximum, mean and standard deviation of both "
        "sets, inputs and targets, as they enter the model.",
    )


_BELOW_GUESSING = (
    "This is not overfitting: an overfitted model does no worse than guessing. "
    "The classes of the validation data hardly occur in the training data: "
    "`validation_split` takes the last rows before anything is shuffled, so of "
    "data sorted by class it takes the last classes. It could also be labels "
    "or inputs that are prepared in another way."
)

_AT_GUESSING = (
    "What the network learned does not hold for the validation data at all. "
    "Possible reasons are inputs or labels that are prepared in another way "
    "there (a scaling that is missing, another order of the classes), classes "
    "that are missing in training, or training data that are learned by heart, "
    "as where they are few or the labels do not belong to the inputs."
)
