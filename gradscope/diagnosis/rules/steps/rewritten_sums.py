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
        needs="`Callback`, and a step that is not recorded",
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
        cause="To save memory when the program needs more than 80 % of the "
        "device's memory (a CPU counts as 256 MiB), TensorFlow adds each term "
        "as soon as it is computed. The last bit may then differ from run to "
        "run, with and without gradscope, and in recorded steps, where these "
        "sums are added up in order.",
        remedy="Nothing is wrong with the training. If it must be reproducible "
        "bit for bit, call `gradscope.sums_in_order()` at the start of the "
        "program, or use smaller batches.",
    )
