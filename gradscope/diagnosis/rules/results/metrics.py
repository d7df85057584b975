"""Rules about metrics that contradict the loss.

They need the logs of `fit`, which `Callback` records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import chance
from gradscope.diagnosis.registry import Findings, rule
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
        # TensorFlow Recommenders computes some in validation alone, and logs
        # the initial 0 in training.
        if not values.any():
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
            cause="Possible reasons, the likeliest first, are a loss that "
            "rewards the opposite of what the metric measures (a sign that is "
            "wrong: a similarity is to be maximised, so its loss is negative), "
            "labels that are the wrong way round (0 for what should be 1), and "
            "a metric of other outputs or targets than those of the loss.",
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
