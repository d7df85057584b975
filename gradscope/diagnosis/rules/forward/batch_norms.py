"""How far apart moving and batch statistics are, and losses in both modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.spells import median

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


def norm_distances(view: View, steps: slice = slice(None)) -> np.ndarray:
    """Get the larger of the distances of mean and variance, [T, rows]."""
    means = view.get("mean_distance")[steps].astype(float)
    variances = view.get("variance_distance")[steps].astype(float)
    distances: np.ndarray = np.fmax(means, variances)
    return distances


def probe_gap(view: View, limits: Limits) -> tuple[float, bool]:
    """Compare both modes in the last probe.

    Returns:
        Inference loss over training loss, NaN without a probe; and whether it
        is above its limit.
    """
    _, losses = view.record.occasional("probe")
    if not len(losses):
        return np.nan, False
    training, inference = losses[-1, 0].astype(float)
    start = max(abs(view.first_loss), 1e-12)
    # Ratios of tiny losses mean nothing (.001 against .0001): in a batch of 32
    # a single example decides (.05 against .02).
    ratio = float(inference / max(training, 0.05 * start))
    if ratio > limits[f"train-inference-mismatch.{ratio_limit(view)}"]:
        return ratio, True
    if view.is_regression:
        exact = float(inference / max(training, 1e-6 * start))
        return exact, exact > limits["train-inference-mismatch.error_ratio"]
    return ratio, False


def has_batch_norm(view: View) -> bool:
    """Return whether the model has batch norm."""
    return any(state.kind == "batch_norm" for _, state in view.states)


def ratio_limit(view: View) -> str:
    """Choose the limit of the ratio of both losses.

    It is lower without batch norm: dropout and noise then raise the loss in
    training mode, and not that in inference mode.
    """
    return "ratio" if has_batch_norm(view) else "plain_ratio"


def last_norm_distance(view: View, row: int) -> float:
    """Compute the median distance of the last five records."""
    return float(median(norm_distances(view, slice(-5, None))[:, row]))


def have_hardly_begun(view: View, limits: Limits) -> bool:
    """Return whether batch norms had no time to learn their statistics.

    Each step closes `1 - momentum` of the distance. With a momentum of .999, as
    in MobileNet, a hundred steps close a tenth of it. In a deep network the
    differences of all layers multiply, so nearly all of it must be closed. Till
    then inference differs from training whatever the network is, and a longer
    fit cures it.
    """
    is_deep = len(_momenta(view)) >= limits["batchnorm-statistics.deep"]
    name = "nearly_settled" if is_deep else "hardly_begun"
    return share_of_start(view) > limits[f"batchnorm-statistics.{name}"]


def have_settled(view: View, limits: Limits) -> bool:
    """Return whether the moving statistics are those of the last batches."""
    rows = [row for row, state in view.states if state.kind == "batch_norm"]
    are_near = [last_norm_distance(view, row) < 0.5 for row in rows]
    return all(are_near) and not have_hardly_begun(view, limits)


def share_of_start(view: View) -> float:
    """Compute the share of its initial values in a moving statistic.

    Each step keeps `momentum` of it, so after n steps this is that to the power
    of n; of several layers the largest, and 0 where momenta are not known.
    """
    return largest_momentum(view) ** (view.last_step + 1)


def largest_momentum(view: View) -> float:
    """Get the largest momentum of the batch norms; 0 if it is not known."""
    return max(_momenta(view), default=0.0)


def _momenta(view: View) -> list[float]:
    return [
        float((fact.get("config") or {}).get("momentum") or 0)
        for fact in view.facts.values()
        if fact.get("class") == "BatchNormalization"
    ]
