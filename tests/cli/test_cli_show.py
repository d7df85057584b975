"""`gradscope show`: heatmaps in a terminal."""

import re
import sys

import numpy as np
import pytest
import runs

import gradscope
from gradscope.cli import main
from gradscope.drawing import palette, terminal_heatmap
from gradscope.drawing.grid import Kind, make_grid


@pytest.fixture
def show(capsys):
    """Runs the command; returns the exit code and what it printed."""

    def show(*arguments):
        code = main.main(["show", *map(str, arguments)])
        return code, *capsys.readouterr()

    return show


def test_letters_where_there_is_no_colour(show, tmp_path):
    runs.abnormal(tmp_path)
    code, out, err = show(tmp_path)
    assert code == 0 and err == "" and "\033" not in out
    lines = out.splitlines()
    assert lines[0] == "abnormal: gradient norm, input at the top"
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line[23:] for line in lines[1:7]}
    assert re.fullmatch(r"#{14}0{43}", rows["dense_1"])
    assert re.fullmatch(r"#{28}\?{29}", rows["dense_2"])
    assert re.fullmatch(r"#{38}I#{18}", rows["dense_3"])
    assert re.fullmatch(r"#{42}N{15}", rows["dense_6"])
    assert lines[7].split() == ["step", "0", "119"]
    assert "' ' 1e-08 to '@' 10, '0' exactly zero, 'N' NaN" in out
    assert "error: non-finite in `dense_3`, since step 80" in out


def test_colours_are_those_of_the_page(show, tmp_path):
    runs.abnormal(tmp_path)
    out = show(tmp_path, "--color", "always")[1]
    red, green, blue = palette.MARKS[Kind.NAN]
    assert f"48;2;{red};{green};{blue}m" in out
    assert "\033[31;1merror" in out
    lines = re.sub(r"\033\[[\d;]*m", "", out).splitlines()
    assert max(map(len, lines)) <= 80


def test_a_wider_terminal_has_more_columns(show, tmp_path):
    runs.vanishing(tmp_path)
    for width, columns in ((40, 57), (100, 77), (400, 85)):
        line = show(tmp_path, "--width", width)[1].splitlines()[1]
        assert len(line) == 23 + columns


def test_other_statistics_and_rows(show, tmp_path):
    runs.layered(tmp_path, steps=160)
    out = show(tmp_path, "--statistic", "dead_fraction")[1]
    assert "dense_1/relu" in out
    out = show(tmp_path, "--rows", "variables")[1]
    assert "dense_3/bias" in out
    code, _, err = show(tmp_path, "--statistic", "nothing")
    assert code == 2 and "no statistic 'nothing'" in err


def test_a_run_without_such_rows_says_so(show, tmp_path):
    runs.one_step(tmp_path)
    out = show(tmp_path, "--statistic", "dead_fraction")[1]
    assert "the run has no such row" in out


