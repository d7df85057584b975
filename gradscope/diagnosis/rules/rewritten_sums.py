"""Rule about trainings that may differ in their last bits from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.wording import finding, join_words

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


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
        what=f"TensorFlow adds up {sums} of this training in any order "
        f"({join_words(list(names))})",
        evidence={"count": count, "sums": list(names)},
        cause="To save memory, above 80 % of the device's (a CPU counts as "
        "256 MiB), it adds each term when it is there. The last bit may then "
        "be another one from run to run, with and without gradscope, and in "
        "recorded steps, where these sums are added up in order.",
        remedy="Nothing is wrong with the training. If it is to repeat its "
        "bits, call `gradscope.sums_in_order()` where the program begins, or "
        "choose smaller batches.",
    )
