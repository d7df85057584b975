"""Which steps are recorded: schedules, in the graph and on the host."""

import time

import keras
import pytest
from small_steps import adam, step_eagerly
from thinning import thinned
from training import dense_model, fit, train

import gradscope
from gradscope.schedule import At, Every, Seconds


def test_the_default_schedule_is_dense_at_the_start(tmp_path):
    variable = keras.Variable([1.0])
    optimizer = gradscope.wrap(adam(), tmp_path)
    step_eagerly(optimizer, variable, steps=75)
    expected = [*range(50), 50, 60, 70]
    assert gradscope.read(tmp_path).steps.tolist() == expected


def test_a_resumed_run_goes_on_with_the_optimizers_step(tmp_path):
    optimizer = adam()
    optimizer.iterations.assign(996)
    gradscope.wrap(optimizer, tmp_path)
    step_eagerly(optimizer, keras.Variable([1.0]), steps=20)
    assert gradscope.read(tmp_path).steps.tolist() == [1000, 1010]


FITS = pytest.mark.parametrize(
    "mode, how",
    thinned(
        [
            (mode, how)
            for mode in ("fit_graph", "fit_7_steps", "fit_eager")
            for how in ("wrap", "callback")
        ],
        fast=[
            ("fit_graph", "callback"),
            ("fit_7_steps", "wrap"),
            ("fit_eager", "callback"),
        ],
    ),
)


@FITS
def test_explicit_steps_are_recorded_and_no_others(mode, how, tmp_path):
    schedule = At([2, 13]) | Every(10, dense=1)
    train(mode, "sgd", how=how, logdir=tmp_path, every=schedule)
    assert gradscope.read(tmp_path).steps.tolist() == [0, 2, 10, 13, 20]


@FITS
def test_by_the_clock_the_first_step_is_recorded(mode, how, tmp_path):
    train(mode, "sgd", how=how, logdir=tmp_path, every=Seconds(3600))
    assert gradscope.read(tmp_path).steps.tolist() == [0]


def test_by_the_clock_a_step_is_recorded_when_the_time_is_over(
    tmp_path, monkeypatch
):
    optimizer = gradscope.wrap(adam(), tmp_path, every=Seconds(60))
    variable = keras.Variable([1.0])
    now = time.monotonic()
    for seconds in (0, 59, 61, 100, 122):
        monkeypatch.setattr(time, "monotonic", lambda s=seconds: now + s)
        step_eagerly(optimizer, variable)
    assert gradscope.read(tmp_path).steps.tolist() == [0, 2, 4]


def test_the_callback_leaves_steps_that_are_not_due_alone(tmp_path):
    """The program of such a step has no op of gradscope."""
    model, optimizer = dense_model(), adam()
    programs = []

    class Measurables(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            programs.append(model.train_function)

    schedule = Every(5, dense=1)
    callbacks = [gradscope.Callback(tmp_path, every=schedule), Measurables()]
    fit(model, optimizer, callbacks)
    observed = {programs[step] for step in range(0, 22, 5)}
    plain = {programs[step] for step in range(22) if step % 5}
    assert len(observed) == len(plain) == 1 and observed != plain
    assert model.train_function in plain
