"""Rules about the range of the model's outputs.

They need data in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data import has_integer_targets, target_range
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import finding, percent

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
    "sigmoid": "a linear output for numbers, a softmax for classes",
    "softmax": "a linear output for numbers",
    "tanh": "a linear output, or targets scaled to between -1 and 1",
    "relu": "a linear output: `Dense(1)` without an activation",
}


@rule
def relu_output(view: View, limits: Limits) -> Findings:
    """A network that ends with a ReLU.

    Its output is never negative, and has no gradient where it is zero.
    """
    for row, activation in view.outputs:
        if activation.kind not in ("relu", "relu6"):
            continue
        low, _ = target_range(view)
        zeros = view.get("zero_fraction")[:, row].astype(float)
        zero_share = float(median(zeros[-max(5, view.count // 5) :]))
        has_classes = "crossentropy" in view.loss_name
        is_dead = zero_share > 0.99
        if not (has_classes or is_dead or low < 0):
            continue
        layer = view.layer_of(activation)
        yield finding(
            view,
            "relu-output",
            "error" if is_dead else "warning",
            layer,
            None,
            what=f"The network ends with a ReLU ({layer}): its output is zero "
            f"for {percent(zero_share)} of the values, and never below",
            evidence={"zero_fraction": zero_share, "target_min": low},
            cause="Where a ReLU is zero its slope is zero: such outputs get no "
            "gradient, and no example can pull them up again.",
            remedy="Leave the activation of the last layer out, or use a "
            "softmax (classes) or a sigmoid (yes or no).",
        )


@rule
def output_range(view: View, limits: Limits) -> Findings:
    """Targets that outputs cannot reach, or outputs that need a softmax."""
    low, high = target_range(view)
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
            what=f"The targets go from {low:.3g} to {high:.3g}; the output of "
            f"{layer} ({activation.kind}) only from {lowest:.3g} to "
            f"{highest:.3g}",
            evidence={
                "target_min": low,
                "target_max": high,
                "outside_share": outside / width,
                "outside_share_limit": limits["output-range.share"],
            },
            cause="The last activation cannot give what it is asked for: the "
            "best that the network can do is to sit at the end of its range.",
            remedy=f"Use {_REMEDIES.get(activation.kind, 'a linear output')}.",
        )
        return
    yield from _raw_output_findings(view)


@rule
def clipped_output(view: View, limits: Limits) -> Findings:
    """Outputs that are clipped at a bound far from the targets.

    A clipped output has no gradient.
    """
    rows, targets = view.data_rows("output"), view.data_rows("target")
    if len(rows) != 1 or len(targets) != 1 or view.outputs:
        return
    if view.count < 20 or not view.kernels:
        return
    low, high = target_range(view)
    for name in ("data_max", "data_min"):
        edge, target_edge = (view.get(name)[:, r[0]] for r in (rows, targets))
        values, counts = np.unique(edge[np.isfinite(edge)], return_counts=True)
        if not counts.size:
            continue
        # Clipped batches have the very same extreme value, the bound.
        bound = float(values[counts.argmax()])
        # A target at the bound makes it a sensible output.
        is_apart = abs(target_edge - bound) > 0.01 * (high - low)
        is_cut = (edge == bound) & is_apart
        # Outputs that are constant are a fault of another kind.
        mean = view.get("data_mean")[is_cut, rows[0]]
        share = float(np.mean(is_cut)) if len(np.unique(mean)) > 1 else 0.0
        if share < limits["output-range.cut"]:
            continue
        layer = view.layer(view.kernels[-1])
        yield finding(
            view,
            "output-range",
            "warning",
            layer,
            None,
            what=f"Outputs of {layer} are cut at exactly {bound:.3g} in "
            f"{percent(share)} of the batches, where no target is",
            evidence={
                "bound": bound,
                "batches": share,
                "batches_limit": limits["output-range.cut"],
            },
            cause="What is cut off (`clip`, `minimum`, `maximum`) has no "
            "slope: examples beyond the bound get no gradient, and cannot "
            "come back.",
            remedy="Cut predictions only when they are used, not in training; "
            "or use a sigmoid, which has a slope everywhere.",
        )
        return


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
        view.schema.layers[-1] if view.schema.layers else None,
        None,
        what=f"The loss wants probabilities, and the outputs go from "
        f"{lowest:.3g} to {highest:.3g}",
        evidence={"output_min": lowest, "output_max": highest},
        cause="There is no softmax or sigmoid at the end, and the loss was not "
        "told (`from_logits`): it cuts off what is below 0 and above 1, and "
        "with it the gradient.",
        remedy="Set `from_logits=True` in the loss, or give the last layer "
        '`activation="softmax"` (`"sigmoid"` for a single unit).',
    )
