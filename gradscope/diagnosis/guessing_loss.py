"""The loss of guessing: of the best answer that ignores the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.spells import median

if TYPE_CHECKING:
    from gradscope.diagnosis.view import View


def guessing_loss(view: View) -> float:
    """Compute the loss of the best constant answer; NaN if it is not known.

    For a binary cross-entropy this is the entropy of the share of ones among
    the targets, for other cross-entropies the logarithm of the number of
    classes, which is the largest that it can be. For the mean squared error it
    is the variance of the targets.
    """
    outputs, targets = view.data_rows("output"), view.data_rows("target")
    if len(outputs) != 1 or len(targets) != 1:
        return np.nan
    if "binarycrossentropy" in view.loss_name:
        return _entropy(float(median(view.get("data_mean")[:, targets[0]])))
    if view.loss_name in (
        "categoricalcrossentropy",
        "sparsecategoricalcrossentropy",
    ):
        return view.uniform_loss if classes(view) > 1 else np.nan
    if view.loss_name == "meansquarederror":
        variation = view.get("data_variation")[:, targets[0]].astype(float)
        # Guessing the mean leaves the variance.
        return float(median(variation**2))
    return np.nan


def chance(view: View) -> float:
    """Compute the accuracy of guessing; NaN if it is not known."""
    outputs, targets = view.data_rows("output"), view.data_rows("target")
    if len(outputs) != 1 or len(targets) != 1:
        return np.nan
    if "binarycrossentropy" in view.loss_name and classes(view) < 2:
        share = float(median(view.get("data_mean")[:, targets[0]]))
        return max(share, 1 - share) if 0 <= share <= 1 else np.nan
    return 1 / classes(view) if classes(view) > 1 else np.nan


def classes(view: View) -> int:
    """Return the size of the output's last axis; 0 if it is not known."""
    outputs = view.data_rows("output")
    shape = view.schema.data[outputs[0]].shape if len(outputs) == 1 else ()
    return max(shape[-1], 0) if shape else 0


def _entropy(share: float) -> float:
    if not 0 < share < 1:
        return np.nan
    return float(
        -share * np.log(share) - (1 - share) * np.log(1 - share),
    )
