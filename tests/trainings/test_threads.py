"""Trainings side by side: in threads, and with forked workers."""

import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import STEPS, dense_model, fit

import gradscope
from gradscope.reading import event_files


def train(how, logdir, compiled):
    model, optimizer, callbacks = dense_model(), keras.optimizers.Adam(0.01), []
    if how == "wrap":
        gradscope.wrap(optimizer, logdir, every=2)
    else:
        callbacks = [gradscope.Callback(logdir, every=2)]
    fit(model, optimizer, callbacks, jit_compile=compiled)


def in_threads(count, run):
    """Calls `run(number)` in threads at once; raises what one of them does."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))


@pytest.mark.parametrize(
    "how, compiled",
    thinned(
        [
            (how, compiled)
            for how in ("wrap", "callback")
            for compiled in (False, True)
        ],
        fast=[("callback", False)],
    ),
)
def test_two_models_are_trained_in_two_threads(how, compiled, tmp_path):
    in_threads(2, lambda number: train(how, tmp_path / str(number), compiled))
    gradscope.flush()
    for number in range(2):
        record = gradscope.read(tmp_path / str(number))
        assert record.steps.tolist() == list(range(STEPS))
        assert np.isfinite(record["gradient_norm"]).all()
        assert record["recorded"].tolist() == list(range(1, STEPS + 1))


def test_loops_in_threads_keep_their_weights_apart(tmp_path):
    """Each step adds 1 to its own variable, which its record tells."""

    def run(number):
        variable = tf.Variable([float(number)])
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build([variable])
        gradscope.wrap(optimizer, tmp_path / str(number), every=1)
        step = tf.function(lambda: optimizer.apply([-tf.ones([1])], [variable]))
        for _ in range(40):
            step()
        gradscope.unwrap(optimizer)

    in_threads(4, run)
    for number in range(4):
        record = gradscope.read(tmp_path / str(number))
        expected = number + np.arange(40.0)
        np.testing.assert_array_equal(record["weight_norm"][:, 0], expected)


def _touch(_):
    """What a data worker may do by accident, and what its exit does."""
    gradscope.flush()
    return os.getpid()


def test_forked_workers_of_a_pool_never_write(tmp_path):
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
    variable = keras.Variable([1.0])
    optimizer.apply([tf.ones([1])], [variable])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        workers = set(pool.map(_touch, range(8)))
    assert os.getpid() not in workers
    optimizer.apply([tf.ones([1])], [variable])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1]
    (path,) = event_files.event_files(str(tmp_path / "gradscope"))
    assert f".{os.getpid()}." in path


def test_a_fork_that_ends_as_a_program_does_writes_nothing(tmp_path):
    """`os.fork` and `sys.exit` run what was registered for the exit."""
    script = f"""
        import os, sys, keras, tensorflow as tf, gradscope
        optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), {str(tmp_path)!r})
        variable = keras.Variable([1.0])
        optimizer.apply([tf.ones([1])], [variable])
        pid = os.fork()
        if pid == 0:
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        optimizer.apply([tf.ones([1])], [variable])
        print(os.getpid())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    files = event_files.event_files(str(tmp_path / "gradscope"))
    assert [f".{done.stdout.strip()}." in path for path in files] == [True]
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]
