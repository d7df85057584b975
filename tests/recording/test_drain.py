"""From the rings to the file, and what happens when that fails."""

import itertools
import os
import resource
import shutil
import threading
import warnings

import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.format import histogram_buckets, schema
from gradscope.format.step_layout import MEASURED, Layout
from gradscope.reading import event_files
from gradscope.recording import (
    background,
    drain,
    event_writer,
    tensorboard_tabs,
)
from gradscope.recording.device_ring import Ring
from gradscope.recording.drain import Drain

VARIABLES = tuple(
    schema.Variable(f"{layer}/kernel", layer, (4,), "float32")
    for layer in ("first", "second")
)
DESCRIBED = schema.Schema(VARIABLES)
HEADER = [0.01, 1024.0, 2.0]
LOSS = 0.5
NOWHERE = [np.nan, np.nan]
LAYOUT = Layout.of(DESCRIBED)


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """No thread drains: each test does it itself."""
    monkeypatch.setattr(background, "watch", lambda item: None)
    monkeypatch.setattr(drain, "_warned", set())


def new(directory, *, rows=20, histogram_rows=None):
    histograms = None
    if histogram_rows:
        histograms = Ring(histogram_rows, tensorboard_tabs.width(1), "")
    ring = Ring(rows, LAYOUT.width, "")
    return Drain(
        event_writer.EventWriter(str(directory)),
        DESCRIBED,
        ring,
        histograms,
        [1],
        window=10,
    )


def measured(norm=3.0, missing=0.0):
    row = dict.fromkeys(MEASURED, 1.0)
    row |= {"gradient_norm": norm, "gradient_missing": missing}
    return [row[name] for name in MEASURED]


def append(records, step, row=None):
    if row is None:
        row = [*HEADER, *measured(3.0), *measured(4.0), *NOWHERE, LOSS]
    records.ring.append(tf.constant(step, tf.int64), tf.constant(row))


def append_histogram(records, step, zeros=1.0):
    numbers = np.zeros(tensorboard_tabs.width(1), np.float32)
    counts, sketches = tensorboard_tabs.split(numbers, 1)
    counts[:, :, histogram_buckets.ZERO] = zeros
    sketches[:] = np.arange(16)
    records.histograms.append(tf.constant(step, tf.int64), tf.constant(numbers))


def test_everything_is_written_once(tmp_path):
    records = new(tmp_path)
    for step in (0, 1, 5):
        append(records, step)
        records.drain()
    records.drain()
    append(records, 6)
    records.close()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 5, 6]
    assert record["recorded"].tolist() == [1, 2, 3, 4]
    assert record["dropped"].tolist() == [0] * 4
    np.testing.assert_allclose(record["gradient_norm"], [[3, 4]] * 4)
    np.testing.assert_allclose(record["learning_rate"], 0.01)
    np.testing.assert_allclose(record["loss"], LOSS)
    assert len(event_files.event_files(str(tmp_path))) == 1
    assert np.all(np.diff(record.wall_times) >= 0)


def test_the_global_norm_is_that_of_all_gradients(tmp_path):
    records = new(tmp_path)
    append(records, 0)
    nan = float("nan")
    append(
        records,
        1,
        [*HEADER, *measured(3.0), *measured(nan, missing=1.0), *NOWHERE, LOSS],
    )
    append(
        records, 2, [*HEADER, *measured(3.0), *measured(nan), *NOWHERE, LOSS]
    )
    append(
        records, 3, [*HEADER, *measured(3e38), *measured(3e38), *NOWHERE, LOSS]
    )
    records.close()
    norms = gradscope.read(tmp_path)["global_gradient_norm"]
    np.testing.assert_array_equal(norms, [5, 3, nan, np.inf])


def test_overwritten_records_are_counted(tmp_path):
    records = new(tmp_path, rows=3)
    for step in range(10):
        append(records, step)
    records.close()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [7, 8, 9]
    assert record["dropped"].tolist() == [7] * 3
    assert records.dropped == 7


