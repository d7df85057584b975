"""Moving statistics that lag, of the kind `batchnorm-statistics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.guessing_loss import chance
from gradscope.diagnosis.registry import Findings
from gradscope.diagnosis.rules.forward.batch_norms import (
    have_hardly_begun,
    largest_momentum,
    probe_gap,
    share_of_start,
)
from gradscope.diagnosis.rules.forward.normalisation_batches import (
    batches_take_turns,
    turns_finding,
)
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import finding, join_code, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.finding import Finding
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


def lag_findings(
    view: View, limits: Limits, lagging: list[tuple[str, float]]
) -> Findings:
    """Make the finding about batch norms whose statistics follow too slowly.

    There is none if the lag does no harm, or if the run is too short.
    """
    ratio, is_gap = probe_gap(view, limits)
    gap = _accuracy_gap(view)
    rows = [row for row, state in view.states if state.kind == "batch_norm"]
    largest = max(distance for _, distance in lagging)
    is_small = largest < limits["batchnorm-statistics.distance"]
    is_short = not is_small and _is_too_short(view, largest, limits)
    is_harmful = (
        is_gap
        or (
            gap > limits["dropout-keep-prob.gap"]
            and not (is_short and _validation_follows(view))
        )
        or costs_in_validation(view, limits)
        or any(outweighs_loss(view, row) for row in rows)
    )
    is_known = np.isfinite(ratio) or np.isfinite(gap)
    if not is_harmful and (is_known or is_short):
        return  # statistics always lag at first, and a longer run cures that
    is_early = have_hardly_begun(view, limits)
    is_note = is_early or (is_small and not is_harmful)
    severity = "note" if is_note else "warning"
    if batches_take_turns(view):
        yield turns_finding(view, limits, lagging, view.end, severity)
        return
    losses = {"loss_ratio": ratio, "accuracy_gap": gap}
    yield _lag_finding(view, limits, lagging, severity, losses)


def _lag_finding(
    view: View,
    limits: Limits,
    lagging: list[tuple[str, float]],
    severity: str,
    losses: dict[str, float],
) -> Finding:
    """Make the finding about a lag that is to be reported.

    Args:
        view: The run.
        limits: The limits.
        lagging: Names of batch norms, and how far their statistics are away.
        severity: Severity of the finding.
        losses: How both modes differ, as evidence.
    """
    is_start = share_of_start(view) > limits["batchnorm-statistics.start"]
    names = [name for name, _ in lagging]
    worst_layer, distance = max(lagging, key=lambda pair: pair[1])
    position = "have not settled"
    if distance > 0.01:  # less may be chance
        position = f"are {distance:.2g} away from those of the batches"
    return finding(
        view,
        "batchnorm-statistics",
        severity,
        worst_layer,
        view.end,
        what=f"At the end, the moving statistics of {join_code(names)} "
        f"{position}, so the network computes something different in inference "
        "mode than in training mode",
        evidence={
            "distance": distance,
            "distance_limit": limits[
                "batchnorm-statistics.start_distance"
                if is_start
                else "batchnorm-statistics.distance"
            ],
            "share_of_start": share_of_start(view),
            **losses,
            "layers": names,
        },
        cause=_cause_of_lag(view, limits, is_start),
        remedy="Use `BatchNormalization(momentum=0.9)`, train longer, or let "
        "the learning rate decay towards the end. If batches of several kinds "
        "pass the layer, mix the kinds in each batch.",
    )


def _cause_of_lag(view: View, limits: Limits, is_start: bool) -> str:
    """Tell why statistics lag.

    Args:
        view: The run.
        limits: The limits.
        is_start: Whether much of their initial values is left.
    """
    if have_hardly_begun(view, limits):
        return (
            "The training is too short for their momentum, so this says "
            "little yet. Each step closes `1 - momentum` of the distance: 95 % "
            "takes 300 steps with 0.99, the default, and 3000 with 0.999, "
            "which MobileNet has; and in a deep network all differences "
            "multiply."
        )
    if is_start:
        return (
            f"A momentum of {largest_momentum(view):g} leaves "
            f"{percent(share_of_start(view))} of the initial values (means of "
            "0, variances of 1, if nothing was loaded) in moving statistics "
            f"after {view.last_step + 1} steps."
        )
    return (
        "Possible reasons are moving statistics that follow too slowly "
        "(each step closes only `1 - momentum` of the distance, 1 % if it is "
        "0.99, while the weights change), too few steps, and batches of "
        "several kinds, whose statistics have no mean that suits any of them."
    )


def outweighs_loss(view: View, row: int) -> bool:
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
    late = view.end.slice
    means = median(view.get("mean_distance")[late, row])
    variances = median(view.get("variance_distance")[late, row])
    spread = median(view.get("data_variation")[:, targets[0]])
    added_loss = (means**2 + (variances / 2) ** 2) * spread**2
    return bool(added_loss > 10 * view.last_loss)


def _accuracy_gap(view: View) -> float:
    """Subtract the last validation accuracy from that in training; or NaN."""
    training, validation = view.accuracy, view.validation_accuracy
    if training is None or validation is None:
        return np.nan
    return float(median(training[-3:]) - median(validation[-3:]))


def _validation_follows(view: View) -> bool:
    """Return whether validation accuracy is nearer to that of training than to
    guessing, so that a longer run closes the rest of the gap."""
    training, validation = view.accuracy, view.validation_accuracy
    if training is None or validation is None:
        return False
    middle = (median(training[-3:]) + chance(view)) / 2
    return bool(median(validation[-3:]) > middle)


def costs_in_validation(view: View, limits: Limits) -> bool:
    """Return whether validation costs far more, with statistics of the start.

    So few steps seldom overfit. Later, validation may cost more without a lag.
    """
    training, validation = view.logs.get("loss"), view.logs.get("val_loss")
    if training is None or validation is None or not view.is_from_start:
        return False
    is_start = share_of_start(view) > limits["batchnorm-statistics.start"]
    ratio = median(validation[-3:]) / max(median(training[-3:]), 1e-12)
    return is_start and ratio > limits["train-inference-mismatch.ratio"]


def _is_too_short(view: View, distance: float, limits: Limits) -> bool:
    """Return whether the run is too short to expect settled statistics.

    With the default momentum of .99 these need about 500 steps. Statistics
    that are very far away after 100 steps are a fault all the same.
    """
    if view.last_step < limits["batchnorm-statistics.settling"]:
        return True
    far_limit = 3 * limits["batchnorm-statistics.distance"]
    return view.last_step < 500 and distance < far_limit
