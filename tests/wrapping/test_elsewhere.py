"""Of a training that goes past an observed optimizer there is one warning, and
none where nobody trained."""

import copy
import os
import subprocess
import sys
import textwrap
import warnings

import keras
import pytest
import tensorflow as tf
from tf_keras_training import current, legacy
from thinning import thinned

import gradscope
from gradscope.errors import GradscopeWarning

REMEDY = r"Wrap the optimizer that trains, .* or pass `gradscope.Callback"


def step(optimizer, steps=1):
    variable = tf.Variable([1.0])
    if isinstance(optimizer, keras.optimizers.Optimizer):
        variable = keras.Variable([1.0])
    for _ in range(steps):
        optimizer.apply_gradients([(tf.ones([1]), variable)])


def model_with(optimizer):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


@pytest.fixture
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradscopeWarning)
        yield


KINDS = {
    "keras": lambda: keras.optimizers.Adam(0.01),
    "tf_keras": lambda: current.Adam(0.01),
    "tf_keras legacy": lambda: legacy.Adam(0.01),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_another_optimizer_of_its_configuration_trained(make, tmp_path):
    optimizer = gradscope.wrap(make(), tmp_path / "run")
    other = type(optimizer).from_config(optimizer.get_config())
    step(other, 3)
    gradscope.flush()  # the optimizer's own training may be to come
    with pytest.warns(
        GradscopeWarning,
        match=r"no step of the Adam to be recorded in .*run: another "
        r"Adam with the same configuration, which is not observed, has made 3 "
        rf"steps\. .* {REMEDY}",
    ):
        gradscope.unwrap(optimizer)


def test_the_model_trained_with_another_optimizer(tmp_path):
    model = model_with(keras.optimizers.SGD())
    optimizer = keras.optimizers.Adam()
    gradscope.wrap(optimizer, tmp_path, model=model)
    model.fit(tf.ones([4, 1]), tf.ones([4, 1]), verbose=0)
    with pytest.warns(
        GradscopeWarning,
        match="passed with it trains with another SGD, which is not observed "
        rf"and has made 1 step\. .* {REMEDY}",
    ):
        gradscope.unwrap(optimizer)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_copies_that_are_gone_trained(way, tmp_path):
    optimizer = gradscope.wrap(legacy.SGD(0.1), tmp_path)
    for _ in range(2):
        step(way(optimizer))
    with pytest.warns(
        GradscopeWarning,
        match="it was copied or pickled 2 times; if a copy is what trains, "
        rf"nothing is recorded\. .* {REMEDY}",
    ):
        gradscope.unwrap(optimizer)


class Natural(current.SGD):
    """An optimizer with a `minimize` of its own, as GPflow's."""

    def minimize(self, variable):
        variable.assign_sub(0.1 * variable)


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_a_minimize_of_its_own(wrapper, tmp_path):
    optimizer = gradscope.wrap(Natural(), tmp_path)
    variable = tf.Variable([1.0])
    wrapper(lambda: optimizer.minimize(variable))()
    assert variable.numpy() == pytest.approx(0.9)
    with pytest.warns(
        GradscopeWarning,
        match="Natural has its own `minimize`, which was called once and does "
        "not call `apply_gradients`, the method that gradscope observes. What "
        "it trains cannot be recorded. Wrap the optimizers that train the "
        "rest.",
    ):
        gradscope.unwrap(optimizer)


class Wordy(keras.optimizers.SGD):
    def minimize(self, variables):
        self.apply_gradients([(2 * v.value, v) for v in variables])


def test_a_minimize_that_applies_gradients_is_observed(silence, tmp_path):
    optimizer = gradscope.wrap(Wordy(), tmp_path)
    optimizer.minimize([keras.Variable([1.0])])
    gradscope.unwrap(optimizer)
    assert gradscope.read(tmp_path).steps.tolist() == [0]


# Where nobody trained, or somebody else's business


def test_wrapped_and_unwrapped_at_once(silence, tmp_path):
    gradscope.unwrap(gradscope.wrap(keras.optimizers.SGD(), tmp_path))


def test_a_model_that_is_only_evaluated_and_saved(silence, tmp_path):
    optimizer = keras.optimizers.SGD()
    model = model_with(optimizer)
    gradscope.wrap(optimizer, tmp_path / "run", model=model)
    model.evaluate(tf.ones([4, 1]), tf.ones([4, 1]), verbose=0)
    model.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")
    gradscope.unwrap(optimizer)


def test_only_gradients_were_wanted(silence, tmp_path):
    optimizer = gradscope.wrap(current.SGD(), tmp_path)
    variable = tf.Variable([1.0])
    with tf.GradientTape() as tape:
        value = variable * variable
    optimizer.compute_gradients(value, [variable], tape)
    gradscope.unwrap(optimizer)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_count_that_was_restored_is_no_training(make, silence, tmp_path):
    trained = make()
    step(trained, 2)
    path = tf.train.Checkpoint(optimizer=trained).save(str(tmp_path / "c"))
    optimizer = gradscope.wrap(make(), tmp_path / "run")
    tf.train.Checkpoint(optimizer=optimizer).restore(path)
    gradscope.unwrap(optimizer)


def test_what_trained_before_or_was_observed_is_another(silence, tmp_path):
    before, observed = keras.optimizers.Adam(), keras.optimizers.Adam()
    step(before)
    optimizer = gradscope.wrap(keras.optimizers.Adam(), tmp_path / "a")
    gradscope.wrap(observed, tmp_path / "b")
    step(observed)
    gradscope.unwrap(observed)
    gradscope.unwrap(optimizer)


def test_an_error_of_the_users_says_enough(silence, tmp_path):
    optimizer = gradscope.wrap(legacy.SGD(), tmp_path)
    copied = copy.deepcopy(optimizer)
    with pytest.raises(ZeroDivisionError):
        try:
            step(copied)
            raise ZeroDivisionError
        finally:
            gradscope.unwrap(optimizer)


def test_an_optimizer_that_trains_may_be_copied(silence, tmp_path):
    optimizer = gradscope.wrap(legacy.SGD(), tmp_path)
    step(copy.deepcopy(optimizer))
    step(optimizer)
    gradscope.unwrap(optimizer)


# At exit

#: What a script does last, and how often it is told.
ENDS = {
    "raise ZeroDivisionError": 0,
    """
    if not os.fork():
        sys.exit()
    os.wait()
    """: 1,
}


@pytest.mark.parametrize("end", thinned(list(ENDS), fast=list(ENDS)[1:]))
def test_at_exit_it_is_told_once_unless_an_error_says_enough(end, tmp_path):
    script = f"""
    import os, sys
    import keras, tensorflow as tf
    import gradscope
    optimizer = gradscope.wrap(keras.optimizers.SGD(), {str(tmp_path)!r})
    other = keras.optimizers.SGD()
    other.apply([tf.ones([1])], [keras.Variable([1.0])])
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(end)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    told = result.stderr.count("gradscope has observed no step of the SGD")
    assert told == ENDS[end], result.stderr[-3000:]


def test_a_copy_that_is_not_observed_is_told_apart(tmp_path):
    optimizer = gradscope.wrap(keras.optimizers.SGD(), tmp_path)
    copied = copy.deepcopy(optimizer)
    with pytest.raises(
        ValueError, match="not a copy of it; it can be unwrapped only"
    ):
        gradscope.unwrap(copied)
    with pytest.raises(ValueError, match="not a copy of it, or None to flush"):
        gradscope.flush(copied)
