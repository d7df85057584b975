"""Writes the tables of docs/statistics.md from the declared statistics.

    python -m tools.statistics_table

A test compares the tables with the declarations.
"""

from __future__ import annotations

import pathlib
import re

from gradscope.format.columns import by_place
from gradscope.format.statistics.statistic import OfLayer, Statistic

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "statistics.md"

#: A table follows such a line, and ends at an empty one.
MARK = re.compile(r"<!-- statistics of (\w+) -->\n\n(?:\|.*\n)*")

#: What the documentation says of the rules of layers.
RULES = {
    "all": "1 if all are",
    "largest": "largest",
    "mean": "mean, weighted by n",
    "norm": "√ of the sum of squares",
    "ratio": "ratio of the layer's norms",
    "rms": "the layer's norm / √n",
    "smallest": "smallest",
    "sum": "sum",
}


def table(family: str) -> str:
    """Format the statistics of a family as a table in Markdown."""
    statistics = [s for s in by_place() if s.family == family]
    has_layers = any(statistic.of_layer for statistic in statistics)
    head = ["statistic", "meaning", "unit", "healthy", "what it reveals"]
    if has_layers:
        head.insert(3, "of a layer")
    lines = [head, ["---"] * len(head)]
    lines += [_cells(statistic, has_layers) for statistic in statistics]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cells(statistic: Statistic, has_layers: bool) -> list[str]:
    return [
        f"`{statistic.name}`",
        statistic.formula or statistic.meaning,
        statistic.unit,
        *([_of_layer(statistic.of_layer)] if has_layers else []),
        statistic.healthy,
        statistic.reveals,
    ]


def _of_layer(of_layer: OfLayer | None) -> str:
    return RULES[of_layer.rule] if of_layer else ""


def renewed(page: str) -> str:
    """Replace the tables in the text of the page."""
    return MARK.sub(
        lambda mark: f"<!-- statistics of {mark[1]} -->\n\n{table(mark[1])}",
        page,
    )


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
