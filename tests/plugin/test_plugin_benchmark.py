"""The parts of `benchmarks.plugin` on small logs: counters, not clocks."""

import argparse
import json
import pathlib

import numpy as np
import pytest

import gradscope
from benchmarks import (
    plugin,
    plugin_against,
    plugin_live,
    plugin_logs,
    plugin_page,
    plugin_server,
)
from gradscope_plugin.replies import matrix

VARIABLES, STEPS, RUNS = plugin.QUICK[0]


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory of the quick size."""
    directory = tmp_path_factory.mktemp("logs")
    plugin_logs.write(str(directory), *plugin.QUICK[0], histograms=True)
    return directory


@pytest.fixture(scope="module")
def opened(logdir):
    """Returns how the page was opened, and its calls, with the fast loader."""
    with (
        plugin_page.browsing() as browser,
        plugin_server.running(str(logdir), "fast") as server,
    ):
        server.wait_until_loaded(RUNS)
        tab = plugin_page.Tab(browser, server.address)
        tab.open_tensorboard()
        found = tab.open_gradscope()
        tab.rest(10)
        frames = tab.zoom(), tab.pan()
        tab.open_layer()
        yield found, tab.calls(), frames, server.rss()
        tab.close()


def test_runs_are_what_gradscope_writes_and_take_the_disk_of_one(logdir):
    record = gradscope.read(logdir / f"run_{RUNS - 1:02d}")
    assert record["gradient_norm"].shape == (STEPS, VARIABLES)
    assert record.layers == tuple(
        name.removesuffix("/kernel") for name in record.variables
    )
    assert gradscope.diagnose(record) == []
    files = list(pathlib.Path(logdir).glob("**/*tfevents*"))
    assert len(files) == RUNS
    assert len({file.stat().st_ino for file in files}) == 1


@pytest.mark.slow
def test_a_first_picture_takes_few_requests_and_none_of_what_is_not_seen(
    opened,
):
    found, calls, _, _ = opened
    # On a busy machine an answer is not yet made, and asked for again.
    asked = set(found.asked)
    matrices = [path for path in asked if path.startswith("matrix?")]
    runs = [path for path in asked if path.startswith("runs?")]
    # The strip above them is seen as well.
    curves = [path for path in asked if path.startswith("curves?")]
    # One for each run that fits on the screen; a preview counts with the whole.
    shown = {path.partition("&")[0] for path in matrices}
    assert 1 <= len(shown) <= RUNS
    assert len(curves) <= RUNS
    assert 1 <= len(runs) <= 2
    assert len(asked) == len(matrices) + len(curves) + len(runs)
    assert all("statistic=gradient_norm" in path for path in matrices)
    assert found.whole >= found.first > 0
    assert calls["layer"] and calls["series"] and calls["histograms"]


@pytest.mark.slow
def test_calls_are_small(opened):
    _, calls, _, memory = opened
    sizes = {name: max(size for _, size in all) for name, all in calls.items()}
    assert max(sizes.values()) <= matrix.MAX_BYTES
    # A head, steps and numbers.
    assert sizes["matrix"] == 24 + 8 * STEPS + 4 * STEPS * VARIABLES
    assert memory > 10 * 2**20


@pytest.mark.slow
def test_frames_are_counted_while_it_zooms_and_moves(opened):
    _, _, frames, _ = opened
    for deltas in frames:
        assert len(deltas) > 100 and np.all(deltas >= 0)


def test_what_does_not_fit_into_memory_is_left_out():
    assert plugin.memory_of(5000, 10_000, 50) > plugin.MOST_MEMORY
    assert all(plugin.memory_of(*s) < plugin.MOST_MEMORY for s in plugin.SIZES)


def test_what_was_measured_is_a_table():
    opened = plugin_page.Opened(0.5, 1.25, ["runs?soon=1"])
    calls = {"runs": [(0.1, 2**20), (0.3, 10)], "matrix": [(0.2, 2**21)]}
    frames = np.array([16.7, 16.7, 33.3])
    one = plugin.Measured(opened, calls, 2**30, frames, frames, 2.0)
    times, table = plugin.tables({"a": one}).split("\n\n")
    assert "| a | 0.50 s | 1.25 s | 16.7 (30.0) ms |" in times
    assert "| 1.0 GiB | 2.0 MiB | 2.0 s |  |" in times
    assert "| a | 200 (300) ms |  | 200 (200) ms |" in table


def test_two_commits_are_compared_by_their_medians():
    before = [plugin_against.Round(t, 2.0, 2**30, 2**32) for t in (0.8, 9, 0.7)]
    after = [plugin_against.Round(0.4, 1.0, 2**30, 2**31)]
    table = plugin_against.table({"abc": before, "here": after})
    assert "| abc | 0.80 s | 2.00 s | 4.00 GiB | 1.00 GiB |" in table
    cells = ["0.40 s (0.50)", "1.00 s (0.50)", "2.00 GiB (0.50)"]
    assert f"| here | {' | '.join(cells)} | 1.00 GiB (1.00) |" in table


def test_the_longest_task_is_that_of_a_page_by_its_processor():
    def event(tid, name, **more):
        return {"pid": 1, "tid": tid, "name": name, **more}

    events = [
        event(7, "thread_name", args={"name": "CrRendererMain"}),
        event(8, "thread_name", args={"name": "CrBrowserMain"}),
        event(8, "ThreadControllerImpl::RunTask", dur=9e5, tdur=9e5),
        event(7, "ThreadControllerImpl::RunTask", dur=2e5, tdur=4000),
        event(7, "ThreadControllerImpl::RunTask", dur=5000, tdur=5000),
    ]
    trace = json.dumps({"traceEvents": events}).encode()
    assert plugin_live.longest_tasks(trace) == (200, 5)
    live = plugin_live.Live(np.array([16.7, 33.4]), 200, 5, 10, 30)
    assert "| 10 to 30 | 2 | 1 | 33.4 ms | 200.0 ms | 5.0 ms |" in (
        plugin_live.table(live)
    )


@pytest.mark.slow
def test_a_run_of_10000_steps_is_followed_without_a_dropped_frame():
    live = plugin_live.measure(200, 10_000, 8)
    assert live.after > live.before >= 10_000
    # Time in which other processes have the processor is not the page's.
    assert 0 < live.processor < plugin_live.FRAME


def test_sizes_are_read_as_they_are_told():
    options = argparse.Namespace(full=False, quick=False, only="1x2x3")
    assert plugin.sizes_of(options) == [(1, 2, 3)]
