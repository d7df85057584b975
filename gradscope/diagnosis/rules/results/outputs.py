"""Rules about the range of the model's outputs.

They need data in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data.data_scale import (
    has_integer_targets,
    target_range,
)
from gradscope.diagnosis.spells import median, smallest
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

#: Smallest and largest output of an activation function.
_RANGES = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, np.inf),
}

#: Better outputs than a layer with the activation function has.
_REMEDIES = {
    "sigmoid": "a linear output for numbers, or a softmax for classes",
    "softmax": "a linear output for numbers",
    "tanh": "a linear output, or scale the targets to between -1 and 1",
    "relu": "a linear output: `Dense(1)` without an activation",
}


declare(
    Kind(
        name="output-range",
        rank=70,
        ceiling="warning",
        what="The last activation cannot reach the targets; or the outputs are "
        "clipped; or the loss confuses logits and probabilities, as with a "
        "second softmax or a missing logarithm.",
        needs="model (for a second softmax, only in eager loops)",
        shown_by=Shown(("data_max",), role="target"),
        limits={
            "cut": Limit(
                0.5,
                "share of the batches with an output exactly at the bound and "
                "no target near it (benchmark)",
            ),
            "sum": Limit(
                0.05,
                "how far the targets of a softmax add up to another "
                "number than 1",
            ),
            "beyond": Limit(
                10,
                "distance of the largest of soft targets from 1, divided by "
                "that of the largest probability, where the loss is negative",
            ),
            "share": Limit(
                0.05,
                "distance of the targets from the range of the output, as a "
                "share of the range of the targets",
            ),
        },
        cause_rank=70,
        symptoms=(
            "saturated-activation",
            "loss-metric-disagree",
            "loss-diverges",
            "dead-relu",
            "zero-gradient",
            "exploding-gradient",
            "vanishing-gradient",
            "learning-rate",
            "update-too-large",
        ),
    )
)


@rule
def output_range(view: View, limits: Limits) -> Findings:
    """Targets that outputs cannot reach, or outputs that need a softmax."""
    low, high = target_range(view)
    # The labels of a sparse loss are classes, which outputs need not reach.
    if view.loss_name.startswith("sparse") or not np.isfinite(low):
        yield from _raw_output_findings(view)
        return
    for _, activation in view.outputs:
        lowest, highest = _RANGES.get(activation.kind, (-np.inf, np.inf))
        if activation.kind.startswith("relu") and low < 0:
            continue  # `relu_output` reports this
        is_softmax = activation.kind == "softmax"
        if is_softmax and high > 1 and has_integer_targets(view):
            continue  # class indices, for a sparse loss by the user
        outside = max(lowest - low, high - highest, 0)
        width = max(high - low, 1e-12)
        if outside / width <= limits["output-range.share"]:
            continue
        layer = view.layer_of(activation)
        yield finding(
            view,
            "output-range",
            "warning",
            layer,
            None,
            what=f"The targets range from {low:.3g} to {high:.3g}, but the "
            f"outputs of {code(layer)} ({activation.kind}) range only from "
            f"{lowest:.3g} to {highest:.3g}",
            evidence={
                "target_min": low,
                "target_max": high,
                "outside_share": outside / width,
                "outside_share_limit": limits["output-range.share"],
            },
            cause="The last activation cannot produce targets beyond its "
            "range. The best that the network can do for these is to stay at "
            "the end of it.",
            remedy=_widen(view, activation.kind),
        )
        return
    yield from _raw_output_findings(view)


def _widen(view: View, kind: str) -> str:
    """Advise how outputs and targets come to have one range."""
    if "binarycrossentropy" in view.loss_name:
        # A cross-entropy of numbers beyond 0 and 1 has no least value.
        return (
            "Bring the targets to between 0 and 1, as the loss asks for "
            "(divide pixels by 255); or, for numbers, use a linear output and "
            "a squared error."
        )
    return f"Use {_REMEDIES.get(kind, 'a linear output')}."


@rule
def targets_that_are_no_shares(view: View, limits: Limits) -> Findings:
    """Targets of a softmax that do not add up to 1.

    The mean over all numbers of a batch, times their count in an example, is
    the mean of the sums.
    """
    rows, targets = view.data_rows("output"), view.data_rows("target")
    if len(rows) != 1 or len(targets) != 1:
        return
    shape, target_shape = (
        view.schema.data[r[0]].shape for r in (rows, targets)
    )
    # A shape without axes is less than `(2,)`, too.
    is_categorical = view.loss_name == "categoricalcrossentropy"
    if not is_categorical or shape != target_shape or shape[-1:] < (2,):
        return
    sums = view.get("data_mean")[:, targets[0]].astype(float) * shape[-1]
    total, limit = float(median(sums)), limits["output-range.sum"]
    if not abs(total - 1) > limit or not np.isfinite(total):
        return
    yield finding(
        view,
        "output-range",
        "warning",
        view.last_layer,
        None,
        what="The targets of an example add up to "
        f"{0.0 if abs(total) < 1e-3 else total:.3g} on average, and a softmax "
        "adds up to 1",
        evidence={"target_sum": total, "target_sum_limit": limit},
        cause="Examples belong to several classes at once, or to none, or the "
        "targets are weights and no shares. `categorical_crossentropy` cannot "
        "reach such targets, and weighs examples by their sums.",
        remedy="For several classes at once use `sigmoid` outputs and "
        "`binary_crossentropy`. "
        + (
            "Shares are not below zero: give rewards or returns as "
            "`sample_weight`, and what was chosen as the target."
            if smallest(view.get("data_min")[:, targets[0]]) < 0
            else "Else divide the targets by their sum."
        ),
    )


@rule
def clipped_output(view: View, limits: Limits) -> Findings:
    """Outputs that are clipped at a bound far from the targets.

    A clipped output has no gradient.
    """
    rows, targets = view.data_rows("output"), view.data_rows("target")
    # A last activation has bounds of its own; `output_range` looks at those.
    if len(rows) != 1 or len(targets) != 1 or view.outputs:
        return
    if view.is_short or not view.kernels:
        return
    for name in ("data_max", "data_min"):
        bound, share = _bound(view, name, rows[0], targets[0])
        if share < limits["output-range.cut"]:
            continue
        layer = view.layer(view.kernels[-1])
        yield finding(
            view,
            "output-range",
            "warning",
            layer,
            None,
            what=f"The outputs of {code(layer)} are clipped at exactly "
            f"{bound:.3g} in {percent(share)} of the batches, although no "
            "target lies there",
            evidence={
                "bound": bound,
                "batches": share,
                "batches_limit": limits["output-range.cut"],
            },
            cause="A clipped value (`clip`, `minimum`, `maximum`) has no "
            "slope. Examples beyond the bound get no gradient and cannot come "
            "back.",
            remedy="Clip predictions only when they are used, not in training; "
            "or use a sigmoid, which has a slope everywhere.",
        )
        return


def _bound(
    view: View, name: str, output: int, target: int
) -> tuple[float, float]:
    """Find a bound at which outputs are clipped.

    Args:
        view: The run.
        name: Statistic of the largest, or of the smallest output of a batch.
        output: Row of the output.
        target: Row of the target.

    Returns:
        The bound, and the share of the batches that are clipped there.
    """
    edge, target_edge = (view.get(name)[:, row] for row in (output, target))
    values, counts = np.unique(edge[np.isfinite(edge)], return_counts=True)
    if not counts.size:
        return np.nan, 0.0
    # Clipped batches have the very same extreme value, the bound.
    bound = float(values[counts.argmax()])
    low, high = target_range(view)
    # A target at the bound makes it a sensible output.
    is_apart = abs(target_edge - bound) > 0.01 * (high - low)
    is_cut = (edge == bound) & is_apart
    # Outputs that are constant are a fault of another kind.
    mean = view.get("data_mean")[is_cut, output]
    share = float(np.mean(is_cut)) if len(np.unique(mean)) > 1 else 0.0
    return bound, share


def _raw_output_findings(view: View) -> Findings:
    """Find outputs outside of 0 to 1 where the loss takes probabilities."""
    if "crossentropy" not in view.loss_name or view.loss_takes_logits:
        return
    rows = view.data_rows("output")
    if len(rows) != 1:
        return
    lowest = float(np.nanmin(view.get("data_min")[:, rows], initial=np.inf))
    highest = float(np.nanmax(view.get("data_max")[:, rows], initial=-np.inf))
    # Probabilities may miss the ends of their range by rounding.
    if lowest > -0.01 and highest < 1.01:
        return
    if any(
        activation.kind in ("softmax", "sigmoid")
        for _, activation in view.outputs
    ):
        return
    yield finding(
        view,
        "output-range",
        "warning",
        view.last_layer,
        None,
        what="The loss expects probabilities, but the outputs range from "
        f"{lowest:.3g} to {highest:.3g}",
        evidence={"output_min": lowest, "output_max": highest},
        cause="The network does not end with a softmax or sigmoid, and "
        "`from_logits` is not set in the loss. The loss clips outputs below 0 "
        "and above 1, so their gradient is lost.",
        remedy="Set `from_logits=True` in the loss, or give the last layer "
        '`activation="softmax"` (`"sigmoid"` for a single unit).',
    )
