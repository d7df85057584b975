"""Statistics: laws of their declarations, and what follows from them."""

import collections
import pathlib
import re
import typing

import pytest

from gradscope.format.columns import (
    FAMILIES,
    OCCASIONAL,
    STATISTICS,
    by_place,
    column_names,
    measured_names,
)
from gradscope.format.statistics import statistic as declarations
from gradscope.reading import by_layer
from tools import statistics_table

ROOT = pathlib.Path(__file__).parents[2]
STATIC = ROOT / "gradscope_plugin" / "static"

ALL = list(STATISTICS.values())
DRAWN = [statistic for statistic in ALL if statistic.drawing]

#: Those that code of the page knows by name: the one that it begins with, what
#: explains cells of others, and the two that make up a map of units.
KNOWN_TO_THE_PAGE = {
    "gradient_norm",
    "gradient_missing",
    "unit_activity",
    "unit_dead",
    "unit_idle_examples",
    "unit_last_fired",
}


def name(statistic):
    return statistic.name


@pytest.mark.parametrize("family", FAMILIES | OCCASIONAL)
@pytest.mark.parametrize("conditional", [False, True])
def test_the_columns_of_a_family_are_numbered_without_a_gap(
    family, conditional
):
    numbers = [
        STATISTICS[column].column
        for column in column_names(family, conditional=conditional)
    ]
    assert numbers == list(range(len(numbers)))


def test_each_statistic_is_a_column_of_one_family():
    columns = collections.Counter(
        column
        for families in (FAMILIES, OCCASIONAL)
        for columns in families.values()
        for column in columns
    )
    conditional = {s.name for s in ALL if s.is_conditional}
    assert columns.keys() | conditional == STATISTICS.keys()
    assert set(columns.values()) == {1} and not conditional & columns.keys()


def test_what_the_host_derives_is_not_measured():
    assert "gradient_norm" in measured_names("variables")
    assert "weight_rms" not in measured_names("variables")
    assert measured_names("data") == FAMILIES["data"]


@pytest.mark.parametrize("statistic", ALL, ids=name)
def test_words_are_as_the_page_and_the_documentation_want_them(statistic):
    assert statistic.meaning and statistic.unit.isalpha()
    assert not statistic.meaning.endswith(".")
    for text in (statistic.formula, statistic.healthy, statistic.reveals):
        assert not text.endswith((".", " ")) and "\n" not in text
        # A bar would end the cell of the table.
        assert not re.search(r"(?<!\\)\|", text)


@pytest.mark.parametrize("statistic", DRAWN, ids=name)
def test_a_drawn_statistic_has_a_scale_and_says_what_is_healthy(statistic):
    drawing = statistic.drawing
    low, high = drawing.domain
    assert low < high and (low > 0 or drawing.scale == "linear")
    assert drawing.center is None or low < drawing.center < high
    assert statistic.healthy and statistic.reveals
    assert not drawing.absent or drawing.absent.endswith(".")


def test_no_two_statistics_of_a_group_share_a_place():
    places = [(s.drawing.group, s.drawing.place) for s in DRAWN]
    assert len(set(places)) == len(places)
    assert {group for group, _ in places} == set(declarations.GROUPS)
    order = [s.drawing.group for s in by_place() if s.drawing]
    assert tuple(dict.fromkeys(order)) == declarations.GROUPS


def test_no_two_lines_of_a_chart_share_a_colour():
    text = (STATIC / "layer" / "statistics_charts.js").read_text("utf-8")
    titles = set(re.findall(r"title: '(\w+)'", text))
    lines = [s.drawing.line for s in DRAWN if s.drawing.line]
    assert {line.chart for line in lines} == titles
    for title in titles:
        chart = [line for line in lines if line.chart == title]
        colors = sorted(line.color for line in chart)
        assert colors == list(range(1, len(chart) + 1)) and len(chart) <= 4
        assert sum(line.band is not None for line in chart) <= 1


def test_each_statistic_of_variables_has_a_rule_for_layers():
    for statistic in ALL:
        assert bool(statistic.of_layer) == (statistic.family == "variables")
    rules = typing.get_args(declarations.Rule)
    assert {*by_layer._RULES, "ratio"} == set(rules)
    assert statistics_table.RULES.keys() == set(rules)


def test_a_rule_starts_from_as_many_norms_as_it_needs():
    counts = {"ratio": 2, "rms": 1}
    for statistic in ALL:
        if statistic.of_layer is None:
            continue
        sources = statistic.of_layer.sources
        assert len(sources) == counts.get(statistic.of_layer.rule, 0)
        for source in sources:
            assert STATISTICS[source].of_layer.rule == "norm"


def test_the_page_knows_few_statistics_by_name():
    """All words, scales and charts come from the declarations."""
    pattern = re.compile("|".join(rf"\b{name}\b" for name in STATISTICS))
    known = set()
    for path in STATIC.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        code = re.sub(r"(?s)/\*.*?\*/|//[^\n]*", "", text)
        known |= set(pattern.findall(code))
    # `loss` and the others are fields of findings and of runs.
    assert known - {s.name for s in ALL if s.family == "run"} == (
        KNOWN_TO_THE_PAGE
    )


def test_the_tables_in_the_documentation_are_those_of_the_declarations():
    page = statistics_table.PAGE.read_text(encoding="utf-8")
    assert statistics_table.renewed(page) == page, (
        "docs/statistics.md and the declarations in gradscope/format differ; "
        "`python -m tools.statistics_table` writes the tables anew."
    )
    families = set(statistics_table.MARK.findall(page))
    assert families == {*FAMILIES, *OCCASIONAL} - {"sketch"}


def test_the_readme_says_of_a_statistic_what_its_declaration_says():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, table = text.split("| statistic | healthy | what it reveals |\n")
    rows = re.findall(
        r"(?m)^\| `(\w+)`: [^|]* \| ([^|]*) \|", table.split("\n\n")[0]
    )
    assert len(rows) == 3
    for statistic, healthy in rows:
        assert STATISTICS[statistic].healthy.startswith(healthy)
