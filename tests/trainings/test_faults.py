"""What goes wrong around a training: it goes on, with the same weights, and
there is one warning."""

import contextlib
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import time
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import training
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.reading import event_files
from gradscope.recording import background, event_writer
from gradscope.schedule import Every

#: The step before which the fault comes, and that after which the records are
#: written that there are.
FAULT, DRAINED = 11, 8


def weights(model):
    return [np.asarray(w) for w in model.get_weights()]


def network(nan):
    # On some CPUs a ReLU that oneDNN has fused makes zero of a NaN.
    return training.dense_model("tanh" if nan else "relu")


def loop(optimizer, before_step, nan=False):
    """Trains in a loop; returns the model."""
    keras.utils.set_random_seed(7)
    model = network(nan)
    compute = training.loss()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = compute(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    optimizer.build(model.trainable_variables)
    for n, (x, y) in enumerate(training.batches()):
        before_step(n)
        step(tf.constant(x * np.nan if nan and n >= FAULT else x), y)
    return model


def fit(optimizer, before_step, nan=False):
    """Trains with `fit`; returns the model."""
    keras.utils.set_random_seed(7)
    model = network(nan)
    x = np.concatenate([x for x, _ in training.batches()])
    y = np.concatenate([y for _, y in training.batches()])
    if nan:
        x[FAULT * training.BATCH :] = np.nan
    seen = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs=None: before_step(batch)
    )
    model.compile(optimizer, training.loss(), jit_compile=False)
    model.fit(
        x,
        y,
        batch_size=training.BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[seen],
    )
    return model


def trained_by(way):
    """Parametrizes a test over both ways of training; one of them is fast."""
    return pytest.mark.parametrize("train", thinned([fit, loop], fast=[way]))


def compared(train, logdir, fault, **options):
    """Trains without gradscope and with it while a fault comes; the weights
    are the same.

    Returns:
        The record, None where there is none, and gradscope's warnings.
    """
    plain = weights(
        train(keras.optimizers.Adam(0.01), lambda n: None, **options)
    )
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
    for one, other in zip(plain, observed, strict=True):
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


@pytest.mark.parametrize(
    "train, error",
    thinned(
        [
            (way, error)
            for way in (fit, loop)
            for error in (ValueError, KeyboardInterrupt)
        ],
        fast=[(fit, ValueError), (loop, KeyboardInterrupt)],
    ),
)
def test_an_error_of_the_users_is_theirs(train, error, tmp_path):
    def raising(n):
        if n == FAULT:
            raise error("mine")

    with pytest.raises(error, match="mine"):
        train(keras.optimizers.Adam(0.01), raising)
    optimizer = keras.optimizers.Adam(0.01)
    gradscope.wrap(optimizer, tmp_path, every=1)
    with pytest.raises(error, match="mine"):
        train(optimizer, raising)
    gradscope.unwrap(optimizer)
    # What was done until then is there.
    steps = gradscope.read(tmp_path).steps.tolist()
    assert steps == list(range(FAULT))


@pytest.mark.parametrize(
    "how", thinned(["kill", "terminate", "exit"], fast=["kill"])
)
def test_a_training_that_is_ended_at_any_moment(how):
    """Of 200 of each see docs/reliability.md."""
    command = [sys.executable, "-m", "benchmarks.kills", "--count", "2"]
    root = pathlib.Path(__file__).parents[2]
    seed = str(10 * len(how))
    done = subprocess.run(
        [*command, "--how", how, "--seed", seed],
        capture_output=True,
        text=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        timeout=240,
    )
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert told["could not be read"] == "0", done.stderr
    assert told["lost what was drained"] == "0"
    missing = int(re.search("at most (\\d+) ", told["steps missing"])[1])
    assert 0 <= missing < 4096


def test_sys_exit_in_a_signal_handler_loses_nothing(tmp_path):
    """As programs do that are asked to end, of a cluster about to restart."""
    program = f"""
import signal, sys, os
import keras, numpy as np, gradscope
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
model = keras.Sequential([keras.Input([4]), keras.layers.Dense(1)])
optimizer = keras.optimizers.SGD(.01)
gradscope.wrap(optimizer, {str(tmp_path)!r}, every=1)
model.compile(optimizer, "mse")
def end(batch, logs=None):
    if batch == 20:
        os.kill(os.getpid(), signal.SIGTERM)
x = np.ones([640, 4])
model.fit(x, x[:, :1], batch_size=16, verbose=0, callbacks=[
    keras.callbacks.LambdaCallback(on_train_batch_end=end)])
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=240)
    assert done.returncode == 3
    assert gradscope.read(tmp_path).steps.tolist() == list(range(21))


class Greedy(keras.layers.Layer):
    """Takes as many numbers as the largest of a batch says."""

    def call(self, x):
        count = tf.cast(tf.reduce_max(x), tf.int64)
        return x + 0 * tf.reduce_sum(tf.cast(tf.range(count), x.dtype))


# TensorFlow waits for ten seconds for memory that comes free.
@pytest.mark.parametrize(
    "every, recorded",
    thinned([(1, range(5)), (9, range(1))], fast=[(1, range(5))]),
)
def test_out_of_memory_in_a_step_that_is_recorded_is_told(
    every, recorded, tmp_path
):
    model = keras.Sequential(
        [keras.Input([2]), Greedy(), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse", jit_compile=False)
    x = np.ones([8, 2], "float32")
    x[5] = 2.0**50
    schedule = Every(every, dense=0)
    callback = gradscope.Callback(tmp_path, every=schedule, probe=False)
    with (
        warnings.catch_warnings(record=True) as caught,
        pytest.raises(tf.errors.ResourceExhaustedError),
    ):
        warnings.simplefilter("always")
        model.fit(
            x, x[:, :1], 1, verbose=0, shuffle=False, callbacks=[callback]
        )
    texts = [str(w.message) for w in caught]
    told = sum(
        "ran out of memory in a program that records" in text for text in texts
    )
    assert told == (every == 1)
    gradscope.unwrap(model.optimizer)
    assert gradscope.read(tmp_path).steps.tolist() == list(recorded)


# The records of nine tenths of the steps, of .94 kB each as they are in the
# file, would be more than the limit in MB.
@pytest.mark.parametrize(
    "steps, limit", thinned([(4000, 3), (12_000, 5)], fast=[(4000, 3)])
)
def test_a_long_training_leaks_nothing(steps, limit):
    """Of 200,000 steps see docs/reliability.md."""
    command = [sys.executable, "-m", "benchmarks.long", "--steps", str(steps)]
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=root, timeout=240
    )
    rows = [
        [int(cell) for cell in line.strip("| ").split("|")]
        for line in done.stdout.splitlines()[2:]
    ]
    looks = [
        round(steps * share, 9) for share in (0.1, 0.28, 0.46, 0.64, 0.82, 1)
    ]
    assert [row[0] for row in rows] == looks
    _, memory, threads, own, descriptors = zip(*rows, strict=True)
    assert memory[-1] - memory[0] < limit, done.stdout
    assert len(set(own)) == len(set(descriptors)) == 1, done.stdout
    assert max(threads) <= threads[0] + 1, done.stdout
