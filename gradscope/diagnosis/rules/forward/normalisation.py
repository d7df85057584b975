"""Rules about the moving statistics of batch norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.forward.batch_norms import (
    SETTLING_STEPS,
    have_hardly_begun,
    last_norm_distance,
    norm_distances,
    probe_gap,
)
from gradscope.diagnosis.spells import Spell, median
from gradscope.diagnosis.wording import finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="batchnorm-statistics",
        rank=250,
        ceiling="error",
        what="The moving statistics of a batch norm never change, or lag "
        "behind those of the batches.",
        shown_by=Shown(("mean_distance", "variance_distance")),
        limits={
            "distance": Limit(
                1.0,
                "distance of the moving statistics from those of the batch: "
                "of means in standard deviations, of variances as the log of "
                "their ratio",
            ),
            "precise_fall": Limit(
                0.999,
                "share by which the loss of a regression must have fallen for "
                "a small distance to matter (examples)",
            ),
            "precise_distance": Limit(
                0.03,
                "that small distance; broken networks have 0.05 to 0.15, "
                "repaired ones 0 (examples)",
            ),
        },
        cause_rank=200,
        symptoms=("train-inference-mismatch",),
    )
)


@rule
def batchnorm_statistics(view: View, limits: Limits) -> Findings:
    """Moving statistics that do not follow the statistics of the batches."""
    movement = view.get("state_movement").astype(float)
    # Where an error of numbers fell to nearly nothing, small distances count.
    precise_fall = limits["batchnorm-statistics.precise_fall"]
    is_precise = view.loss_fall > precise_fall and (
        view.is_regression or not view.model
    )
    precise_limit = limits["batchnorm-statistics.precise_distance"]
    training = view.get("training_mode")
    distance = norm_distances(view)
    limit = limits["batchnorm-statistics.distance"]
    late = slice(-max(5, view.count // 10), None)
    frozen, lagging = [], []
    for row, state in view.states:
        if state.kind != "batch_norm":
            continue
        # A mode that is not known (NaN) counts as training.
        in_training = median(training[:, row]) != 0
        layer_distance = float(median(distance[late, row]))
        never_moved = (
            view.count > 10 and np.nanmax(movement[:, row], initial=0) == 0
        )
        # The distance is NaN where the layer was called without updates.
        if never_moved and in_training and not layer_distance <= 0.1:
            frozen.append((state.name, layer_distance))
        elif (
            layer_distance > limit
            or _outweighs_loss(view, row)
            or (is_precise and last_norm_distance(view, row) > precise_limit)
            or (is_precise and _is_drifting(movement[:, row]))
        ):
            lagging.append(
                (state.name, max(layer_distance, last_norm_distance(view, row)))
            )
    # A lag that is smaller than what chance does to batches shows in no
    # distance, but in the losses of both modes.
    if not lagging and probe_gap(view, limits)[1]:
        lagging = _most_moved(view, movement)
    if frozen:
        yield _frozen_finding(view, limits, frozen)
    elif lagging:
        yield from _lag_findings(view, limits, lagging)


def _outweighs_loss(view: View, row: int) -> bool:
    """Return whether wrong moving statistics cost more than the final loss.

    A distance of `d` standard deviations adds about d^2 of the variance of the
    targets to a squared error in inference mode. This is compared only where
    all batches are the same one, so that the distance is not due to chance.
    """
    inputs, targets = view.data_rows("input"), view.data_rows("target")
    if len(inputs) != 1 or len(targets) != 1:
        return False
    mean = view.get("data_mean")[:, inputs[0]]
    is_same_batch = view.count > 20 and np.ptp(mean) == 0
    if not is_same_batch or view.loss_name != "meansquarederror":
        return False
    late = slice(-max(5, view.count // 10), None)
    means = median(view.get("mean_distance")[late, row])
    variances = median(view.get("variance_distance")[late, row])
    spread = median(view.get("data_variation")[:, targets[0]])
    added_loss = (means**2 + (variances / 2) ** 2) * spread**2
    return bool(added_loss > 10 * view.last_loss)


def _frozen_finding(
    view: View, limits: Limits, frozen: list[tuple[str, float]]
) -> Finding:
    """Make the finding about batch norms whose statistics never change."""
    names = [name for name, _ in frozen]
    return finding(
        view,
        "batchnorm-statistics",
        "error",
        names[0],
        None,
        what=f"The moving statistics of {join_code(names)} never change, "
        "although those of the batches are different",
        evidence={
            "distance": max(distance for _, distance in frozen),
            "distance_limit": limits["batchnorm-statistics.distance"],
            "state_movement": 0.0,
            "layers": names,
        },
        cause="Training uses the statistics of each batch, but inference uses "
        "the moving statistics, which still have their initial values. The "
        "operations that update them are not run, or their result is "
        "discarded.",
        remedy="In TensorFlow 1, run `tf.compat.v1.get_collection("
        "tf.compat.v1.GraphKeys.UPDATE_OPS)` with each step. With Keras's "
        "`stateless_call`, keep the non-trainable variables that it returns.",
    )


def _lag_findings(
    view: View, limits: Limits, lagging: list[tuple[str, float]]
) -> Findings:
    """Make the finding about batch norms whose statistics follow too slowly.

    There is none if the lag does no harm, or if the run is too short.
    """
    ratio, is_gap = probe_gap(view, limits)
    gap = _accuracy_gap(view)
    is_harmful = is_gap or gap > limits["dropout-keep-prob.gap"]
    is_known = np.isfinite(ratio) or np.isfinite(gap)
    largest = max(distance for _, distance in lagging)
    rows = [row for row, state in view.states if state.kind == "batch_norm"]
    is_harmful = is_harmful or any(_outweighs_loss(view, row) for row in rows)
    is_small = largest < limits["batchnorm-statistics.distance"]
    is_short = not is_small and _is_too_short(view, largest, limits)
    if not is_harmful and (is_known or is_short):
        return  # statistics always lag at first, and a longer run cures that
    is_early = have_hardly_begun(view)
    is_note = is_early or (is_small and not is_harmful)
    severity = "note" if is_note else "warning"
    names = [name for name, _ in lagging]
    worst_layer, distance = max(lagging, key=lambda pair: pair[1])
    position = "have not settled"
    if distance > 0.01:  # less may be chance
        position = f"are {distance:.2g} away from those of the batches"
    yield finding(
        view,
        "batchnorm-statistics",
        severity,
        worst_layer,
        Spell(view.count - _late(view), view.count, view.count),
        what=f"At the end, the moving statistics of {join_code(names)} "
        f"{position}, so the network computes something different in inference "
        "mode than in training mode",
        evidence={
            "distance": distance,
            "distance_limit": limits["batchnorm-statistics.distance"],
            "loss_ratio": ratio,
            "accuracy_gap": gap,
            "layers": names,
        },
        cause="The training is too short for their momentum, so this says "
        "little yet. Each step closes `1 - momentum` of the distance: 95 % "
        "takes 300 steps with 0.99, the default, and 3000 with 0.999, which "
        "MobileNet has; and in a deep network all differences multiply."
        if is_early
        else "Possible reasons are moving statistics that follow too slowly "
        "(each step closes only `1 - momentum` of the distance, 1 % if it is "
        "0.99, while the weights change), too few steps, and batches of "
        "several kinds, whose statistics have no mean that suits any of them.",
        remedy="Use `BatchNormalization(momentum=0.9)`, train longer, or let "
        "the learning rate decay towards the end. If batches of several kinds "
        "pass the layer, mix the kinds in each batch.",
    )


def _late(view: View) -> int:
    """Count the recorded steps that are the end of the run."""
    return min(view.count, max(5, view.count // 10))


def _most_moved(view: View, movement: np.ndarray) -> list[tuple[str, float]]:
    """Find the batch norm whose statistics moved most in the last ten records.

    Returns:
        A list with its name and distance, empty if none moved.
    """
    with np.errstate(all="ignore"):
        change = abs(movement[-1] - movement[-min(10, len(movement))])
        shares = np.nan_to_num(change / movement[-1])
    candidates = [
        (float(shares[row]), state.name, last_norm_distance(view, row))
        for row, state in view.states
        if state.kind == "batch_norm"
    ]
    largest = max(candidates, default=(0.0, "", 0.0))
    return [largest[1:]] if largest[0] > 0 else []


def _is_drifting(movement: np.ndarray) -> bool:
    """Return whether statistics drift in one direction in the last 20 records.

    By chance they go back and forth: all 19 differences have the same sign
    with a probability of 2 / 2**19, or 4e-6.
    """
    steps = np.diff(movement[-20:])
    is_one_way = (steps > 0).all() or (steps < 0).all()
    return bool(len(steps) == 19 and is_one_way) and (
        abs(movement[-1] - movement[-20]) > 0.002 * abs(movement[-1])
    )


def _accuracy_gap(view: View) -> float:
    """Subtract the last validation accuracy from that in training; or NaN."""
    training, validation = view.accuracy, view.validation_accuracy
    if training is None or validation is None:
        return np.nan
    return float(median(training[-3:]) - median(validation[-3:]))


def _is_too_short(view: View, distance: float, limits: Limits) -> bool:
    """Return whether the run is too short to expect settled statistics.

    With the default momentum of .99 these need about 500 steps. Statistics
    that are very far away after 100 steps are a fault all the same.
    """
    if view.last_step < SETTLING_STEPS:
        return True
    far_limit = 3 * limits["batchnorm-statistics.distance"]
    return view.last_step < 500 and distance < far_limit
