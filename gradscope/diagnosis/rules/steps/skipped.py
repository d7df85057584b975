"""Rules about steps that a loss scale skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradscope.diagnosis.finding import Finding
from gradscope.diagnosis.kinds import Kind, Limit, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="steps-skipped",
        rank=12,
        ceiling="error",
        what="A loss scale skipped all steps, or most of them, because their "
        "gradients were not finite.",
        needs="a loss scale (`mixed_float16`)",
        shown_by=Shown(("gradient_norm",)),
        limits={
            "share": Limit(
                0.5,
                "share of the steps that were skipped. A dynamic loss scale "
                "skips some 15 steps to find its size, and then one in 2000",
            ),
            "steps": Limit(40, "skipped steps, the fewest to be reported"),
            "scale": Limit(
                1e-8,
                "loss scale by which gradients of 1e12 fit into float16, so "
                "that a smaller one does not explain what is skipped",
            ),
        },
        cause_rank=6,
        symptoms=("learning-rate", "nothing-learned", "loss-metric-disagree"),
    )
)


#: Largest number of float16.
_LARGEST = 65504


@rule
def skipped_steps(view: View, limits: Limits) -> Findings:
    """All or most steps skipped under a loss scale."""
    skipped = view.record["skipped"]
    skipped = skipped[np.isfinite(skipped)]
    count = int(skipped.max()) if skipped.size else 0
    # Skipped steps are not counted by the optimizer, whose first step is 0.
    applied = view.last_step + 1 if view.count else 0
    share = count / max(count + applied, 1)
    if applied and (
        share < limits["steps-skipped.share"]
        or count < limits["steps-skipped.steps"]
    ):
        return
    if not count:
        return
    steps = view.record.steps
    # Not by `wording.finding`, which takes the steps from the view: where all
    # were skipped, it has none.
    yield Finding(
        kind="steps-skipped",
        severity="warning" if applied else "error",
        run=view.run,
        layer=None,
        steps=(int(steps[0]), int(steps[-1])),
        what=f"{percent(share)} of the steps ({count} up to the last record) "
        "were skipped: their gradients were not finite"
        if applied
        else "No step was made up to the last record: at least "
        f"{count} {'step was' if count == 1 else 'steps were'} skipped, "
        "because their gradients were not finite",
        evidence={
            "skipped": count,
            "applied": applied,
            "share": share,
            "share_limit": limits["steps-skipped.share"],
            "loss_scale": float(view.record["loss_scale"][-1]),
        },
        cause=_word_scale(float(view.record["loss_scale"][-1]), limits)
        + "Possible reasons are a forward pass or a loss that overflows (in "
        "float16 everything beyond 65504 is infinite), and a number that "
        "becomes zero (in float16 everything below 3e-8, as an epsilon of "
        "1e-8) and is divided by, or whose log or root is taken. A step that "
        "is skipped is not measured, so the record does not tell which, or "
        "where.",
        remedy="Use epsilons that float16 can hold (1e-4), and compute powers, "
        'exp, sums, softmax and the loss with `dtype="float32"`; or use '
        '`"mixed_bfloat16"`. One epoch with the policy `"float32"` and '
        "gradscope shows whether any `activation_max` is beyond 65504; if so, "
        "scaling the inputs may help.",
    )


def _word_scale(scale: float, limits: Limits) -> str:
    """Explain a loss scale that was halved again and again."""
    halves = "A dynamic loss scale halves itself after each such step. "
    if not 0 < scale < limits["steps-skipped.scale"]:
        return f"{halves}If that does not help, look at what is not finite. "
    return (
        f"{halves}It fell to {scale:.1g}, with which only gradients above "
        f"{_LARGEST / scale:.1g} are too large for float16. So most likely a "
        "value in the forward pass, the loss or a slope was itself infinite or "
        "NaN. "
    )
