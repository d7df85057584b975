"""Rules about the loss and the metrics; these need a model."""

from __future__ import annotations

import numpy as np

from gradscope.diagnosis.about import finding, percent
from gradscope.diagnosis.registry import rule
from gradscope.diagnosis.spells import median, smoothed, spells


@rule
def loss_diverges(view, limits):
    """A loss that ends far above where it began."""
    loss = smoothed(view.loss)
    if view.count < 10 or not np.isfinite(loss).any():
        return
    start = view.first_loss
    limit = limits["loss-diverges.growth"]
    if start <= 0:
        return
    some = spells(loss > limit * start, 3)
    if not some or not some[-1].stop >= view.count - 5:
        return
    spell = some[-1]
    last = float(median(loss[spell.slice][-5:]))
    yield finding(
        view,
        "loss-diverges",
        "error",
        None,
        spell,
        what=f"The loss rises: from {start:.3g} at the start to {last:.3g}",
        evidence={"growth": last / start, "growth_limit": limit},
        cause="Steps that are too large jump further away each time: a "
        "learning rate that is too large. Could also be a sign that is "
        "wrong (a loss that should be minimised, and is maximised).",
        remedy="Divide the learning rate by ten; clip gradients with "
        "`global_clipnorm=1.0`.",
    )


@rule
def outputs_run_away(view, limits):
    """Outputs that grow without end, where the loss is not known or negative:
    a loss without a floor, as that of a wrong sign."""
    rows = view.data("output")
    if len(rows) != 1 or view.count < 20 or view.last_loss > 0:
        return
    size = view.get("data_rms")[:, rows[0]].astype(float)
    first, last = float(median(size[:3])), float(median(size[-5:]))
    limit = limits["loss-diverges.outputs"]
    middle = float(median(size[: view.count // 2][-5:]))
    if not last > limit * max(first, 1e-6) or not last > 3 * middle:
        return
    yield finding(
        view,
        "loss-diverges",
        "error",
        None,
        None,
        what=f"The outputs grow without end: from {first:.3g} to {last:.3g}",
        evidence={"growth": last / first, "growth_limit": limit},
        cause="The loss has no floor, so there is always more to gain: a sign "
        "that is wrong, or a difference without its square. Could also be a "
        "learning rate that is too large.",
        remedy="Look at the sign of the loss; it should be near zero where "
        "every prediction is right.",
    )


@rule
def loss_metric_disagree(view, limits):
    """A loss that falls while accuracy stays where it was.

    Needs `Callback`, which keeps what `fit` logs.
    """
    accuracy, loss = view.accuracy, view.logs.get("loss")
    if accuracy is None or loss is None or len(loss) < 3:
        return
    fall = (loss[0] - loss[-1]) / max(abs(loss[0]), 1e-12)
    limit = limits["loss-metric-disagree.fall"]
    moved = float(np.nanmax(accuracy) - np.nanmin(accuracy))
    best = float(np.nanmax(accuracy))
    if not fall > limit or moved > 0.02 or best > 0.9:
        return
    yield finding(
        view,
        "loss-metric-disagree",
        "warning",
        None,
        None,
        what=f"The loss fell by {percent(fall)}, and accuracy stayed at "
        f"{best:.2g}",
        evidence={
            "loss_fall": fall,
            "loss_fall_limit": limit,
            "accuracy": best,
            "accuracy_moved": moved,
        },
        cause="They do not measure the same: accuracy says nothing where "
        "numbers are predicted; or outputs and labels are compared in "
        "different forms (logits against probabilities, one-hot against "
        "class numbers).",
        remedy='Use `metrics=["mae"]` for numbers; for classes '
        "`SparseCategoricalAccuracy` or `BinaryAccuracy(threshold=0)` as it "
        "fits the labels and the output.",
    )
