"""Rules about batch norm, and about training mode against inference mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import code, finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

#: Steps that moving statistics need at least, from their initial values on.
_SETTLING_STEPS = 100


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
    distance = _distance(view)
    limit = limits["batchnorm-statistics.distance"]
    late = slice(-max(5, view.count // 10), None)
    frozen, lagging = [], []
    for row, state in view.states:
        if state.kind != "batch_norm":
            continue
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
            or (is_precise and _last_distance(view, row) > precise_limit)
            or (is_precise and _is_drifting(movement[:, row]))
        ):
            lagging.append(
                (state.name, max(layer_distance, _last_distance(view, row)))
            )
    if not lagging and _probe_gap(view, limits)[1]:
        lagging = _most_moved(view, movement)
    if frozen:
        yield _frozen_finding(view, limits, frozen)
    elif lagging:
        yield from _lag_findings(view, limits, lagging)


@rule
def batch_of_one(view: View, limits: Limits) -> Findings:
    """Batch norm over batches of a single example, which it reduces to zero."""
    norms = [state for _, state in view.states if state.kind == "batch_norm"]
    variation = view.get("data_variation")[:, view.data_rows("input")]
    mean = view.get("data_mean")[:, view.data_rows("input")]
    is_single = (
        mean.size and np.isfinite(mean).any() and np.isnan(variation).all()
    )
    # With more than two axes, the mean is over positions as well.
    are_flat = all(a.rank == 2 for _, a in view.activations)
    in_training = (view.get("training_mode") == 1).any()
    if not norms or not is_single or not are_flat or not in_training:
        return
    yield finding(
        view,
        "batchnorm-statistics",
        "error",
        norms[0].layer or norms[0].name,
        None,
        what="The network has batch norm, but each batch has only one example",
        evidence={"examples": 1},
        cause="Batch norm subtracts the mean of the batch, so nothing is left "
        "of a single example. The layer has the same output for all examples, "
        "and the layers before it get no gradient.",
        remedy="Use `batch_size=32`, or `LayerNormalization`, which averages "
        "over the units of one example.",
    )


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
    ratio, is_gap = _probe_gap(view, limits)
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
    severity = "note" if is_small and not is_harmful else "warning"
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
        None,
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
        cause="The moving statistics follow too slowly. Each step closes only "
        "`1 - momentum` of the distance (1 % if it is 0.99), while the weights "
        "change; or there were too few steps.",
        remedy="Use `BatchNormalization(momentum=0.9)`, train longer, or let "
        "the learning rate decay towards the end.",
    )


declare(
    Kind(
        name="shared-batchnorm",
        rank=260,
        ceiling="warning",
        what="One batch norm normalises batches with different statistics.",
        shown_by=Shown(("mean_distance", "variance_distance")),
        limits={
            "distance": Limit(
                0.5, "distance between the statistics of two calls of one layer"
            ),
        },
        cause_rank=210,
        symptoms=("batchnorm-statistics", "train-inference-mismatch"),
    )
)


@rule
def shared_batchnorm(view: View, limits: Limits) -> Findings:
    """A batch norm that is called on batches with different statistics."""
    if view.last_step < _SETTLING_STEPS:
        return
    rows: dict[str, list[int]] = {}
    for row, state in view.states:
        if state.kind == "batch_norm":
            layer = getattr(state, "layer", "") or state.name
            rows.setdefault(layer, []).append(row)
    distance = _distance(view)
    late = slice(-max(5, view.count // 10), None)
    limit = limits["shared-batchnorm.distance"]
    for layer, layer_rows in rows.items():
        calls = max(getattr(view.states[r][1], "calls", 1) for r in layer_rows)
        if max(calls, len(layer_rows)) < 2:
            continue
        distances = median(distance[late][:, layer_rows], axis=0)
        if not np.nanmin(np.nan_to_num(distances)) > limit:
            continue
        yield finding(
            view,
            "shared-batchnorm",
            "warning",
            layer,
            None,
            what=f"{code(layer)} normalises {len(layer_rows)} kinds of batches "
            "in each step, and its moving statistics are up to "
            f"{np.nanmax(distances):.2g} away from theirs",
            evidence={
                "calls": len(layer_rows),
                "distance": float(np.nanmin(distances)),
                "distance_limit": limit,
            },
            cause="In training, each call uses the statistics of its own "
            "batch. In inference, all calls use the same moving statistics, "
            "which fit none of them.",
            remedy="Give each kind of batch its own batch norm, or concatenate "
            "the batches before the layer.",
        )


declare(
    Kind(
        name="train-inference-mismatch",
        rank=270,
        ceiling="warning",
        what="The same batch has a far larger loss in inference mode than in "
        "training mode.",
        needs="`Callback` and a `fit` on arrays, or `Callback(probe=...)`",
        shown_by=Shown(
            (
                "mean_distance",
                "variance_distance",
                "dropped_fraction",
                "dropout_rate",
            )
        ),
        limits={
            "ratio": Limit(
                2,
                "loss in inference mode divided by the loss in training mode, "
                "for the same batch",
            ),
            "plain_ratio": Limit(
                1.5,
                "the same ratio where there is no batch norm: dropout and "
                "noise make the loss larger in training mode (benchmark)",
            ),
            "error_ratio": Limit(
                10,
                "the same ratio for losses of regressions (mse, mae), which "
                "can always become smaller; broken networks have 100 to 4000 "
                "(examples)",
            ),
        },
    )
)


@rule
def train_inference_mismatch(view: View, limits: Limits) -> Findings:
    """A loss that is far higher in inference mode than in training mode.

    Both are of the same batch. Needs a probe: `Callback` and a `fit` on
    arrays, or `probe=`.
    """
    ratio, is_gap = _probe_gap(view, limits)
    if not is_gap:
        return
    has_norm = _has_norm(view)
    limit = limits[f"train-inference-mismatch.{_ratio_limit(view)}"]
    yield finding(
        view,
        "train-inference-mismatch",
        "warning",
        None,
        None,
        what=f"The loss of the same batch is {ratio:.2g} times as large in "
        "inference mode as in training mode",
        evidence={"loss_ratio": ratio, "loss_ratio_limit": limit},
        cause="A layer computes something different in inference mode: a batch "
        "norm whose moving statistics differ from those of the batch, or a "
        "layer of your own"
        + (" that depends on `training`." if has_norm else "."),
        remedy="Compare the outputs of the layers in both modes. Inside a "
        "layer of your own, pass `training` on to its layers.",
    )


def _distance(view: View) -> np.ndarray:
    """Get the larger of the distances of mean and variance, [T, rows]."""
    means = view.get("mean_distance").astype(float)
    variances = view.get("variance_distance").astype(float)
    distances: np.ndarray = np.fmax(means, variances)
    return distances


def _probe_gap(view: View, limits: Limits) -> tuple[float, bool]:
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
    if ratio > limits[f"train-inference-mismatch.{_ratio_limit(view)}"]:
        return ratio, True
    if view.is_regression:
        exact = float(inference / max(training, 1e-6 * start))
        return exact, exact > limits["train-inference-mismatch.error_ratio"]
    return ratio, False


def _has_norm(view: View) -> bool:
    """Return whether the model has batch norm."""
    return any(state.kind == "batch_norm" for _, state in view.states)


def _ratio_limit(view: View) -> str:
    """Choose the limit of the ratio of both losses.

    It is lower without batch norm: dropout and noise then raise the loss in
    training mode, and not that in inference mode.
    """
    return "ratio" if _has_norm(view) else "plain_ratio"


def _last_distance(view: View, row: int) -> float:
    """Compute the median distance of the last five records."""
    return float(median(_distance(view)[-5:, row]))


def _most_moved(view: View, movement: np.ndarray) -> list[tuple[str, float]]:
    """Find the batch norm whose statistics moved most in the last ten records.

    Returns:
        A list with its name and distance, empty if none moved.
    """
    with np.errstate(all="ignore"):
        change = abs(movement[-1] - movement[-min(10, len(movement))])
        shares = np.nan_to_num(change / movement[-1])
    candidates = [
        (float(shares[row]), state.name, _last_distance(view, row))
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
    if view.last_step < _SETTLING_STEPS:
        return True
    far_limit = 3 * limits["batchnorm-statistics.distance"]
    return view.last_step < 500 and distance < far_limit
