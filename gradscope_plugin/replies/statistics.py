"""Tells the page how each statistic is called and drawn: `statistics.json`."""

from __future__ import annotations

import dataclasses
import json

from gradscope.format.columns import by_place
from gradscope.format.statistics.statistic import Statistic


def to_json() -> str:
    """Format all statistics as JSON, in the order in which they are offered.

    The page draws a run's statistics with the words and scales of the
    gradscope that serves it, whichever version recorded the run.
    """
    return json.dumps([_described(statistic) for statistic in by_place()])


def _described(statistic: Statistic) -> dict[str, object]:
    """Describe a statistic; only with its name if it explains others."""
    drawing = statistic.drawing
    if drawing is None:
        return {"name": statistic.name}
    # The rows of variables are chosen by the user.
    rows = None if statistic.family == "variables" else statistic.family
    fields = {
        "name": statistic.name,
        "group": drawing.group,
        "label": drawing.label,
        "help": _typeset(statistic.meaning),
        "scale": drawing.scale,
        "domain": drawing.domain,
        "ends": drawing.ends,
        "center": drawing.center,
        "rows": rows,
        "optional": _typeset(drawing.absent) or None,
        "of": drawing.only_of or None,
        "marksDead": drawing.marks_dead or None,
        "ofGradient": statistic.needs_gradient or None,
        "line": drawing.line and dataclasses.asdict(drawing.line),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _typeset(text: str) -> str:
    return text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
