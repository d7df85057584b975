"""Names come from files: they are text wherever they are told, no more."""

import csv
import dataclasses
import html
import html.parser
import os
import re

import numpy as np
import pytest
import runs
from hypothesis import example, given
from hypothesis import strategies as st
from names import NAMES
from tensorboard import plugin_util

import gradscope
from gradscope import terminal
from gradscope.cli import main
from gradscope.diagnosis import findings_text
from gradscope.diagnosis.finding import Finding
from gradscope.format import schema
from gradscope.recording import event_writer


@pytest.fixture(params=NAMES, scope="module")
def run(request, tmp_path_factory):
    """A run whose layers have such names, the first of them with NaN."""
    logdir = tmp_path_factory.mktemp("logs")
    name = NAMES[request.param].replace("{", "{{").replace("}", "}}") + "_{}"
    net = runs.network(3, name=name)
    net = dataclasses.replace(net, optimizer={"class": name})
    gradients = np.full([60, 6], 0.1)
    gradients[20:, 0] = 0
    gradients[40:, 2] = np.nan
    runs.write(logdir, "run", net, range(60), runs.statistics(gradients))
    other = dataclasses.replace(net, optimizer={"class": name * 2})
    gradients[3:] *= 2
    runs.write(logdir, "other", other, range(60), runs.statistics(gradients))
    return str(logdir / "run")


@pytest.mark.parametrize(
    "command",
    [
        ["nonfinite", "{run}"],
        ["diagnose", "{run}"],
        ["diagnose", "{run}", "--json"],
        ["compare", "{run}", "{run}/../other"],
        ["compare", "{run}", "{run}/../other", "--json"],
        ["export", "{run}", "--csv", "{run}/a.csv", "--statistic", "none"],
    ],
)
def test_no_command_moves_the_cursor(run, command, capsys):
    arguments = [part.format(run=run) for part in command]
    assert main.main(arguments) in (0, 2)
    told = capsys.readouterr()
    text = told.out + told.err
    assert text and text.replace("\n", "").isprintable()
    text.encode()  # half a character cannot be printed


def test_a_statistic_of_a_strange_name_is_told_as_text(tmp_path, capsys):
    columns = {"variables": ("gradient_norm", "\x1b[2J\r\u202e")}
    net = dataclasses.replace(runs.network(1), columns=columns)
    file = event_writer.EventWriter(str(tmp_path / "run" / schema.DIRECTORY))
    matrix = event_writer.family_value("variables", net.id, np.ones([2, 2]))
    file.write(0, 0.0, [matrix, event_writer.schema_value(net)])
    file.close()
    path = str(tmp_path / "table.csv")
    arguments = ["export", str(tmp_path / "run"), "--csv", path]
    assert main.main([*arguments, "--statistic", "x"]) == 2
    told = capsys.readouterr().err
    assert "Choose one of gradient_norm, \\x1b[2J\\r\\u202e." in told
    assert told[:-1].isprintable()


def test_a_table_has_every_name_in_one_field(run, tmp_path):
    path = str(tmp_path / "table.csv")
    arguments = ["export", run, "--csv", path, "--statistic", "gradient_norm"]
    assert main.main(arguments) == 0
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert {len(line) for line in lines} == {4}
    expected = gradscope.read(run).variables[0]
    assert lines[1][1] == terminal.printable(expected)


class Shown(html.parser.HTMLParser):
    """What a browser makes of HTML: its tags, and the text besides them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        assert not attributes, (tag, attributes)
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


def finding(name):
    return Finding(
        kind="dead-relu",
        severity="error",
        run="run",
        layer=name,
        steps=(0, 9),
        what=f"{name} is dead, as is {name}",
        evidence={"symptoms": [name], "ratio": 0.5},
        cause=f"Too large a rate in {name}.",
        remedy=f"Use `Adam(1e-3)` for {name}, not `SGD(__x__)`.",
    )


@given(
    st.text("`*_[]()<>&#!\\|~-+.:1a \n\t\r$^", min_size=1, max_size=12)
    | st.text(min_size=1, max_size=12)
)
@example(NAMES["markup"])
@example("1. a")
@example("# a")
@example("```\na")
@example("    a")
@example("![a](http://b/c.png)")
@example("<script>alert(1)</script>")
@example("&lt;b&gt;")
@example("[a]: http://b")
@example("a``b")
@example("`")
def test_no_name_is_markup_in_the_tab_text(name):
    text = findings_text.markdown([finding(name)])
    assert text.replace("\n", "").isprintable()
    shown = Shown(plugin_util.markdown_to_safe_html(text))
    assert shown.tags <= {"p", "strong", "em", "code"}, (shown.tags, text)

    def plain(text):
        return re.sub(r"\s+|`", "", text)

    what = terminal.printable(finding(name).what)
    assert plain(what) in plain(shown.text), text


def test_own_code_is_code_in_the_tab_text():
    text = findings_text.markdown([finding("dense_1")])
    assert "**error: dead-relu** in `dense_1`, from the first step on" in text
    shown = html.unescape(plugin_util.markdown_to_safe_html(text))
    assert "<code>Adam(1e-3)</code> for <code>dense_1</code>, not" in shown
    assert "&" not in text  # other readers show the text as it is
    assert "<code>SGD(__x__)</code>" in shown


def test_the_tags_of_panels_are_the_names(run):
    # TensorBoard shows tags as text; a tag is never a path.
    record = gradscope.read(run)
    assert len(record.variables) == 6
    assert sorted(os.listdir(run)) in (["gradscope"], ["a.csv", "gradscope"])
