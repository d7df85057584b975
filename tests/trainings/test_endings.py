"""Trainings that end in every way there is, or go on for long."""

import os
import pathlib
import re
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from between_steps import FAULT, fit, loop
from thinning import thinned

import gradscope
from gradscope.schedule import Every


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
    # A benchmark that hindered the writing would lose nothing either.
    assert "GradscopeWarning" not in done.stderr
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


TF_KERAS_OPTIMIZERS = {
    "plain": "tf_keras.optimizers.Adam(0.01)",
    "scaled": "tf_keras.mixed_precision.LossScaleOptimizer("
    "tf_keras.optimizers.Adam(0.01))",
    "legacy": "tf_keras.optimizers.legacy.Adam(0.01)",
}


@pytest.mark.parametrize(
    "kind", thinned(TF_KERAS_OPTIMIZERS, fast=["plain", "legacy"])
)
def test_tf_keras_has_written_all_when_fit_ends(kind, tmp_path):
    """Ray's workers, for one, end without Python's exit."""
    program = f"""
import os, numpy as np, tf_keras, gradscope
model = tf_keras.Sequential([tf_keras.Input([4]), tf_keras.layers.Dense(1)])
optimizer = {TF_KERAS_OPTIMIZERS[kind]}
gradscope.wrap(optimizer, {str(tmp_path)!r}, every=1, model=model)
model.compile(optimizer, "mse")
x = np.ones([160, 4], "float32")
model.fit(x, x[:, :1], batch_size=16, verbose=0)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program], timeout=240, check=True)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(10))
    assert not record["dropped"].any()


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
