"""Rules about the loss, and about outputs and metrics that contradict it.

They need the loss in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median, running_median, spells
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def loss_diverges(view: View, limits: Limits) -> Findings:
    """A loss that ends far above its start."""
    loss = running_median(view.loss)
    if view.count < 10 or not np.isfinite(loss).any():
        return
    start = view.first_loss
    limit = limits["loss-diverges.growth"]
    if start <= 0:
        return
    high_spells = spells(loss > limit * start, 3)
    if not high_spells or not high_spells[-1].stop >= view.count - 5:
        return
    spell = high_spells[-1]
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
def outputs_run_away(view: View, limits: Limits) -> Findings:
    """Outputs that grow without end, as under a loss without a lower bound.

    A wrong sign makes such a loss. The rule applies where the loss is negative
    or not known.
    """
    rows = view.data_rows("output")
    if len(rows) != 1 or view.count < 20 or view.last_loss > 0:
        return
    size = view.get("data_rms")[:, rows[0]].astype(float)
    first, last = float(median(size[:3])), float(median(size[-5:]))
    limit = limits["loss-diverges.outputs"]
    if view.last_loss < -20 * max(abs(view.first_loss), 1):
        limit = limits["loss-diverges.below_zero"]
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
def outputs_ignore_inputs(view: View, limits: Limits) -> Findings:
    """Outputs that hardly vary between examples, although the loss fell.

    Such a network has learned little but the mean of the targets. In one that
    fits, outputs vary as the targets do; the squared ratio of both variations
    is about the share of variance that is explained.
    """
    ratio = _variation_ratio(view)
    limit = limits["loss-metric-disagree.variation"]
    has_fallen = view.loss_fall > limits["loss-metric-disagree.fall"]
    # Until step 200 a healthy run may have learned little but the mean, too.
    if view.last_step < 200 or not ratio < limit or not has_fallen:
        return
    added = _added_loss_share(view)
    is_dominated = added > limits["penalty-dominates.added"]
    evidence = {
        "variation_ratio": ratio,
        "variation_ratio_limit": limit,
        "loss_fall": view.loss_fall,
    }
    yield finding(
        view,
        "penalty-dominates" if is_dominated else "loss-metric-disagree",
        "warning",
        None,
        None,
        what=f"The loss fell by {percent(view.loss_fall)}, and yet the outputs "
        f"vary from example to example by {percent(ratio)} of what the targets "
        "do: little more than the mean was learned",
        evidence=evidence | ({"added_share": added} if is_dominated else {}),
        cause=f"At the start {percent(added)} of the loss was what layers "
        "add to it (a penalty, or a divergence): it pays more to make that "
        "small than to tell examples apart."
        if is_dominated
        else "Most of the loss goes away by a good mean alone, as with many "
        "zeros among the targets. Could also be that what tells examples "
        "apart does not get through to the output.",
        remedy="Divide what is added by 100 and go up from there; sum or "
        "average both parts of the loss over the same axes."
        if is_dominated
        else "Compare the loss with that of always predicting `y.mean(axis=0)`."
        " For one class of many use a softmax and `categorical_crossentropy`.",
    )


def _variation_ratio(view: View) -> float:
    """Divide the variation of the last outputs by that of the targets.

    NaN where both are not of one kind: with several outputs, with logits, with
    indices of classes, or with different shapes.
    """
    outputs, targets = view.data_rows("output"), view.data_rows("target")
    if len(outputs) != 1 or len(targets) != 1:
        return np.nan
    if view.loss_takes_logits or view.loss_name.startswith("sparse"):
        return np.nan
    shapes = [view.schema.data[row].shape for row in (*outputs, *targets)]
    if shapes[0] != shapes[1] and shapes != [(1,), ()]:
        return np.nan
    variation = view.get("data_variation").astype(float)
    target_variation = float(median(variation[:, targets[0]]))
    late = variation[-max(5, view.count // 10) :, outputs[0]]
    if not target_variation > 0:
        return np.nan
    return float(median(late)) / target_variation


#: Names of losses by their short names, which `fit` logs for metrics.
_LOSS_NAMES = {
    "mse": "meansquarederror",
    "mae": "meanabsoluteerror",
    "msle": "meansquaredlogarithmicerror",
}


def _added_loss_share(view: View) -> float:
    """Compute which share of the first epoch's loss layers have added.

    It is known where the compiled loss is also a metric; 0 otherwise.
    """
    total = view.logs.get("loss")
    for name, values in view.logs.items():
        metric = name.replace("_", "")
        metric = _LOSS_NAMES.get(metric, metric)
        if total is not None and metric == view.loss_name:
            return float(1 - values[0] / max(total[0], 1e-12))
    return 0.0


@rule
def single_answer(view: View, limits: Limits) -> Findings:
    """A binary classifier with the same answer for all examples.

    This is a note only: where a class is rare and the examples do not tell
    more, the common class is the best answer.
    """
    outputs, targets = view.data_rows("output"), view.data_rows("target")
    if len(outputs) != 1 or len(targets) != 1 or view.count < 20:
        return
    has_sigmoid = any(
        activation.kind == "sigmoid" for _, activation in view.outputs
    )
    if not has_sigmoid or "binarycrossentropy" not in view.loss_name:
        return
    late = slice(-max(10, view.count // 4), None)
    lowest, highest = (
        view.get(name)[late, outputs[0]] for name in ("data_min", "data_max")
    )
    share = float(np.nanmean(view.get("data_mean")[:, targets[0]]))
    rare = min(share, 1 - share)
    has_one_answer = (highest < 0.5).all() or (lowest > 0.5).all()
    if not 0 < rare < 0.3 or not has_one_answer:
        return
    answer = "no" if share < 0.5 else "yes"
    yield finding(
        view,
        "loss-metric-disagree",
        "note",
        None,
        None,
        what=f"The network says {answer} to every example; {percent(1 - rare)} "
        "accuracy are had by that alone",
        evidence={"rare_share": rare},
        cause=f"One class has {percent(rare)} of the examples, so that nearly "
        "all of the gradient is the other's. Could also be that the two cannot "
        "be told apart better than this.",
        remedy="Look at `keras.metrics.Recall()` or `AUC()`; weigh the rare "
        f"class: `class_weight={{{int(share < 0.5)}: {1 / rare - 1:.0f}}}`.",
    )


@rule
def loss_metric_disagree(view: View, limits: Limits) -> Findings:
    """An accuracy that stays the same while the loss falls.

    Needs the logs of `fit`, which `Callback` records.
    """
    accuracy, loss = view.accuracy, view.logs.get("loss")
    if accuracy is None or loss is None or len(loss) < 3:
        return
    fall = (loss[0] - loss[-1]) / max(abs(loss[0]), 1e-12)
    limit = limits["loss-metric-disagree.fall"]
    accuracy_range = float(np.nanmax(accuracy) - np.nanmin(accuracy))
    best = float(np.nanmax(accuracy))
    if not fall > limit or accuracy_range > 0.02 or best > 0.9:
        return
    # Even guesses are right at times. A metric of exactly zero in all epochs is
    # not computed in training, as those of TensorFlow Recommenders.
    if best == 0 and not view.is_regression:
        return
    # In a regression hardly any prediction equals its target. The metric is of
    # no use there, and does no harm.
    is_harmless = view.is_regression and best < 0.01
    yield finding(
        view,
        "loss-metric-disagree",
        "note" if is_harmless else "warning",
        None,
        None,
        what=f"The loss fell by {percent(fall)}, and accuracy stayed at "
        f"{best:.2g}",
        evidence={
            "loss_fall": fall,
            "loss_fall_limit": limit,
            "accuracy": best,
            "accuracy_moved": accuracy_range,
        },
        cause="They do not measure the same: accuracy says nothing where "
        "numbers are predicted; or outputs and labels are compared in "
        "different forms (logits against probabilities, one-hot against "
        "class numbers).",
        remedy='Use `metrics=["mae"]` for numbers; for classes '
        "`SparseCategoricalAccuracy` or `BinaryAccuracy(threshold=0)` as it "
        "fits the labels and the output.",
    )
