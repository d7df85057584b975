"""Where observing fails while a step is traced: training goes as it would, less
is recorded, and one warning says why."""

import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import training
from failing import (
    FORWARD,
    LESS,
    NOTHING,
    VARIABLES,
    fit,
    told,
    trains_as_it_would,
)
from image_sizes import LOOPS, data, images
from thinning import thinned
from training import state

import gradscope
from gradscope import wrapping
from gradscope.measuring import sampling
from gradscope.wrapping.steps.observers import Observers


def raising(*arguments, **keywords):
    raise ZeroDivisionError("of our own")


FITS = {
    "graph": {"jit_compile": False},
    "2_steps": {"jit_compile": False, "steps_per_execution": 2},
    "eager": {"run_eagerly": True},
}


CASES = [
    ("graph", "wrap", keras),
    ("graph", "callback", tf_keras),
    ("2_steps", "callback", keras),
    ("2_steps", "wrap", tf_keras),
    ("eager", "callback", keras),
    ("eager", "wrap", tf_keras),
]


WAYS = pytest.mark.parametrize(
    "name, how, library", thinned(CASES, fast=CASES[1::2])
)


@WAYS
def test_variables_alone_where_the_forward_pass_cannot_be_measured(
    name, how, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*FORWARD, raising)
    train = functools.partial(fit, library, how=how, **FITS[name])
    caught = trains_as_it_would(train, tmp_path)
    told(caught, LESS.format(reason="ZeroDivisionError: of our own"))
    record = gradscope.read(tmp_path)
    assert len(record.steps) == 10
    assert np.isfinite(record["gradient_norm"]).all()
    assert np.isnan(record["zero_fraction"]).all()


@WAYS
def test_nothing_where_variables_cannot_be_measured(
    name, how, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*VARIABLES, raising)
    train = functools.partial(fit, library, how=how, **FITS[name])
    caught = trains_as_it_would(train, tmp_path)
    reason = "ZeroDivisionError: of our own"
    told(caught, NOTHING.format(optimizer="Adam", reason=reason))


def test_steps_that_cannot_be_fetched_end_no_fit(tmp_path, monkeypatch):
    # Reading a record fetches the steps of all that is alive, so what other
    # tests have left behind works on.
    older = {id(seam.observers) for seam in wrapping._seams}
    drain = Observers.drain

    def raising_drain(observers):
        return drain(observers) if id(observers) in older else raising()

    monkeypatch.setattr(Observers, "drain", raising_drain)
    train = functools.partial(fit, keras, **FITS["graph"])
    caught = trains_as_it_would(train, tmp_path)
    reason = "ZeroDivisionError: of our own"
    told(caught, NOTHING.format(optimizer="Adam", reason=reason))


@pytest.mark.parametrize(
    "what, mode",
    thinned(
        [
            (what, mode)
            for what in (FORWARD, VARIABLES)
            for mode in ("loop_eager", "loop_function")
        ],
        fast=[(FORWARD, "loop_function"), (VARIABLES, "loop_eager")],
    ),
)
def test_loops_go_on_with_less(what, mode, tmp_path, monkeypatch):
    monkeypatch.setattr(*what, raising)

    def train(logdir):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model, optimizer = training.dense_model(), keras.optimizers.Adam()
            if logdir:
                gradscope.wrap(optimizer, logdir, model=model)
            training.loop(model, optimizer, wrapper=LOOPS[mode])
            if logdir:
                gradscope.unwrap(optimizer)
        return state(model, optimizer), caught

    def seeded(logdir):
        keras.utils.set_random_seed(7)
        return train(logdir)

    caught = trains_as_it_would(seeded, tmp_path)
    reason = "ZeroDivisionError: of our own"
    less = LESS.format(reason=reason)
    nothing = NOTHING.format(optimizer="Adam", reason=reason)
    told(caught, less if what is FORWARD else nothing)


@pytest.mark.parametrize("what", [FORWARD, VARIABLES])
def test_a_session_goes_on_with_less(what, tmp_path, monkeypatch):
    import sessions

    def measured(kind, read, fused=False, rows=None):
        raise ZeroDivisionError("of our own")

    if what is FORWARD:
        from gradscope.measuring import activations

        monkeypatch.setattr(activations, "measure_with_activity", measured)
    else:
        monkeypatch.setattr(*what, raising)
    plain, _ = sessions.train("adam")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        observed, network = sessions.train("adam", logdir=tmp_path, every=1)
        gradscope.flush()
    sessions.assert_same(plain, observed)
    reason = "ZeroDivisionError: of our own"
    less = LESS.format(reason=reason)
    nothing = NOTHING.format(optimizer="AdamOptimizer", reason=reason)
    told(caught, less if what is FORWARD else nothing)
    if what is FORWARD:
        record = gradscope.read(tmp_path)
        assert np.isfinite(record["gradient_norm"]).all()
        assert np.isnan(record["zero_fraction"]).all()
    del network


@pytest.fixture
def taken_for_equal(monkeypatch):
    monkeypatch.setattr(sampling, "have_same_shape", lambda tensors: True)


@pytest.mark.parametrize(
    "how, library", [("wrap", keras), ("callback", tf_keras)]
)
def test_what_does_not_fit_shows_before_any_step(
    how, library, taken_for_equal, tmp_path
):
    def train(logdir):
        library.utils.set_random_seed(5)
        model, optimizer = images(library), library.optimizers.Adam()
        callbacks = []
        if logdir and how == "callback":
            callbacks = [gradscope.Callback(logdir, every=1, findings=False)]
        elif logdir:
            gradscope.wrap(optimizer, logdir, every=1, model=model)
        model.compile(optimizer, "mse", jit_compile=False)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(data(), verbose=0, callbacks=callbacks)
            if logdir and how == "wrap":
                gradscope.unwrap(optimizer)
        return [v.numpy() for v in model.variables], caught

    caught = trains_as_it_would(train, tmp_path)
    told(caught, LESS.format(reason="InvalidArgumentError: .*hapes"))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    assert record.activations == ()
    assert "InvalidArgumentError" in record.schema.unseen[0]


def test_what_does_not_fit_shows_before_any_step_of_a_session(
    taken_for_equal, tmp_path
):
    v1 = tf.compat.v1

    def run(logdir=None):
        with tf.Graph().as_default():
            x, y = (v1.placeholder(tf.float32, [None, None, 3]) for _ in "xy")
            kernel = v1.get_variable("kernel", initializer=tf.eye(3))
            loss = 0.0
            for name, tensor in (("x", x), ("y", y)):
                with v1.name_scope(name):
                    hidden = tf.einsum("abc,cd->abd", tensor, kernel)
                    loss += tf.reduce_mean(tf.nn.relu(hidden))
            optimizer = v1.train.GradientDescentOptimizer(0.1)
            if logdir is not None:
                gradscope.wrap(optimizer, logdir, every=1)
            train_op = optimizer.minimize(loss)
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                feed = {x: np.ones([2, 4, 3]), y: np.ones([1, 3, 3])}
                session.run(train_op, feed)
                kernel = session.run(kernel)
            if logdir is not None:
                gradscope.unwrap(optimizer)
        return kernel

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(run(), run(tmp_path))
    told(caught, LESS.format(reason="InvalidArgumentError: .*hapes"))
    assert gradscope.read(tmp_path).steps.tolist() == [0]
