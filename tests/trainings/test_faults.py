"""What goes wrong around a training, which goes on, with the same weights; and
there is one warning."""

import contextlib
import functools
import os
import resource
import shutil
import subprocess
import time
import warnings

import keras
import numpy as np
import pytest
import training
from between_steps import DRAINED, FAULT, fit, loop
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.reading import event_files
from gradscope.recording import background, event_writer


def weights(model):
    return [np.asarray(w) for w in model.get_weights()]


def trained_by(way):
    """Parametrizes a test over both ways of training; one of them is fast."""
    return pytest.mark.parametrize("train", thinned([fit, loop], fast=[way]))


@functools.cache
def plain(train, **options):
    """One for all faults of a way of training."""
    optimizer = keras.optimizers.Adam(0.01)
    return weights(train(optimizer, lambda n: None, **options))


def compared(train, logdir, fault, **options):
    """Trains without gradscope and with it while a fault comes; the weights
    are the same.

    Returns:
        The record, None where there is none, and gradscope's warnings.
    """
    expected = plain(train, **options)
    optimizer = keras.optimizers.Adam(0.01)
    gradscope.wrap(optimizer, logdir, every=1)
    undo = contextlib.ExitStack()

    def before_step(n):
        if n == DRAINED:
            gradscope.flush()
        if n == FAULT:
            fault(undo)
        if n > FAULT:
            gradscope.flush()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with undo:
            observed = weights(train(optimizer, before_step, **options))
            gradscope.flush()
        gradscope.unwrap(optimizer)
    for one, other in zip(expected, observed, strict=True):
        np.testing.assert_array_equal(one, other)
    told = [w for w in told if issubclass(w.category, GradscopeWarning)]
    try:
        return gradscope.read(logdir), told
    except FileNotFoundError:
        return None, told


def steps_of(train):
    batches = list(training.batches())
    if train is loop:
        return len(batches)
    return -(-sum(len(x) for x, _ in batches) // training.BATCH)


@trained_by(fit)
def test_a_disk_that_is_full_for_a_while(train, tmp_path):
    def fault(undo):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        (path,) = event_files.event_files(str(tmp_path / "gradscope"))
        limit = (os.path.getsize(path), hard)
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        undo.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))

    record, told = compared(train, tmp_path, fault)
    (warning,) = told
    assert "Training goes on" in str(warning.message)
    assert record.steps[:DRAINED].tolist() == list(range(DRAINED))


@pytest.fixture
def small_disk(tmp_path):
    """Yields a directory on a disk of 256 kB; where none can be mounted, one
    on which files cannot grow beyond that."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none"]
    if subprocess.run([*mount, directory], capture_output=True).returncode:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, hard))
        yield directory
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    else:
        yield directory
        subprocess.run(["umount", "-l", directory], check=True)


@trained_by(loop)
def test_a_small_disk_that_fills_up(train, small_disk):
    def fault(undo):
        with contextlib.suppress(OSError):
            (small_disk / "filler").write_bytes(bytes(2**18))

    record, told = compared(train, small_disk, fault)
    (warning,) = told
    assert "Training goes on" in str(warning.message)
    # What was drained before is there, and whole.
    assert record.steps[:DRAINED].tolist() == list(range(DRAINED))


@trained_by(fit)
def test_a_log_directory_that_is_removed(train, tmp_path):
    lost = []

    def remove(undo):
        # Those that were flushed, and on a slow machine what was drained since.
        lost.extend(gradscope.read(tmp_path / "run").steps)
        shutil.rmtree(tmp_path / "run")

    record, (warning,) = compared(train, tmp_path / "run", remove)
    assert "was removed" in str(warning.message)
    # It is made again; how many steps are missing is told.
    steps = steps_of(train)
    assert record.steps[-1] == steps - 1 and len(lost) >= DRAINED
    missing = steps - len(record.steps) - len(lost)
    assert record["dropped"][-1] == missing


@trained_by(loop)
def test_a_log_directory_that_nothing_can_be_written_to(train, tmp_path):
    run = tmp_path / "run"

    def fault(undo):
        run.rename(tmp_path / "kept")
        run.write_text("a file, not a directory")

    record, (warning,) = compared(train, run, fault)
    assert record is None and str(run) in str(warning.message)
    kept = gradscope.read(tmp_path / "kept")
    assert kept.steps[:DRAINED].tolist() == list(range(DRAINED))


@trained_by(fit)
def test_no_file_descriptor_is_left(train, tmp_path):
    def fault(undo):
        # The file is lost, and another one cannot be opened for a while.
        shutil.rmtree(tmp_path / "run")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = max(map(int, os.listdir("/proc/self/fd"))) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        undo.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with contextlib.suppress(OSError):
            while True:
                taken = os.open("/dev/null", os.O_RDONLY)
                undo.callback(os.close, taken)

    record, told = compared(train, tmp_path / "run", fault)
    assert len(told) == 1
    assert record is None or record["dropped"][-1] > 0


@trained_by(loop)
def test_a_slow_disk(train, tmp_path, monkeypatch):
    write = event_writer.EventWriter.write

    def slow(self, *arguments):
        time.sleep(0.02)
        write(self, *arguments)

    monkeypatch.setattr(event_writer.EventWriter, "write", slow)
    record, told = compared(train, tmp_path, lambda undo: None)
    assert told == []
    assert record.steps.tolist() == list(range(steps_of(train)))
    assert record["dropped"][-1] == 0


@trained_by(fit)
def test_everything_is_nan(train, tmp_path):
    record, told = compared(train, tmp_path, lambda undo: None, nan=True)
    assert told == []
    assert record.steps.tolist() == list(range(steps_of(train)))
    assert np.isnan(record["gradient_norm"][FAULT:]).all()
    assert np.isfinite(record["gradient_norm"][:FAULT]).all()


@trained_by(loop)
def test_the_thread_that_writes_dies(train, tmp_path, monkeypatch):
    def dies(self):
        raise MemoryError("no memory for a thread")

    def fault(undo):
        monkeypatch.setattr(background, "run_guarded", dies)
        monkeypatch.setattr(
            background.threading, "excepthook", lambda arguments: None
        )
        if background._thread is not None:
            background._thread.join(10)
        assert background._thread is None or not background._thread.is_alive()
        monkeypatch.undo()

    record, told = compared(train, tmp_path, fault)
    assert told == []
    # The training's own thread writes what it left.
    assert record.steps.tolist() == list(range(steps_of(train)))
    assert record["dropped"][-1] == 0
