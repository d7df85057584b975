"""How a report packs numbers, and what it leaves out where it must."""

import json
import subprocess
import sys
import zlib

import numpy as np
import pytest
import runs

from gradscope import read
from gradscope.cli import main
from gradscope.reading.read import runs_below
from gradscope_plugin.report import build, packing, routes, run_source, thinning
from gradscope_plugin.report.routes import Matrix
from gradscope_plugin.report.thinning import Plan, Size


def decoded(codes):
    """Returns the numbers of codes, as text with three digits names them."""
    texts = {0: "0", 90_000: "nan", 90_001: "inf"}
    for code in np.unique(np.abs(codes)).tolist():
        power, digits = divmod(code - 1, 900)
        texts.setdefault(code, f"{digits + 100}e{power - 47}")
    numbers = [float(texts[abs(code)]) for code in codes.ravel().tolist()]
    return (np.sign(codes) * np.reshape(numbers, codes.shape)).astype("f4")


@pytest.mark.parametrize(
    "number, rounded",
    [
        (0.0, 0.0),
        (0.7, 0.7),
        (1234.5, 1230.0),
        (9.996, 10.0),
        (-0.00055555, -0.000556),
        (3.4028235e38, 3.4e38),
        (1e-45, 1.4e-45),
        (float("inf"), float("inf")),
        (float("-inf"), float("-inf")),
    ],
)
def test_a_number_is_rounded_to_three_digits(number, rounded):
    codes = packing.codes_of(np.float32([number]))
    assert decoded(codes)[0] == np.float32(rounded)


def test_nan_stays_nan_and_no_number_moves_by_more_than_half_a_percent():
    random = np.random.default_rng(0)
    values = np.float32(10.0 ** random.uniform(-37, 38, 10_000))
    rounded = decoded(packing.codes_of(values))
    np.testing.assert_allclose(rounded, values, rtol=0.005)
    assert np.isnan(decoded(packing.codes_of(np.float32([np.nan]))))[0]


def test_rounding_keeps_the_order_and_is_the_same_in_all_runs():
    values = np.sort(np.float32(np.random.default_rng(1).normal(size=2000)))
    codes = packing.codes_of(values)
    assert (np.diff(codes) >= 0).all()
    np.testing.assert_array_equal(packing.codes_of(values[::7]), codes[::7])


def test_what_the_picture_shows_stays_within_a_colour_of_it():
    # 256 colours for the nine powers of ten of gradient norms.
    values = np.float32(10.0 ** np.random.default_rng(2).uniform(-8, 1, 10_000))
    rounded = decoded(packing.codes_of(values))
    colours = [255 * (np.log10(v) + 8) / 9 for v in (values, rounded)]
    assert np.abs(colours[0] - colours[1]).max() < 0.07


def test_counts_are_not_rounded():
    counts = Matrix(np.arange(3.0), np.float32([[12345, 0, np.nan]]))
    exact = packing.encode(counts, rounded=False)
    assert packing.encode(counts, rounded=True) == exact
    measured = Matrix(np.arange(3.0), np.float32([[0.5, 12345, 1]]))
    exact = packing.encode(measured, rounded=False)
    assert len(packing.encode(measured, rounded=True)) == len(exact) - 3


def test_small_replies_share_a_block():
    archive = packing.Archive()
    for number in range(100):
        archive.add_json(f"layer\n{number}", b'{"class": "Dense"}' * 10)
    archive.add_json("large", bytes(packing.BLOCK))
    packed = archive.to_bytes({"title": "logs"})
    length = int(np.frombuffer(packed, "<u4", 1)[0])
    index = json.loads(zlib.decompress(packed[4 : 4 + length], -15))
    assert index["about"] == {"title": "logs"}
    assert len(index["blocks"]) == 1
    assert index["answers"]["layer\n3"] == [0, 540, 180, "json"]
    assert sum(index["blocks"]) == len(packed) - 4 - length == archive.size


SMALL = Size(100, {"": 100, "variables": 200, "units": 0, "histograms": 0}, {})
LARGE = Size(
    1000,
    {"": 1000, "variables": 2000, "units": 100, "histograms": 257_000},
    {"units": 50, "histograms": 100},
)


@pytest.mark.parametrize(
    "sizes, most, planned",
    [
        ([SMALL], 1e6, Plan()),
        # 30,000 numbers take 4.4 bytes each, or 1.7.
        ([SMALL], 132_000, Plan()),
        ([SMALL], 131_999, Plan(rounded=True)),
        # Where too few steps would stay, histograms go first, then variables,
        # then units: 270 steps are 3000 x 270 x 1.7 bytes, and 4.1 MB more.
        ([LARGE], 5.5e6, Plan((), True, 270)),
        ([LARGE], 3e6, Plan(("histograms",), True, 586)),
        ([LARGE], 1e6, Plan(("histograms", "variables"), True, 584)),
        ([LARGE], 1e4, Plan(("histograms", "variables", "units"), True, 16)),
    ],
)
def test_as_little_is_left_out_as_can_be(sizes, most, planned):
    assert thinning.plan(sizes, most) == planned


@pytest.fixture
def record(tmp_path):
    """A run whose gradient has a spike at step 57, and is NaN from 91 on."""
    described, steps = runs.network(3), np.arange(120)
    gradients = np.full([120, 6], 0.5)
    gradients[57, 2] = 50
    gradients[91:] = np.nan
    runs.write(tmp_path, "run", described, steps, runs.statistics(gradients))
    return read(tmp_path / "run")


def test_first_last_marked_and_extreme_steps_stay(record):
    chosen = thinning.choose_steps(record, 20, marked=[33, 34])
    assert len(chosen) <= 20
    assert {0, 119, 33, 34, 57, 90, 91} <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()


