"""Statistics: all that is known of each, in one declaration.

The other modules of this folder declare them, a family or two in each.
The columns of the record, how a layer's number is put together, how replicas
are merged, the tables in docs/statistics.md and all that the page says and
draws of a statistic follow from the declarations.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

#: How the number of a layer follows from those of its variables; see
#: `gradscope.reading.by_layer`.
Rule = Literal[
    "all",
    "largest",
    "mean",
    "norm",
    "ratio",
    "rms",
    "smallest",
    "sum",
]

#: Headings under which the page offers statistics, in its order.
GROUPS = (
    "Gradients",
    "Weights and updates",
    "Activations",
    "Units",
    "Dropout and batch norm",
    "Data",
)


@dataclasses.dataclass(frozen=True)
class OfLayer:
    """How the number of a layer follows from those of its variables.

    Attributes:
        rule: The rule of `gradscope.reading.by_layer`.
        sources: Names of the norms that the rules `"ratio"` (over, under) and
            `"rms"` start from; empty for other rules.
        is_exact: Whether the result is the statistic of all elements of the
            layer taken as one vector. A median, for one, does not follow from
            the medians of parts.
    """

    rule: Rule
    sources: tuple[str, ...] = ()
    is_exact: bool = True


@dataclasses.dataclass(frozen=True)
class Band:
    """The usual values, as a band in a chart.

    Attributes:
        low: Where it begins.
        high: Where it ends.
        text: Its words, behind the statistic's label.
    """

    low: float
    high: float
    text: str


@dataclasses.dataclass(frozen=True)
class Line:
    """The line of a statistic in the charts of one layer.

    Attributes:
        chart: Title of the chart, one of those in the page's
            `layer/statistics_charts.js`.
        color: Number of its colour, 1 to 4, another one for each line of a
            chart. The lines are drawn and listed in this order.
        band: Its usual values, if the chart shows them; at most one in a chart.
    """

    chart: str
    color: int
    band: Band | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """How the page draws a statistic.

    Attributes:
        group: The heading under which it is offered, one of `GROUPS`.
        place: Its place in the group and in docs/statistics.md, the lowest
            first. Places leave gaps, so that a new one fits between two others.
        label: The words of its button and captions.
        scale: `"log"` where only the order of magnitude says something.
        domain: Ends of the scale. They are fixed, so that a colour means the
            same number today and tomorrow, in this run and in that.
        ends: Meaning of a very small and of a very large number, in words.
        center: The number at which diverging colours part; None for colours
            that go one way.
        absent: Why a run may lack this number, as a sentence: then NaN is no
            defect. Empty if it is one.
        only_of: Kinds of layers with a state that have this number; empty for
            all rows.
        marks_dead: Whether dead units are marked.
        line: Its line in the charts of one layer, if it has one.
    """

    group: str
    place: int
    label: str
    scale: Literal["log", "linear"]
    domain: tuple[float, float]
    ends: tuple[str, str] = ("small", "large")
    center: float | None = None
    absent: str = ""
    only_of: tuple[str, ...] = ()
    marks_dead: bool = False
    line: Line | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistic:
    """A column of the record: a number of each row of a family, at each step.

    Attributes:
        name: Its public name, which stays.
        family: Table of the record that has it as a column.
        column: Its place among the columns of the family, which stays. A new
            statistic takes the next number.
        meaning: A definition in plain words, without a capital or a full stop,
            as the page says it.
        unit: Unit of its numbers, one word: `"gradient"` and `"weight"` are
            those of the variable, a `"share"` is from 0 to 1, a `"flag"` is 0
            or 1, a `"ratio"` has none, and counts name what they count.
        formula: How it is computed, for docs/statistics.md; empty if `meaning`
            says so.
        healthy: Its usual value in a training that goes well.
        reveals: Meaning of other values.
        is_derived: Whether the host computes it from numbers of the device.
        is_conditional: Whether only some records have the column, behind those
            that all have. Such columns are numbered by themselves.
        needs_gradient: Whether it is undefined for a variable that has no
            gradient in a step. Then the gradient's own elements count.
        of_layer: How a layer's number follows; for the family `variables`.
        of_replicas: How the numbers of replicas become one; means are weighted
            by examples. For what the forward pass measures.
        drawing: How the page draws it. None if it only explains others, or is
            a number of the whole step.
    """

    name: str
    family: str
    column: int
    meaning: str
    unit: str
    formula: str = ""
    healthy: str = ""
    reveals: str = ""
    is_derived: bool = False
    is_conditional: bool = False
    needs_gradient: bool = False
    of_layer: OfLayer | None = None
    of_replicas: Literal["max", "mean", "min", "rms", "sum"] = "mean"
    drawing: Drawing | None = None


#: All statistics by name. Importing `gradscope.format.columns` fills it.
STATISTICS: dict[str, Statistic] = {}


def declare(statistic: Statistic) -> None:
    """Register a statistic."""
    STATISTICS[statistic.name] = statistic


def column_names(family: str, *, conditional: bool = False) -> tuple[str, ...]:
    """List the names of a family's columns in the order of the record.

    Args:
        family: Name of the family.
        conditional: Whether to list those that only some records have, instead
            of those that all have.
    """
    statistics = [
        statistic
        for statistic in STATISTICS.values()
        if statistic.family == family
        and statistic.is_conditional == conditional
    ]
    statistics.sort(key=lambda statistic: statistic.column)
    return tuple(statistic.name for statistic in statistics)


def measured_names(family: str) -> tuple[str, ...]:
    """List the names of a family's columns that the device measures."""
    names = column_names(family)
    return tuple(name for name in names if not STATISTICS[name].is_derived)


def by_place() -> list[Statistic]:
    """List all statistics as people read them: by group and place, then those
    that the page does not draw, in the order of the columns."""

    def place(statistic: Statistic) -> tuple[int, int]:
        drawing = statistic.drawing
        if drawing is None:
            return len(GROUPS), statistic.column
        return GROUPS.index(drawing.group), drawing.place

    return sorted(STATISTICS.values(), key=place)
