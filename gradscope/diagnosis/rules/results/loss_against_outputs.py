"""Rules about outputs and metrics that contradict a loss that falls.

They need the loss in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import average, largest, median, smallest
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="loss-metric-disagree",
        rank=300,
        ceiling="warning",
        what="The loss falls while accuracy stays the same; or the outputs are "
        "nearly the same for all examples; or each prediction is compared "
        "with all targets (`[N, 1]` minus `[N]`).",
        needs="`Callback`; model; a graph (`fit` or `tf.function`)",
        shown_by=Shown(("gradient_norm",)),
        limits={
            "variation": Limit(
                0.15,
                "variation of the outputs divided by that of the targets; its "
                "square is about the share of variance that is explained. "
                "Healthy runs have 0.34 or more (benchmark)",
            ),
            "fall": Limit(
                0.3,
                "share by which the loss fell while accuracy stayed the same",
            ),
        },
    )
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
        what=f"The loss fell by {percent(view.loss_fall)}, but the outputs "
        f"vary between examples by only {percent(ratio)} of what the targets "
        "vary: the network has learned little more than the mean",
        evidence=evidence | ({"added_share": added} if is_dominated else {}),
        cause=f"At the start, {percent(added)} of the loss was added by layers "
        "(a penalty or a divergence). Reducing that part pays more than "
        "telling examples apart."
        if is_dominated
        else "The record does not tell why. A good mean alone can remove much "
        "of the loss, as with many zeros among the targets. It could also be "
        "that the information that tells examples apart does not reach the "
        "output.",
        remedy="Divide the added part by 100, then increase it step by step. "
        "Sum or average both parts of the loss over the same axes."
        if is_dominated
        else "Check, the likeliest first: (1) compare the loss with that of "
        "always predicting `y.mean(axis=0)`; for one of many classes, use a "
        "softmax with `categorical_crossentropy`. (2) Look at ten inputs with "
        "their targets right before `fit`: do they belong together? (3) Train "
        "on 20 examples alone, which a network that is put together well "
        "learns by heart.",
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
    # The target of a single output may lack its axis.
    if shapes[0] != shapes[1] and shapes != [(1,), ()]:
        return np.nan
    variation = view.get("data_variation").astype(float)
    target_variation = float(median(variation[:, targets[0]]))
    late = variation[view.end.slice, outputs[0]]
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
    if len(outputs) != 1 or len(targets) != 1 or view.is_short:
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
    share = average(view.get("data_mean")[:, targets[0]])
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
        what=f'The network answers "{answer}" for every example, which alone '
        f"gives an accuracy of {percent(1 - rare)}",
        evidence={"rare_share": rare},
        cause=f"One class has {percent(rare)} of the examples, so nearly all "
        "of the gradient comes from the other class. It could also be that the "
        "two classes cannot be told apart any better.",
        remedy="Look at `keras.metrics.Recall()` or `keras.metrics.AUC()`, and "
        "give the rare class more weight: "
        f"`class_weight={{{int(share < 0.5)}: {1 / rare - 1:.0f}}}`.",
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
    accuracy_range = largest(accuracy) - smallest(accuracy)
    best = largest(accuracy)
    # An accuracy that is high already has little room to rise.
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
        what=f"The loss fell by {percent(fall)}, but accuracy stayed at "
        f"{best:.2g}",
        evidence={
            "loss_fall": fall,
            "loss_fall_limit": limit,
            "accuracy": best,
            "accuracy_moved": accuracy_range,
        },
        cause="The loss and the accuracy do not measure the same thing. "
        "Accuracy means nothing where numbers are predicted; or outputs and "
        "labels are compared in different forms (logits and probabilities, "
        "one-hot vectors and class indices).",
        remedy='Use `metrics=["mae"]` for numbers. For classes, use '
        "`SparseCategoricalAccuracy` or `BinaryAccuracy(threshold=0)`, "
        "whichever fits the labels and the outputs.",
    )