def test_steps_between_them_are_spread_evenly(record):
    chosen = thinning.choose_steps(record, 40)
    assert np.diff(chosen).max() <= 7


def test_a_short_run_stays_whole(record):
    assert len(thinning.choose_steps(record, 120)) == 120


def test_a_run_that_is_nan_in_every_other_step_leaves_room_for_others(tmp_path):
    gradients = np.full([200, 2], 0.5)
    gradients[::2] = np.nan
    numbers = runs.statistics(gradients)
    runs.write(tmp_path, "run", runs.network(1), np.arange(200), numbers)
    chosen = thinning.choose_steps(read(tmp_path / "run"), 30)
    assert len(chosen) <= 30 and np.diff(chosen).max() <= 16


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """A run of many layers whose numbers deflate badly."""
    directory = tmp_path_factory.mktemp("logs")
    runs.deep(directory, layers=160, steps=500)
    return directory, [str(directory / "deep" / "gradscope")]


def test_a_report_keeps_to_its_bytes_and_says_what_it_left_out(long_run):
    report = build.build(*long_run, megabytes=1)
    assert 0.8e6 < len(report.html.encode()) <= 1e6
    thinned, rounded, variables, findings = report.notes
    steps = int(report.brief.split()[3])
    assert thinned.startswith(f"Each run is thinned out to {steps} of the ")
    assert variables == "Rows for single variables are left out."
    assert rounded == "Numbers are rounded to three digits; counts are exact."
    assert findings.startswith("Findings come from all recorded steps")
    # Without histograms and units there is nothing that could be left out.
    assert "--max-mb" in findings


def test_a_report_of_all_says_so(long_run):
    report = build.build(*long_run, megabytes=1000)
    assert report.brief == "all recorded steps" and report.notes == ()


def test_sizes_count_what_a_step_holds(tmp_path):
    runs.detailed(tmp_path)
    directory = str(tmp_path / "detailed/gradscope")
    (run,) = run_source.sources("detailed/gradscope", directory)
    # Three layers of a kernel and a bias; 13 statistics of them have pictures,
    # and `gradient_missing` explains cells.
    assert run.size.numbers["variables"] == 6 * 14
    assert run.size.numbers["histograms"] == 6 * 3 * 257
    # Maps have 64 + 128 + 16 rows, since two of 256 units share one, and four
    # statistics.
    assert run.size.numbers["units"] == 208 * 4
    assert run.size.rare_steps["histograms"] == 20


def test_a_report_too_small_for_the_page_is_refused(tmp_path, capsys):
    runs.one_step(tmp_path)
    assert main.main(["report", str(tmp_path), "--max-mb", "0.2"]) == 2
    assert capsys.readouterr().err == (
        "gradscope: a report must have 1 megabyte or more, since the page "
        "alone takes a third of that; got 0.2. Give --max-mb a larger number.\n"
    )


def test_a_report_of_no_run_or_a_newer_one_says_so(tmp_path, capsys):
    output = ["-o", str(tmp_path / "report.html")]
    assert main.main(["report", str(tmp_path / "none"), *output]) == 2
    assert "there is no directory" in capsys.readouterr().err
    runs.one_step(tmp_path)
    runs.bad_schema(tmp_path)
    assert main.main(["report", str(tmp_path), *output]) == 5
    out, err = capsys.readouterr()
    assert out.split(": ")[1].startswith("2 runs, all recorded steps, 0.")
    assert "newer/gradscope: the run was recorded in format 99" in err


def test_runs_are_called_as_in_tensorboard_and_a_single_one_as_its_directory(
    tmp_path,
):
    runs.one_step(tmp_path)
    runs.one_step(tmp_path, name="moved")
    run = tmp_path / "one_step" / "gradscope"
    (tmp_path / "moved" / "gradscope").rename(tmp_path / "renamed")

    def names(logdir):
        report = build.build(logdir, runs_below(logdir))
        return report.runs

    assert names(tmp_path) == ("one_step/gradscope", "renamed")
    assert names(tmp_path / "one_step") == ("one_step/gradscope",)
    assert names(run) == ("one_step/gradscope",)
    assert names(tmp_path / "renamed") == ("renamed",)
    path = tmp_path / "report.html"
    main.main(["report", str(tmp_path / "one_step"), "-o", str(path)])
    assert "<title>Gradscope: one_step</title>" in path.read_text()


def test_long_curves_keep_the_steps_that_stay_and_others_between():
    steps = list(range(10_000))
    reply = {"start": 0, "total": 10_000, "mark": 7, "steps": steps}
    text = json.dumps({**reply, "curves": {"loss": steps}, "epochs": []})
    thinned = json.loads(routes._thin_curves(text.encode(), np.array([3, 8])))
    assert {0, 3, 8, 9999} <= set(thinned["steps"])
    assert len(thinned["steps"]) == thinned["total"] == 2002
    assert thinned["curves"]["loss"] == thinned["steps"]


def test_a_report_needs_no_tensorflow(tmp_path):
    runs.one_step(tmp_path)
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from gradscope.cli import main\n"
        f"main.main(['report', {str(tmp_path)!r}, '-o', {str(tmp_path)!r} + "
        "'/report.html'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "1 run, all recorded steps" in done.stdout


def test_a_report_says_what_was_lost_during_training(tmp_path):
    runs.abnormal(tmp_path)  # of which three records were lost
    report = build.build(tmp_path, [str(tmp_path / "abnormal" / "gradscope")])
    assert report.brief == "all recorded steps, 3 records lost"
    assert report.notes == ("3 records lost during training.",)
