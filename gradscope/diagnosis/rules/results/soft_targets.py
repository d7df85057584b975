"""Rules about targets that are shares, and outputs that do not become them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import largest, median
from gradscope.diagnosis.wording import finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def beyond_soft_targets(view: View, limits: Limits) -> Findings:
    """Probabilities that go far beyond soft targets, for a negative loss.

    A cross-entropy or divergence of shares has its least value, of 0 or more,
    where the probabilities are the shares.
    """
    highest = _highest_share(view)
    if not highest < 1 or view.count < 30 or not view.last_loss < 0:
        return
    rows = [row for row, a in view.activations if a.kind == "softmax"]
    peaks = median(view.get("activation_max")[view.end.slice, rows], axis=0)
    # Losses with several softmaxes may have one for another temperature.
    peak = float(min(peaks, default=np.nan))
    limit = limits["output-range.beyond"]
    if not peak <= 1 or not (1 - highest) > limit * (1 - peak):
        return
    yield finding(
        view,
        "output-range",
        "warning",
        view.last_layer,
        None,
        what=f"The targets are shares of at most {highest:.2g}, the softmax of "
        f"the outputs goes up to {peak:.4g}, and the loss falls below zero "
        f"({view.last_loss:.3g})",
        evidence={
            "target_max": highest,
            "probability_max": peak,
            "last_loss": view.last_loss,
            "beyond_limit": limit,
        },
        cause="A cross-entropy or a divergence of such targets is never below "
        "zero, and is smallest where the probabilities are the targets. "
        "This loss pays for more and more of the likeliest class. "
        "The likeliest reason is a divergence that is given probabilities "
        "where their logarithms belong; a sign that is wrong, or a term that "
        "rewards certainty, does the same.",
        remedy="Use `keras.losses.KLDivergence()` on probabilities, or "
        "`tf.nn.log_softmax(logits)` in a loss of your own. Compute the loss "
        "by hand where the answers are the targets: no other may cost less.",
    )


def _highest_share(view: View) -> float:
    """Find the largest of targets that are shares of classes, else NaN.

    Shares are not below zero and add up to 1 in each example; so their mean is
    one over the number of classes.
    """
    targets, outputs = view.data_rows("target"), view.data_rows("output")
    if len(targets) != 1 or len(outputs) != 1:
        return np.nan
    shapes = [view.schema.data[row].shape for row in (*targets, *outputs)]
    if shapes[0] != shapes[1] or not shapes[0] or shapes[0][-1] < 2:
        return np.nan
    mean = view.get("data_mean")[:, targets[0]] * shapes[0][-1]
    is_share = np.allclose(mean, 1, atol=1e-3)
    if not is_share or not (view.get("data_min")[:, targets] >= 0).all():
        return np.nan
    return largest(view.get("data_max")[:, targets])
