"""Outputs that are the same for all examples, of the kind `nothing-learned`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.example_variation import (
    are_outputs_constant,
    largest_share,
    smallest_share,
)
from gradscope.diagnosis.registry import Findings
from gradscope.diagnosis.wording import finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


def find_constant_outputs(view: View, limits: Limits) -> Findings:
    """Outputs that hardly differ between examples, though the inputs do."""
    if view.is_short or view.last_step < limits["nothing-learned.steps"]:
        return
    late = view.end.slice
    if not view.is_finite[late].all():
        return
    share = largest_share(view, "output", late)
    limit = limits["nothing-learned.same"]
    # Where all targets are the same, so may be all outputs.
    varied = smallest_share(view, ("input", "target"), late)
    if not 0 <= share < limit or not varied > 0.01:
        return
    always = are_outputs_constant(view)
    yield finding(
        view,
        "nothing-learned",
        "error" if always else "warning",
        view.last_layer,
        None,
        what="The outputs are exactly the same for all examples, from the "
        "first step on: nothing of the inputs, which differ, reaches them"
        if always
        else "The outputs are the same for all examples: they differ by "
        f"{share:.1g} of their size, while the inputs differ by "
        f"{varied:.2g} of theirs",
        evidence={
            "output_variation": share,
            "output_variation_limit": limit,
        },
        cause=_NOTHING_PASSES if always else _COLLAPSED,
        remedy="Call the layers one by one on two different examples, and look "
        "for the first whose outputs are equal."
        if always
        else "Compute the loss by hand for a right, a wrong and a constant "
        "answer: the right one must cost least.",
    )


_NOTHING_PASSES = (
    "This is what one sees; the record does not tell where it is lost. "
    "Possible reasons are a layer that makes zeros or a constant of its input "
    "(a division by a variance that is infinite, as in float16, a mask that is "
    "all zero, a product with zero), units that are all dead, or inputs that "
    "are not those that the network reads."
)

_COLLAPSED = (
    "This is what one sees; the record does not tell why. A loss that one "
    "constant answer makes small pulls all outputs to it: arguments of the "
    "loss that are swapped, embeddings that nothing pushes apart, a sign that "
    "is wrong. Units that are dead or saturated do the same."
)
