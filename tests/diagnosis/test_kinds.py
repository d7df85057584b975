"""Kinds of finding: laws of their declarations, and what follows from them."""

import dataclasses

import pytest
import synthetic

from gradscope.diagnosis.finding import SEVERITIES
from gradscope.diagnosis.kinds import (
    KINDS,
    by_cause_rank,
    by_rank,
    symptoms_of,
)
from gradscope.diagnosis.view import View
from gradscope.diagnosis.wording import finding
from gradscope.format.columns import FAMILIES, OCCASIONAL
from tools import kinds_table


def test_no_two_kinds_share_a_rank():
    for kinds, ranks in (
        (by_rank(), [kind.rank for kind in by_rank()]),
        (by_cause_rank(), [kind.cause_rank for kind in by_cause_rank()]),
    ):
        assert sorted(set(ranks)) == ranks, kinds


def test_only_kinds_with_symptoms_have_a_place_among_causes():
    for kind in KINDS.values():
        assert bool(kind.cause_rank) == bool(symptoms_of(kind)), kind.name


def test_symptoms_and_causes_are_other_kinds_and_named_once():
    for kind in KINDS.values():
        others = KINDS.keys() - {kind.name}
        assert {*kind.symptoms, *kind.symptom_of} <= others, kind.name
        for cause in kind.symptom_of:
            assert kind.name not in KINDS[cause].symptoms, (kind.name, cause)


def test_a_symptom_may_name_its_cause(monkeypatch):
    cause = KINDS["dead-relu"]
    others = symptoms_of(cause)
    assert others >= set(cause.symptoms)
    symptom = dataclasses.replace(
        KINDS["unordered-sums"], symptom_of=("dead-relu",)
    )
    monkeypatch.setitem(KINDS, "unordered-sums", symptom)
    assert symptoms_of(cause) == others | {"unordered-sums"}


@pytest.mark.parametrize("kind", by_rank(), ids=lambda kind: kind.name)
def test_the_page_shows_each_kind_by_statistics_of_the_record(kind):
    columns = {
        name: family
        for families in (FAMILIES, OCCASIONAL)
        for family, names in families.items()
        for name in names
    }
    for shown in (kind.shown_by, *kind.shown_by_origin.values()):
        families = {columns[name] for name in shown.statistics}
        assert families
        assert (families == {"data"}) == (shown.role is not None)
        assert shown.role in (None, "input", "target", "output")


def test_a_finding_is_shown_where_its_fault_began():
    kind = KINDS["non-finite"]
    assert kind.where_shown({"first": "input"}).role == "input"
    assert kind.where_shown({"first": "weight"}).statistics == ("weight_norm",)
    for evidence in ({"first": "loss"}, {}):
        assert kind.where_shown(evidence) == kind.shown_by


@pytest.mark.parametrize("severity", SEVERITIES)
def test_no_finding_is_worse_than_the_ceiling_of_its_kind(severity):
    view = View(synthetic.record(synthetic.network()))

    def reported(kind):
        texts = dict(what="It", evidence={}, cause="", remedy="")
        return finding(view, kind, severity, None, None, **texts).severity

    assert reported("unordered-sums") == "note"
    assert reported("zero-init") == severity
    worst = max(severity, "warning", key=SEVERITIES.index)
    assert reported("unscaled-input") == worst


def test_the_table_in_the_documentation_is_that_of_the_declarations():
    page = kinds_table.PAGE.read_text(encoding="utf-8")
    assert kinds_table.table() in page, (
        "docs/findings.md and the declarations in gradscope/diagnosis/rules "
        "differ; `python -m tools.kinds_table` writes the table anew."
    )
    assert kinds_table.renewed(page) == page
    assert all(kind.what.endswith(".") for kind in KINDS.values())
