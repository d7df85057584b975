"""How far apart moving and batch statistics are, and losses in both modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.spells import median

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

#: Steps that moving statistics need at least, from their initial values on.
SETTLING_STEPS = 100


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


def have_hardly_begun(view: View) -> bool:
    """Return whether batch norms had no time to learn their statistics.

    Each step closes `1 - momentum` of the distance. With a momentum of .999, as
    in MobileNet, a hundred steps close a tenth of it. In a deep network the
    differences of all layers multiply, so nearly all of it must be closed. Till
    then inference differs from training whatever the network is, and a longer
    fit cures it.
    """
    momenta = [
        float((fact.get("config") or {}).get("momentum") or 0)
        for fact in view.facts.values()
        if fact.get("class") == "BatchNormalization"
    ]
    left = max(momenta, default=0.0) ** (view.last_step + 1)
    is_deep = len(momenta) >= _DEEP
    return bool(left > (_NEARLY_SETTLED if is_deep else _HARDLY_BEGUN))


#: Number of batch norms in a deep network; MobileNet has 52.
_DEEP = 20

#: Share of the distance that is left of statistics that have hardly begun, and
#: of those that have nearly settled.
_HARDLY_BEGUN, _NEARLY_SETTLED = 0.85, 0.05