def histogram_steps(directory):
    return [
        event.step
        for path in event_files.event_files(str(directory))
        for event in event_files.events(path)
        if any(v.tag == "gradients/second/kernel" for v in event.summary.value)
    ]


def test_a_histogram_lies_in_the_event_of_its_step(tmp_path):
    records = new(tmp_path, histogram_rows=4)
    for step in range(4):
        if step % 2 == 0:
            append_histogram(records, step)
        append(records, step)
    records.close()
    assert histogram_steps(tmp_path) == [0, 2]


def test_a_histogram_that_is_ahead_waits_for_its_step(tmp_path):
    records = new(tmp_path, histogram_rows=4)
    append(records, 0)
    append_histogram(records, 1)
    records.drain()
    append(records, 1)
    records.close()
    assert histogram_steps(tmp_path) == [1]


def test_lost_histograms_are_counted(tmp_path):
    records = new(tmp_path, histogram_rows=2)
    for step in range(5):
        append_histogram(records, step)
        append(records, step)
    records.close()
    record = gradscope.read(tmp_path)
    assert record["histograms_dropped"].tolist() == [3] * 5
    assert record["dropped"].tolist() == [0] * 5
    assert histogram_steps(tmp_path) == [3, 4]


def test_steps_are_drained_when_a_ring_is_half_full(tmp_path):
    records = new(tmp_path, rows=6, histogram_rows=4)
    append(records, 0)
    records.count_steps()
    assert records.ring.count_waiting() == 1
    append(records, 1)
    append_histogram(records, 1)
    records.count_steps()  # two steps, but one row of four is taken
    append_histogram(records, 2)
    append(records, 2)
    records.count_steps()
    assert records.ring.count_waiting() == 0


def test_steps_that_may_not_fill_half_a_ring_do_not_ask_the_device(
    tmp_path, monkeypatch
):
    records = new(tmp_path, rows=100)
    monkeypatch.setattr(type(records.ring), "count_waiting", None)
    for _ in range(49):
        records.count_steps()
    with pytest.raises(TypeError, match="not callable"):
        records.count_steps()


def test_a_tick_drains_what_is_old_or_much(tmp_path, monkeypatch):
    records = new(tmp_path, rows=4)
    append(records, 0)
    records.tick()
    assert records.ring.count_waiting() == 1
    append(records, 1)
    records.tick()
    assert records.ring.count_waiting() == 0
    append(records, 2)
    monkeypatch.setattr(drain, "PERIOD", -1)
    records.tick()
    assert records.ring.count_waiting() == 0


def test_frames_wait_once_for_the_rows_of_other_replicas(tmp_path):
    records = new(tmp_path)
    replica = Ring(20, LAYOUT.forward_width, "")
    records.add_replica(1, replica)

    def append_row(step):
        replica.append(tf.constant(step, tf.int64), tf.constant([LOSS]))

    for step in range(3):
        append(records, step)
    append_row(0)
    records.drain()
    assert gradscope.read(tmp_path).steps.tolist() == [0]
    append_row(1)
    records.close()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    # The loss is the sum over replicas; that of step 2 never came.
    assert record["loss"].tolist() == [2 * LOSS, 2 * LOSS, LOSS]
    assert records.dropped == 0


def test_after_close_nothing_is_written(tmp_path):
    records = new(tmp_path)
    append(records, 0)
    records.close()
    append(records, 1)
    records.drain()
    records.tick()
    records.close()
    assert gradscope.read(tmp_path).steps.tolist() == [0]


def test_a_forked_process_writes_nothing(tmp_path):
    records = new(tmp_path)
    append(records, 0)
    with pytest.MonkeyPatch.context() as context:
        context.setattr(os, "getpid", lambda: -1)
        records.drain()
        records.tick()
        records.close()
    assert os.listdir(tmp_path) == []
    records.close()
    assert gradscope.read(tmp_path).steps.tolist() == [0]


