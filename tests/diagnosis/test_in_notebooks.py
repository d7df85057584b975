"""How findings and records look at the end of a notebook's cell."""

import dataclasses
import re

import runs

import gradscope
from gradscope.diagnosis.finding import Finding, FindingList
from gradscope.reading import read

FINDING = Finding(
    kind="dead-relu",
    severity="error",
    run="logs/run",
    layer="<b>dense</b>",
    steps=(340, 520),
    what="All units of `<b>dense</b>` are dead",
    evidence={"dead_fraction": 1.0, "dead_fraction_limit": 0.9},
    cause="The learning rate is too large.",
    remedy="Use `Adam(1e-3)`.",
)


def test_a_finding_says_what_where_and_since_when():
    assert repr(FINDING) == (
        "<error: dead-relu in <b>dense</b>, since step 340>"
    )
    of_the_run = dataclasses.replace(FINDING, layer=None, steps=(0, 520))
    assert repr(of_the_run) == "<error: dead-relu, from the first step on>"


def test_a_list_of_findings_is_a_list_with_a_line_for_each():
    findings = FindingList([FINDING, FINDING])
    assert findings == [FINDING, FINDING] and isinstance(findings, list)
    assert repr(findings) == f"[{FINDING!r},\n {FINDING!r}]"
    assert repr(FindingList()) == "[]"
    assert "nothing found" in FindingList()._repr_html_()
    assert findings._repr_html_() == 2 * FINDING._repr_html_()


def test_a_finding_in_html_has_why_and_what_to_do_and_no_markup_of_names():
    text = FINDING._repr_html_()
    assert "<b>dense</b>" not in text
    assert "in <code>&lt;b&gt;dense&lt;/b&gt;</code>, since step 340" in text
    assert "<code>Adam(1e-3)</code>" in text
    assert "<b>Why:</b> The learning rate is too large." in text
    assert "dead fraction 1 (limit 0.9)" in text


def test_a_backquote_in_a_name_is_a_character():
    odd = dataclasses.replace(FINDING, what="The layer a`b <i> is dead")
    assert "The layer a`b &lt;i&gt; is dead." in odd._repr_html_()


def test_diagnose_returns_such_a_list(tmp_path):
    runs.vanishing(tmp_path)
    findings = gradscope.diagnose(tmp_path / "vanishing")
    assert repr(findings) == (
        "[<warning: vanishing-gradient in dense_1, from the first step on>]"
    )


def test_a_record_says_how_much_it_holds_and_not_its_numbers(tmp_path):
    runs.layered(tmp_path, steps=160)
    record = gradscope.read(tmp_path / "layered")
    assert repr(record) == (
        f"<Record {tmp_path}/layered: 160 steps from 0 to 159, 3 layers, 6 "
        "variables, 3 activations>"
    )
    text = record._repr_html_()
    assert "160 steps from 0 to 159, 3 layers" in text
    assert re.search(
        r"<img alt='gradient norm of each row.*src='data:image/png", text
    )
    assert "<code>dead_fraction</code>" in text


def test_a_record_with_names_of_markup_is_text(tmp_path):
    runs.hostile(tmp_path)
    (directory,) = read.runs_below(tmp_path)
    text = gradscope.read(directory)._repr_html_()
    assert "<b>bold</b>" not in text and "&lt;b&gt;bold" in text