def test_without_rich_there_are_letters(show, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    runs.vanishing(tmp_path)
    code, out, _ = show(tmp_path, "--color", "always")
    assert code == 0 and "\033" not in out


def test_names_from_a_file_are_printable(show, tmp_path):
    described = runs.network(1, name="a\x1b[31m_{}")
    numbers = runs.statistics(np.full([1, 2], 0.5))
    runs.write(tmp_path, "run", described, [0], numbers)
    assert "\x1b" not in show(tmp_path)[1]


def test_runs_that_cannot_be_read_have_the_exit_codes_of_diagnose(
    show, tmp_path
):
    assert show(tmp_path / "none")[0] == 2
    runs.bad_schema(tmp_path)
    code, _, err = show(tmp_path)
    assert code == 5 and "format 99" in err


def test_where_cells_share_a_place_the_most_abnormal_one_is_shown():
    values = np.full([10, 4], 0.5, np.float32)
    values[3, 1] = np.nan
    values[8, 2] = 1e-7
    names = ("a", "b", "c", "d")
    grid = make_grid("gradient_norm", names, np.arange(10), values)
    shown = terminal_heatmap.picture(grid, 23 + 2)
    assert shown.kinds[1].tolist() == [Kind.NAN, Kind.NUMBER]
    assert shown.positions[2].tolist() == pytest.approx(
        [0.8554, 1 / 9], abs=2e-3
    )


def test_more_rows_than_lines_share_them():
    names = [f"layer_{number}" for number in range(100)]
    values = np.full([3, 100], 0.5, np.float32)
    grid = make_grid("gradient_norm", names, np.arange(3), values)
    shown = terminal_heatmap.picture(grid, 80)
    assert len(shown.names) == terminal_heatmap.MOST_LINES
    assert shown.names[0] == "layer_0 +1"
    assert shown.kinds.shape == (terminal_heatmap.MOST_LINES, 3)


def test_rows_that_share_a_line_are_one_of_them_from_first_to_last():
    """The layer furthest from the middle of the scale is another in each
    step."""
    names = [f"layer_{number}" for number in range(80)]
    values = np.full([4, 80], 0.5, np.float32)
    values[:, 0] = [1e-7, 0.5, 1e-7, 0.5]
    values[2, 3] = np.inf
    grid = make_grid(
        "gradient_norm", names, np.arange(4), values, sizes=[1, 2] * 40
    )
    shown = terminal_heatmap.picture(grid, 80)
    assert shown.names[:2] == ("layer_1 +1", "layer_3 +1")
    assert len(set(shown.positions[0])) == 1
    assert shown.kinds[1, 2] == Kind.INFINITE


def test_a_row_that_is_mostly_zero_stands_for_larger_ones():
    names = [f"layer_{number}" for number in range(80)]
    values = np.full([4, 80], 0.5, np.float32)
    values[1:, 0] = 0
    values[1, 2] = 0
    grid = make_grid(
        "gradient_norm", names, np.arange(4), values, sizes=[1, 2] * 40
    )
    shown = terminal_heatmap.picture(grid, 80)
    assert shown.names[:2] == ("layer_0 +1", "layer_3 +1")
    assert shown.kinds[0].tolist() == [Kind.NUMBER] + 3 * [Kind.ZERO]
    assert (shown.kinds[1] == Kind.NUMBER).all()


def test_a_row_that_was_not_recorded_gives_way_to_the_first_that_was():
    names = [f"layer_{number}" for number in range(80)]
    values = np.full([2, 80], 0.5, np.float32)
    values[0, 1] = np.nan
    missing = np.zeros_like(values)
    missing[0, 1] = np.nan
    grid = make_grid(
        "gradient_norm",
        names,
        np.arange(2),
        values,
        missing=missing,
        sizes=[1, 2] * 40,
    )
    shown = terminal_heatmap.picture(grid, 80)
    assert shown.names[0] == "layer_1 +1"
    assert (shown.kinds[0] == Kind.NUMBER).all()


def test_rows_have_the_sizes_of_their_weights_and_units(tmp_path):
    runs.layered(tmp_path, steps=160)
    record = gradscope.read(tmp_path / "layered")
    schema = record.schema
    layers = record.grid("gradient_norm").sizes
    variables = record.grid("gradient_norm", rows="variables").sizes
    assert (
        layers.sum() == variables.sum() == sum(v.size for v in schema.variables)
    )
    assert len(layers) == len(record.layers)
    units = record.grid("dead_fraction").sizes.tolist()
    assert units == [activation.units for activation in schema.activations]
    assert record.grid("learning_rate").sizes.tolist() == [0]


def test_a_table_of_rows_that_a_run_lacks_is_empty(tmp_path):
    runs.one_step(tmp_path)
    table = tmp_path / "run.csv"
    arguments = ["--csv", str(table), "--statistic", "dead_fraction"]
    assert main.main(["export", str(tmp_path / "one_step"), *arguments]) == 0
    assert table.read_text() == "step,row,statistic,value\n"
