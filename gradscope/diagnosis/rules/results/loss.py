"""Rules about the loss, and about outputs and metrics that contradict it.

They need the loss in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median, running_median, spells
from gradscope.diagnosis.wording import finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.spells import Spell
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="loss-diverges",
        rank=120,
        ceiling="error",
        what="The loss ends far above its initial value.",
        needs="model",
        shown_by=Shown(("update_to_weight_ratio",)),
        limits={
            "growth": Limit(
                3, "loss at the end divided by the first loss (benchmark)"
            ),
            "outputs": Limit(
                1000,
                "rms of the outputs at the end divided by that at the start, "
                "where the loss is negative or not known (benchmark)",
            ),
            "below_zero": Limit(
                30,
                "the same ratio, where the loss is negative and 20 times as "
                "large as at the start (benchmark)",
            ),
        },
        cause_rank=140,
        symptoms=("non-finite", "exploding-gradient", "loss-metric-disagree"),
    )
)


@rule
def loss_diverges(view: View, limits: Limits) -> Findings:
    """A loss that ends far above its start."""
    loss = running_median(view.loss)
    if view.count < 10 or not np.isfinite(loss).any():
        return
    start = view.first_loss
    limit = limits["loss-diverges.growth"]
    # A ratio to a loss of zero or below says nothing.
    if start <= 0:
        return
    high_spells = spells(loss > limit * start, 3)
    # A rise that the training has overcome is no divergence.
    if not high_spells or not high_spells[-1].stop >= view.count - 5:
        return
    spell = high_spells[-1]
    last = float(median(loss[spell.slice][-5:]))
    # The median of the first records may be above what the loss was at first.
    is_first = view.is_from_start and 0 < view.loss[0] <= start
    cause, remedy = _explain_divergence(view, limits, spell)
    yield finding(
        view,
        "loss-diverges",
        "error",
        None,
        spell,
        what=f"The loss rises from {view.loss[0]:.3g} at the start to "
        f"{last:.3g}"
        if is_first
        else f"The loss rises from {start:.3g}, the median of the first "
        f"records, to {last:.3g}",
        evidence={"growth": last / start, "growth_limit": limit},
        cause=cause,
        remedy=remedy,
    )


def _explain_divergence(
    view: View, limits: Limits, spell: Spell
) -> tuple[str, str]:
    """Find why a loss rises: cause and remedy, as sentences."""
    remedy = (
        "Divide the learning rate by ten, and clip gradients with "
        "`global_clipnorm=1.0`."
    )
    ratios = view.get("update_to_weight_ratio")[: spell.stop, view.kernels]
    if ratios.size and median(ratios) > limits["learning-rate.high_ratio"]:
        return (
            "The updates are large beside the weights, so the learning rate "
            "is too large: steps overshoot. It could also be a wrong sign (a "
            "loss that is maximised instead of minimised).",
            remedy,
        )
    missing = view.get("gradient_missing")
    is_cut = (missing == 1).any(axis=0) & ~(missing == 0).any(axis=0)
    return (
        "Possible reasons are a learning rate that is too large, so that each "
        "step overshoots, a wrong sign (a loss that is maximised instead of "
        "minimised), or a loss whose terms pull against each other"
        + (
            ", as where a part that gets no gradient cannot follow the others "
            "(disconnected-variable)."
            if is_cut.any()
            else "."
        ),
        remedy
        if not is_cut.any()
        else "Connect what gets no gradient to the loss. If the loss still "
        f"rises: {remedy[0].lower()}{remedy[1:]}",
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
    # Outputs that have found their level grow no more in the second half.
    if not last > limit * max(first, 1e-6) or not last > 3 * middle:
        return
    yield finding(
        view,
        "loss-diverges",
        "error",
        None,
        None,
        what="The outputs grow without limit: their rms rises from "
        f"{first:.3g} to {last:.3g}",
        evidence={"growth": last / first, "growth_limit": limit},
        cause="Nothing holds the outputs back. Possible reasons are a loss "
        "without a lower bound (a wrong sign, or a difference that is not "
        "squared), gradients that are applied to other weights than their "
        "own, or a learning rate that is too large.",
        remedy="Check the sign of the loss. The loss should be near zero when "
        "every prediction is right.",
    )


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
        else "A good mean alone can remove much of the loss, as with many "
        "zeros among the targets. It could also be that the information that "
        "tells examples apart does not reach the output.",
        remedy="Divide the added part by 100, then increase it step by step. "
        "Sum or average both parts of the loss over the same axes."
        if is_dominated
        else "Compare the loss with that of always predicting `y.mean(axis=0)`."
        " For one of many classes, use a softmax with "
        "`categorical_crossentropy`.",
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
    accuracy_range = float(np.nanmax(accuracy) - np.nanmin(accuracy))
    best = float(np.nanmax(accuracy))
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