def test_a_failure_is_one_warning_and_later_records_are_written(tmp_path):
    directory = tmp_path / "run"
    directory.write_text("a file where the directory should be")
    records = new(directory)
    append(records, 0)
    with pytest.warns(GradscopeWarning) as warned:
        records.drain()
    (warning,) = warned
    message = str(warning.message)
    assert message.startswith(f"gradscope cannot write to {directory}: ")
    assert "Training goes on" in message and "counted as dropped" in message
    append(records, 1)
    append(records, 2)
    records.drain()  # another warning would be an error
    assert records.dropped == 3
    directory.unlink()
    append(records, 3)
    records.close()
    record = gradscope.read(directory)
    assert record.steps.tolist() == [3]
    assert record["dropped"].tolist() == [3]
    assert record["recorded"].tolist() == [1]


def test_a_place_where_nothing_can_be_made_is_one_warning():
    records = new("/proc/nope/x")
    with pytest.warns(GradscopeWarning, match="write to /proc/nope/x: "):
        for step in range(3):
            append(records, step)
            records.drain()
    records.close()
    assert records.dropped == 3


def test_a_directory_that_is_removed_is_made_again(tmp_path):
    records = new(tmp_path / "run")
    append(records, 0)
    records.drain()
    shutil.rmtree(tmp_path / "run")
    append(records, 1)
    with pytest.warns(GradscopeWarning, match="was removed"):
        records.drain()
    append(records, 2)
    records.close()
    record = gradscope.read(tmp_path / "run")
    assert record.steps.tolist() == [2]
    assert record["dropped"].tolist() == [1]


def test_each_directory_has_its_own_warning():
    for directory in ("/proc/nope/x", "/proc/nope/y"):
        with pytest.warns(GradscopeWarning, match=directory):
            drain.warn_once(directory, OSError("no"))
        drain.warn_once(directory, OSError("no"))


@pytest.fixture
def full_disk():
    """Makes every file end after so many bytes, until it is called again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def set_limit(size=soft):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield set_limit
    set_limit()


@pytest.mark.parametrize("batch", [1, 100])
def test_what_a_full_disk_loses_is_counted(tmp_path, full_disk, batch):
    records = new(tmp_path, rows=100)
    steps = itertools.count()
    for _ in range(2):
        append(records, next(steps))
        records.drain()
    (path,) = event_files.event_files(str(tmp_path))
    full_disk(os.path.getsize(path) + 500)
    with pytest.warns(GradscopeWarning) as warned:
        for step in itertools.islice(steps, 100):
            append(records, step)
            if step % batch == 0:
                records.drain()
        records.drain()
    full_disk()
    assert len(warned) == 1
    append(records, next(steps))
    records.close()
    record = gradscope.read(tmp_path)
    assert record.steps[-1] == 102
    # Some records made it to the disk before it was full: they are counted as
    # dropped all the same when they were not known to be safe.
    assert record["dropped"][-1] >= 103 - len(record.steps)
    assert record["recorded"][-1] + record["dropped"][-1] == 103
    assert record["recorded"][-1] <= len(record.steps)


def test_threads_that_drain_together_write_each_step_once(tmp_path):
    records = new(tmp_path, rows=1000)
    go = threading.Event()

    def drains():
        go.wait()
        for _ in range(50):
            records.drain()

    threads = [threading.Thread(target=drains) for _ in range(3)]
    for thread in threads:
        thread.start()
    go.set()
    for step in range(300):
        append(records, step)
    for thread in threads:
        thread.join()
    records.close()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(300))
    assert record["recorded"].tolist() == list(range(1, 301))


def test_a_file_that_cannot_be_closed_is_a_warning(tmp_path, monkeypatch):
    records = new(tmp_path)
    append(records, 0)
    records.drain()

    def broken():
        raise OSError("stale file handle")

    monkeypatch.setattr(records.file, "close", broken)
    with pytest.warns(GradscopeWarning, match="stale file handle"):
        records.close()


def test_a_warning_of_ours_is_a_user_warning():
    assert issubclass(GradscopeWarning, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradscopeWarning)
        drain.warn_once("/proc/nope/z", OSError())
