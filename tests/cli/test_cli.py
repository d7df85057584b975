"""The command line, as a user calls it."""

import csv
import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import runs

import gradscope
from gradscope.cli import main
from gradscope.format import schema
from gradscope.recording import event_writer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two layers: an infinite, an undefined and a zero gradient."""
    logdir = tmp_path_factory.mktemp("logs")
    gradients = np.full((3, 4), 0.1)
    gradients[0, 0], gradients[1, 1], gradients[2, 2] = np.inf, np.nan, 0
    numbers = runs.statistics(gradients)
    runs.write(logdir, "small", runs.network(2), [0, 1, 10], numbers)
    return logdir / "small"


@pytest.fixture
def export(run, tmp_path):
    """Runs `gradscope export` and returns the lines of the table."""

    def export(*options):
        path = tmp_path / "run.csv"
        arguments = ["export", str(run), "--csv", str(path), *options]
        assert main.main(arguments) == 0
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return export


def test_every_number_is_one_line(export, run):
    record = gradscope.read(run)
    lines = export()
    assert list(lines[0]) == ["step", "row", "statistic", "value"]
    per_step = 4 * len(schema.VARIABLE_COLUMNS) + len(schema.RUN_COLUMNS)
    assert len(lines) == 3 * per_step
    for line in lines:
        values = record[line["statistic"]][list(record.steps).index(step(line))]
        if line["row"] != main.WHOLE_STEP:
            values = values[record.variables.index(line["row"])]
        np.testing.assert_array_equal(number(line), values)


def test_only_the_statistics_that_were_asked_for(export):
    lines = export("--statistic", "gradient_norm", "--statistic", "dropped")
    assert {line["statistic"] for line in lines} == {"gradient_norm", "dropped"}
    assert {
        line["row"] for line in lines if line["statistic"] == "dropped"
    } == {"run"}


def test_a_row_for_each_layer(export, run):
    lines = export("--rows", "layers", "--statistic", "weight_norm")
    record = gradscope.read(run)
    assert [line["row"] for line in lines[:2]] == list(record.layers)
    values = np.array([number(line) for line in lines]).reshape(3, 2)
    np.testing.assert_array_equal(values, record.by_layer("weight_norm"))


def test_activations_and_data_have_rows_of_their_own(tmp_path):
    described = dataclasses.replace(
        runs.network(1),
        activations=(schema.Activation("dense_1/relu", "relu", 32),),
        data=(schema.Data("input"), schema.Data("target")),
    )
    families = {
        family: np.full([len(described.rows(family)), len(columns)], 2.0)
        for family, columns in schema.FAMILIES.items()
        if described.rows(family)
    }
    file = event_writer.EventWriter(str(tmp_path / schema.DIRECTORY))
    values = [
        event_writer.family_value(family, described.id, matrix)
        for family, matrix in families.items()
    ]
    file.write(
        0, runs.WALL_TIME, [*values, event_writer.schema_value(described)]
    )
    file.close()
    table = tmp_path / "run.csv"
    for rows in ("variables", "layers"):
        arguments = ["export", str(tmp_path), "--csv", str(table)]
        assert main.main([*arguments, "--rows", rows]) == 0
        text = table.read_text()
        assert "\n0,dense_1/relu,zero_fraction,2.0\n" in text
        assert "\n0,target,data_max,2.0\n" in text
        assert "\n0,run,loss,2.0\n" in text


def test_zero_infinite_and_undefined_are_told_apart(export):
    lines = export("--statistic", "gradient_norm")
    values = {(step(line), line["row"]): line["value"] for line in lines}
    assert values[0, "dense_1/kernel"] == "inf"
    assert values[1, "dense_1/bias"] == ""
    assert values[10, "dense_2/kernel"] == "0.0"
    assert values[0, "dense_2/bias"] == "0.1"


@pytest.mark.parametrize(
    "directory, options, message",
    [
        ("nowhere", [], "no directory"),
        ("", [], "holds 2 runs"),
        ("newer", [], "upgrade gradscope"),
        ("good", ["--statistic", "accuracy"], "no statistic 'accuracy'"),
        ("good", ["--csv", "{logs}/no/such.csv"], "No such file"),
        ("good", ["--csv", "{logs}"], "Is a directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path, capsys, directory, options, message
):
    runs.bad_schema(tmp_path, "newer")
    runs.healthy(tmp_path, "good", layers=1, steps=2)
    options = [option.format(logs=tmp_path) for option in options]
    arguments = ["export", str(tmp_path / directory), "--csv", "/dev/null"]
    assert main.main([*arguments, *options]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("gradscope: ") and message in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "COMMAND"),
        (["export", "logs/run"], "--csv"),
        (["export", "logs/run", "--csv", "a", "--rows", "all"], "'layers'"),
    ],
)
def test_wrong_usage_ends_with_code_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main.main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_the_installed_command_tells_its_version_without_tensorflow():
    code = (
        "import sys; from gradscope.cli.main import main\n"
        "try: main(['--version'])\n"
        "finally: assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"gradscope {gradscope.__version__}\n"


def step(line) -> int:
    return int(line["step"])


def number(line) -> np.float32:
    return np.float32(line["value"] or math.nan)
