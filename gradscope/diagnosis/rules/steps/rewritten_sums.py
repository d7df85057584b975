"""Rule about trainings that may differ in their last bits from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.kinds import Kind, Shown, declare
from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import finding, join_code

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


declare(
    Kind(
        name="unordered-sums",
        rank=310,
        ceiling="note",
        what="TensorFlow adds up sums of the plain program in no fixed order, "
        "so the training does not reproduce its last bits; see "
        "[observing.md](observing.md).",
        needs="for sums of large programs `Callback`, and a step that is not "
        "recorded",
        shown_by=Shown(("gradient_norm",)),
    )
)


@rule
def unordered_sums(view: View, limits: Limits) -> Findings:
    """Sums whose terms TensorFlow adds up in any order, to save memory."""
    names = view.schema.unordered_sums
    if not names:
        return
    count = len(names)
    sums = "a sum" if count == 1 else f"{count} sums"
    yield finding(
        view,
        "unordered-sums",
        "note",
        None,
        None,
        what=f"TensorFlow adds up {sums} of this training in no fixed order "
        f"({join_code(list(names))})",
        evidence={"count": count, "sums": list(names)},
        cause="When the program needs more than 80 % of the device's memory (a "
        "CPU counts as 256 MiB), TensorFlow adds each term as soon as it is "
        "computed; and it begins a sum with the first term whose memory is not "
        "needed elsewhere, which depends on how its threads happen to run. The "
        "last bit may then differ from run to run, with and without gradscope, "
        "and in recorded steps.",
        remedy="Nothing is wrong with the training. Against the first cause "
        "`gradscope.sums_in_order()` at the start of the program helps, and so "
        "do smaller batches or a batch size left open (`None`); against both "
        "`jit_compile=True` does.",
    )
