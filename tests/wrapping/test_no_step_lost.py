"""Whatever comes between two steps, none that is due is lost uncounted."""

import gc
import os
import time

import keras
import pytest
import tensorflow as tf
from small_steps import adam, run_script, step_eagerly
from thinning import thinned
from training import X, Y, dense_model, fit, train

import gradscope
from gradscope.recording import background, device_ring
from gradscope.recording.drain import Drain
from gradscope.schedule import Every


# Each compiles all of it anew: with XLA 120 s on two busy cores.
@pytest.mark.parametrize(
    ("jit", "new_callback"),
    thinned(
        [(False, False), (False, True), (True, True)],
        fast=[(False, True)],
    ),
)
def test_fits_and_compiles_follow_each_other_without_a_gap(
    jit, new_callback, tmp_path
):
    model, optimizer = dense_model(), adam()
    callback = gradscope.Callback(tmp_path, every=Every(4, dense=0))
    for _ in range(2):
        if new_callback:
            callback = gradscope.Callback(tmp_path, every=Every(4, dense=0))
        fit(model, optimizer, [callback], jit_compile=jit)
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[callback])
    assert "apply" not in vars(optimizer)
    # Two fits of 22 steps, one of 6.
    assert gradscope.read(tmp_path).steps.tolist() == list(range(0, 50, 4))


def test_evaluating_with_the_callback_observes_nothing(tmp_path):
    model, optimizer = dense_model(), adam()
    model.compile(optimizer, "mse")
    callback = gradscope.Callback(tmp_path)
    model.evaluate(X, X[:, :3], verbose=0, callbacks=[callback])
    model.predict(X, verbose=0, callbacks=[callback])
    assert "apply" not in vars(optimizer)


def test_validation_during_a_fit_is_not_recorded(tmp_path):
    model, optimizer = dense_model(), adam()
    callbacks = [gradscope.Callback(tmp_path, every=1)]
    model.compile(optimizer, "mse")
    labels = X[:, :3]
    model.fit(
        X,
        labels,
        epochs=2,
        verbose=0,
        validation_data=(X, labels),
        callbacks=callbacks,
    )
    assert gradscope.read(tmp_path).steps.tolist() == list(range(12))


def test_many_short_fits_trace_each_program_once(tmp_path):
    model, optimizer = dense_model(), adam()
    programs = []

    class Measurables(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            programs.append(model.train_function)

    callback = gradscope.Callback(tmp_path, every=Every(4, dense=0))
    fit(model, optimizer, [callback, Measurables()])
    for _ in range(3):
        model.fit(X, Y, verbose=0, callbacks=[callback, Measurables()])
    assert len(set(programs)) == 2
    assert gradscope.read(tmp_path).steps.tolist() == list(range(0, 40, 4))
    assert len(os.listdir(tmp_path / "gradscope")) == 1


@pytest.mark.slow
def test_fits_with_new_callbacks_leave_no_ring_behind(tmp_path):
    gc.collect()
    gradscope.flush()
    before = set(background._watched)
    model, optimizer = dense_model(), adam()
    for _ in range(3):
        fit(model, optimizer, [gradscope.Callback(tmp_path)])
    gc.collect()
    gradscope.flush()
    # The model has the programs of the last one, which a next fit goes on with.
    assert len(set(background._watched) - before) == 1
    del model, optimizer
    keras.backend.clear_session()
    gc.collect()
    gradscope.flush()
    assert not set(background._watched) - before
    assert len(gradscope.read(tmp_path).steps) == 50 + 2


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_an_interrupted_training_loses_nothing_and_goes_on(how, tmp_path):
    model, optimizer = dense_model(), adam()
    callbacks = [Interrupt()]
    if how == "wrap":
        gradscope.wrap(optimizer, tmp_path, every=1)
    else:
        callbacks.append(gradscope.Callback(tmp_path, every=1))
    with pytest.raises(KeyboardInterrupt):
        fit(model, optimizer, callbacks)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(6))
    again = [gradscope.Callback(tmp_path, every=1)] if how != "wrap" else []
    model.fit(X, Y, verbose=0, callbacks=again)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(12))


@pytest.mark.parametrize(
    "end",
    thinned(
        ["pass", "raise ValueError", "sys.exit(3)"],
        fast=["sys.exit(3)"],
    ),
)
def test_what_is_left_is_written_at_interpreter_exit(end, tmp_path):
    script = f"""
        import sys, keras, tensorflow as tf, gradscope
        variable = tf.Variable([1.0, 2.0])
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([variable])
        gradscope.wrap(optimizer, {str(tmp_path)!r}, every=1)

        @tf.function(jit_compile=True)
        def step():
            optimizer.apply([2 * variable], [variable])

        for _ in range(7):
            step()
        {end}
    """
    run_script(script, check=False)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(7))


@pytest.mark.slow
def test_a_forked_worker_never_writes(tmp_path):
    script = f"""
        import os, keras, gradscope, numpy as np
        variable = keras.Variable(np.ones(3, "float32"))
        optimizer = gradscope.wrap(keras.optimizers.SGD(), {str(tmp_path)!r})
        optimizer.apply([np.ones(3, "float32")], [variable])
        child = os.fork()
        if child == 0:
            gradscope.flush()
            raise SystemExit
        os.waitpid(child, 0)
        print(child, *os.listdir({str(tmp_path / "gradscope")!r}))
    """
    child, *files = run_script(script).split()
    assert not any(f".{child}." in name for name in files)
    assert gradscope.read(tmp_path).steps.tolist() == [0]


def test_the_record_of_an_optimizer_that_died_is_written(tmp_path):
    optimizer = gradscope.wrap(adam(), tmp_path)
    step_eagerly(optimizer, keras.Variable([1.0]), steps=3)
    del optimizer
    gc.collect()
    gradscope.flush()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2]


def endless_loop(optimizer, variable):
    @tf.function
    def run(steps):
        for _ in tf.range(steps):
            optimizer.apply([2 * variable], [variable])

    return run


def test_a_loop_that_stays_in_the_graph_is_recorded(tmp_path):
    variable = tf.Variable([1.0, 2.0])
    optimizer = adam()
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1)
    endless_loop(optimizer, variable)(tf.constant(300))
    assert gradscope.read(tmp_path).steps.tolist() == list(range(300))


def test_what_overflows_the_ring_is_counted_as_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(device_ring, "MAX_ROWS", 8)
    monkeypatch.setattr(Drain, "tick", lambda drain: None)
    variable = tf.Variable([1.0, 2.0])
    optimizer = adam()
    optimizer.build([variable])
    gradscope.wrap(optimizer, tmp_path, every=1, histograms=None)
    endless_loop(optimizer, variable)(tf.constant(100))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(92, 100))
    assert record["dropped"].tolist() == [92] * 8


def test_fit_drains_a_small_ring_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(device_ring, "MAX_ROWS", 4)
    monkeypatch.setattr(Drain, "tick", lambda drain: None)
    train("fit_graph", "adam", how="callback", logdir=tmp_path, every=1)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(22))
    assert not record["dropped"].any()


def test_steps_are_written_while_training_runs_without_any_call(tmp_path):
    optimizer = gradscope.wrap(adam(), tmp_path)
    step_eagerly(optimizer, keras.Variable([1.0]), steps=3)
    deadline = time.monotonic() + 30
    while not os.listdir(tmp_path / "gradscope"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
