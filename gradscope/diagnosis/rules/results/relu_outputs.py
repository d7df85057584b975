"""Rule about networks that end with a ReLU.

It needs data in the record, which is measured where the model is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.rules.data.data_scale import target_range
from gradscope.diagnosis.spells import median
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="relu-output",
        rank=80,
        ceiling="error",
        what="The network ends with a ReLU.",
        needs="model",
        shown_by=Shown(("zero_fraction", "dead_fraction")),
        cause_rank=60,
        symptoms=(
            "zero-gradient",
            "dead-relu",
            "output-range",
            "vanishing-gradient",
            "loss-metric-disagree",
        ),
    )
)


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
        # For targets that are never negative, a ReLU that is alive suits.
        if not (has_classes or is_dead or low < 0):
            continue
        layer = view.layer_of(activation)
        yield finding(
            view,
            "relu-output",
            "error" if is_dead else "warning",
            layer,
            None,
            what=f"The network ends with a ReLU ({code(layer)}): "
            f"{percent(zero_share)} of its outputs are zero, and none can be "
            "negative",
            evidence={"zero_fraction": zero_share, "target_min": low},
            cause=_cause_of_zeros(view, row, low),
            remedy="Remove the activation of the last layer, or use a softmax "
            "(for classes) or a sigmoid (for yes or no).",
        )


def _cause_of_zeros(view: View, row: int, low: float) -> str:
    """Explain the zeros of a last ReLU, as far as was measured.

    Args:
        view: The run.
        row: Row of the activation.
        low: The smallest target; NaN if not known.
    """
    cause = (
        "Where a ReLU is zero, its slope is zero as well, so an output gets no "
        "gradient from the examples for which it is zero."
    )
    if low < 0:
        cause = (
            f"Targets go down to {low:.3g}, and a ReLU gives nothing below 0. "
            + cause
        )
    dead = view.get("dead_fraction")[:, row].astype(float)
    late = float(median(dead[-max(5, view.count // 5) :]))
    if late > 0:
        cause += (
            f" At the end, {percent(late)} of the units were zero for all "
            "examples of a window, so none of these raises them again."
        )
    return cause
