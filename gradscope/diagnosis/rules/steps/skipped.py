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
        },
        cause_rank=6,
        symptoms=("learning-rate", "nothing-learned", "loss-metric-disagree"),
    )
)


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
        what=f"{percent(share)} of the steps ({count}) were skipped: their "
        "gradients were not finite"
        if applied
        else f"No step was made: all {count} steps were skipped, because "
        "their gradients were not finite, and the weights are as they were",
        evidence={
            "skipped": count,
            "applied": applied,
            "share": share,
            "share_limit": limits["steps-skipped.share"],
            "loss_scale": float(view.record["loss_scale"][-1]),
        },
        cause="The loss scale halves itself after each such step, and that "
        "did not help: so it is the forward pass or the loss that overflows, "
        "and not the scale. In float16 everything beyond 65504 is infinite. A "
        "step that is skipped is not measured, so the record does not tell "
        "where.",
        remedy="Compute the layers that make large numbers (powers, exp, sums, "
        'softmax, the loss) with `dtype="float32"`, scale the inputs, or use '
        '`"mixed_bfloat16"`. One epoch with the policy `"float32"` and '
        "gradscope shows which `activation_max` is beyond 65504.",
    )
