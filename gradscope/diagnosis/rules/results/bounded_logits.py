"""Rules about logits that cannot become large enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import classes
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data.data_scale import is_integer
from gradscope.diagnosis.spells import largest, running_median, smallest
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def bounded_logits(view: View, limits: Limits) -> Findings:
    """Logits from -1 to 1, and a loss that settled above their least one.

    With C classes the best that such logits can give to the right class is a
    probability of e^2 / (e^2 + C - 1), and a cross-entropy of minus its log.
    """
    count = classes(view)
    if count < 3 or view.count < 30 or not _has_class_targets(view, count):
        return
    row = view.data_rows("output")[0]
    low = smallest(view.get("data_min")[:, row])
    high = largest(view.get("data_max")[:, row])
    # Cosines of rounded vectors may be a little beyond 1.
    if not (-1.0005 <= low < -0.1 and 0.1 < high <= 1.0005):
        return
    # The right logit is 1 at most and the others are -1: 2 apart.
    share = np.exp(2) / (np.exp(2) + count - 1)
    least = -float(np.log(share))
    # A loss that still falls may get larger logits in time, and those of a
    # network that only guesses are small anyway.
    is_settled = _last_fall(view) < 0.02
    has_learned = view.last_loss < 0.9 * np.log(count)
    if not (is_settled and has_learned and view.last_loss > least):
        return
    yield finding(
        view,
        "output-range",
        "warning",
        view.last_layer,
        None,
        what=f"The outputs stay between {low:.2g} and {high:.2g}, and the loss "
        f"settles at {view.last_loss:.3g}: a softmax of logits between -1 and "
        f"1 gives the right one of {count} classes at most {percent(share)}, a "
        f"loss of {least:.2g}",
        evidence={
            "output_min": low,
            "output_max": high,
            "last_loss": view.last_loss,
            "least_loss": least,
        },
        cause="Something bounds the logits; the record does not tell what. "
        "Possible reasons are cosines of vectors of length 1 without a scale, "
        "a `tanh`, and a scale that was to be learned and is not trained.",
        remedy="Multiply cosines by a scale of 10 to 30, or by one that is a "
        "weight of the model (`add_weight`); remove a `tanh` from the last "
        "layer.",
    )


def _has_class_targets(view: View, count: int) -> bool:
    """Return whether targets are indices of classes, or one-hot vectors."""
    targets = view.data_rows("target")
    if len(targets) != 1 or view.is_regression:
        return False
    low = smallest(view.get("data_min")[:, targets])
    high = largest(view.get("data_max")[:, targets])
    shape = view.schema.data[targets[0]].shape
    if is_integer(view, targets[0]):
        return low == 0 and high == count - 1
    mean = view.get("data_mean")[:, targets[0]]
    # One-hot vectors add up to 1 in each example.
    is_one_hot = bool(np.allclose(mean * count, 1, atol=1e-3))
    return shape[-1:] == (count,) and (low, high) == (0, 1) and is_one_hot


def _last_fall(view: View) -> float:
    """Share by which the loss fell over the last fifth of the run."""
    loss = running_median(view.loss)
    before = float(loss[4 * len(loss) // 5])
    return (before - view.last_loss) / max(abs(before), 1e-12)
