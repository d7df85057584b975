"""Rules about targets of a binary cross-entropy that are no shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradscope.diagnosis.registry import Findings, rule
from gradscope.diagnosis.spells import largest, smallest
from gradscope.diagnosis.wording import code, finding

if TYPE_CHECKING:
    from gradscope.diagnosis.limits import Limits
    from gradscope.diagnosis.view import View


@rule
def binary_targets(view: View, limits: Limits) -> Findings:
    """Targets beyond 0 and 1, of which the loss has no least value.

    `output_range` reports those of a single sigmoid, by the range of that.
    """
    if any(output.kind == "sigmoid" for _, output in view.outputs):
        if len(view.data_rows("output")) == 1:
            return
    for row in _binary_targets(view):
        low = smallest(view.get("data_min")[:, row])
        high = largest(view.get("data_max")[:, row])
        outside = max(-low, high - 1)
        limit = limits["output-range.share"]
        if not outside > limit * max(high - low, 1):
            continue
        name = view.schema.rows("data")[row]
        yield finding(
            view,
            "output-range",
            "warning",
            name.partition("/")[2] or view.last_layer,
            None,
            what=f"{code(name)} has values from {low:.3g} to {high:.3g}, and "
            "its loss is a binary cross-entropy, whose targets are "
            "probabilities from 0 to 1",
            evidence={
                "target_min": low,
                "target_max": high,
                "outside": outside,
            },
            cause="Of a target beyond 0 or 1 the loss has no least value: the "
            "further the logit goes, the lower it is, so it may become "
            "negative and the output ends at 0 or 1.",
            remedy="Bring the targets to between 0 and 1 (divide pixels by "
            "255; check how offsets are computed), or use a squared error and "
            "a linear output for numbers.",
        )
        return


def _binary_targets(view: View) -> Iterator[int]:
    """Yield the rows of the targets whose loss is a binary cross-entropy."""
    losses = view.model.get("loss")
    losses = losses if isinstance(losses, list) else [losses]
    outputs, targets = view.data_rows("output"), view.data_rows("target")
    if not len(losses) == len(outputs) == len(targets):
        return  # one loss for several outputs, or a target without one
    rows = view.schema.rows("data")
    names = {rows[row].partition("/")[2]: row for row in targets}
    for loss, output, target in zip(losses, outputs, targets, strict=True):
        kind = str((loss or {}).get("class", "")).lower().replace("_", "")
        if kind == "binarycrossentropy":
            # Targets may come in another order, with the outputs' names.
            yield names.get(rows[output].partition("/")[2], target)
