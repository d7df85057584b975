"""Rules about the moving statistics of batch norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.forward.batch_norms import (
    last_norm_distance,
    norm_distances,
    probe_gap,
)
from gradscope.diagnosis.rules.forward.lagging_norms import (
    costs_in_validation,
    lag_findings,
    outweighs_loss,
)
from gradscope.diagnosis.spells import median
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
            "start": Limit(
                0.5,
                "share of its initial values in a moving statistic: momentum "
                "to the power of the number of steps",
            ),
            "start_distance": Limit(
                0.5, "distance that matters where that share is larger"
            ),
            "hardly_begun": Limit(
                0.85, "the same share, above which a training says little yet"
            ),
            "nearly_settled": Limit(
                0.05,
                "the same in deep networks, in which the differences of all "
                "layers multiply",
            ),
            "deep": Limit(
                20, "batch norms of a deep network; MobileNet has 52"
            ),
            "settling": Limit(
                100,
                "steps that moving statistics need at least, from their "
                "initial values on",
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
    late = view.end.slice
    is_costly = costs_in_validation(view, limits)
    start_limit = limits["batchnorm-statistics.start_distance"]
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
            or (is_costly and layer_distance > start_limit)
            or outweighs_loss(view, row)
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
        yield from lag_findings(view, limits, lagging)


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
        "the moving statistics, which are still those that training began "
        "with. Possible reasons are operations that update them and are not "
        "run, and updates whose result is discarded.",
        remedy="In TensorFlow 1, run `tf.compat.v1.get_collection("
        "tf.compat.v1.GraphKeys.UPDATE_OPS)` with each step. With Keras's "
        "`stateless_call`, keep the non-trainable variables that it returns.",
    )


def _most_moved(view: View, movement: np.ndarray) -> list[tuple[str, float]]:
    """Find the batch norm whose statistics moved most in the last ten records.

    Returns:
        A list with its name and distance, empty if none moved.
    """
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
