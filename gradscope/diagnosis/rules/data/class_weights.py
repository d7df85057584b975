"""Rules about class weights that do not fit the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import code, finding, percent

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View

declare(
    Kind(
        name="class-weight",
        rank=67,
        ceiling="warning",
        what="`class_weight` gives the most weight to the classes with the "
        "most examples, or has a class that does not occur and lacks one that "
        "does.",
        needs="`Callback`; a `fit` on arrays",
        shown_by=Shown(("data_mean",), role="target"),
        is_note_if_learned=True,
    )
)


@rule
def weight_of_many(view: View, limits: Limits) -> Findings:
    """Weights that rise with the number of examples."""
    for wiring in view.wiring("weight_of_many"):
        share, examples, weight = map(float, wiring.detail.split())
        yield finding(
            view,
            "class-weight",
            "warning",
            None,
            None,
            what=f"The most frequent class has {percent(share)} of the "
            f"examples, {examples:.3g} times as many as the rarest, and "
            f"{code('class_weight')} gives it {weight:.3g} times the weight",
            evidence={
                "share": share,
                "examples_ratio": examples,
                "weight_ratio": weight,
            },
            cause="The weights rise with the number of examples, so the rare "
            "classes count even less than without them. Most likely they are "
            "shares where their inverses belong. Errors that cost more in the "
            "frequent classes would be a reason to keep them.",
            remedy="Use `class_weight={k: len(y) / (classes * count_of_k)}`.",
        )
        return


@rule
def weight_of_no_class(view: View, limits: Limits) -> Findings:
    """Weights of labels that do not occur, beside labels without a weight."""
    for wiring in view.wiring("weight_of_no_class"):
        absent, unweighted = wiring.detail.split()
        yield finding(
            view,
            "class-weight",
            "warning",
            None,
            None,
            what=f"{code('class_weight')} has a weight for class {absent}, "
            f"which no example has, and none for class {unweighted}",
            evidence={"absent": int(absent), "unweighted": int(unweighted)},
            cause="Keras looks a weight up by the label, and a class without "
            "one counts 1. Labels that are counted from 0, and weights from 1, "
            "are the usual reason: each class then has the weight of another.",
            remedy="Compare the keys with `np.unique(y)`.",
        )
        return
