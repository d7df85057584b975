"""Where observing fails while a step runs: the first is made again by the plain
program, and one warning says why."""

import functools
import re
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
    same,
    told,
    trains_as_it_would,
)
from image_sizes import BATCHES, data, images
from thinning import thinned

import gradscope
from gradscope.measuring import data as measuring_data
from gradscope.measuring import statistics
from gradscope.wrapping.fit import step_trial
from gradscope.wrapping.forward import fallback

LATER = (
    r"An operation of gradscope failed in a recorded step: "
    r"InvalidArgumentError: .*of our own.*It is unknown how much of the step "
    r"was done, so the step cannot be repeated\. Continue from your last "
    r"checkpoint, without the callback or with `activations=False`\. "
    r"Please report this, with the versions: TensorFlow \d+\.\d+\S*, Keras "
)


def failing(measure):
    """Returns a function that measures, with an operation that fails when the
    step runs, whatever is known while it is traced."""

    def with_failure(*arguments, **keywords):
        measured = measure(*arguments, **keywords)
        return measured + _failing_operation(measured)

    return with_failure


def _failing_operation(tensor):
    zero = tf.reduce_sum(tensor) * 0
    infinite = 1 / tf.where(tf.math.is_finite(zero), zero, 0)
    return tf.raw_ops.CheckNumerics(tensor=infinite, message="of our own")


def not_for_xla(measure):
    """Returns a function that measures, with an operation that XLA has not."""

    def with_failure(*arguments, **keywords):
        measured = measure(*arguments, **keywords)
        text = tf.strings.as_string(measured)
        return measured + 0.0 * tf.strings.to_number(text)

    return with_failure


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_first_step_that_fails_is_made_again_by_the_plain_program(
    library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*FORWARD, failing(measuring_data.measure))
    train = functools.partial(fit, library, jit_compile=False)
    caught = trains_as_it_would(train, tmp_path)
    told(caught, LESS.format(reason="InvalidArgumentError: .*of our own"))
    record = gradscope.read(tmp_path)
    # The step that was made again was not recorded.
    assert record.steps.tolist() == list(range(1, 10))
    assert np.isfinite(record["gradient_norm"]).all()


@pytest.mark.slow  # TensorFlow tries for ten seconds
def test_a_first_step_without_enough_memory_is_made_again(
    tmp_path, monkeypatch
):
    measure = measuring_data.measure

    def greedy(tensors):
        measured = measure(tensors)
        count = tf.cast(0 * tf.reduce_max(measured) + 2.0**50, tf.int64)
        numbers = tf.cast(tf.range(count), tf.float32)
        return measured + 0 * tf.reduce_sum(numbers)

    monkeypatch.setattr(measuring_data, "measure", greedy)
    train = functools.partial(fit, keras, jit_compile=False)
    caught = trains_as_it_would(train, tmp_path)
    told(
        caught,
        r"gradscope cannot observe the activations of this model: "
        r"ResourceExhaustedError: .*Its gradients are still recorded\. "
        r"A recorded step holds a second copy of all weights and gradients\. "
        r"Choose a smaller batch to make room for them\.",
    )


@pytest.mark.parametrize("library", thinned([keras, tf_keras], fast=[keras]))
def test_where_that_fails_too_nothing_is_recorded(
    library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*VARIABLES, failing(statistics.measure))
    train = functools.partial(fit, library, jit_compile=False)
    caught = trains_as_it_would(train, tmp_path)
    reason = "InvalidArgumentError: .*of our own"
    told(
        caught,
        LESS.format(reason=reason),
        NOTHING.format(optimizer="Adam", reason=reason),
    )


@pytest.mark.parametrize(
    "what, library",
    [
        (FORWARD, keras),
        pytest.param(FORWARD, tf_keras, marks=pytest.mark.slow),
        pytest.param(VARIABLES, keras, marks=pytest.mark.slow),
    ],
)
def test_what_xla_cannot_compile_ends_no_training(
    what, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(*what, not_for_xla(getattr(*what)))
    train = functools.partial(fit, library, jit_compile=True)
    caught = trains_as_it_would(train, tmp_path)
    less = LESS.format(reason="InvalidArgumentError: .*AsString")
    nothing = NOTHING.format(optimizer="Adam", reason="InvalidArgumentError")
    told(caught, *([less] if what is FORWARD else [less, nothing]))


def test_a_program_is_tried_for_each_kind_of_batch(tmp_path, monkeypatch):
    tried = []
    original = step_trial.VariableBackup.__init__

    def counted(self, graph):
        tried.append(graph.name)
        original(self, graph)

    monkeypatch.setattr(step_trial.VariableBackup, "__init__", counted)
    model = images()
    model.compile("sgd", "mse", jit_compile=False)
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    x, y = BATCHES[0]
    one = tf.data.Dataset.from_tensors((x, y))
    for dataset in (data(), data(), one):
        model.fit(dataset, verbose=0, callbacks=[callback])
        assert len(tried) == (2 if dataset is one else 1)
    # Where the data end, Keras counts a step that it has not made.
    steps = gradscope.read(tmp_path).steps.tolist()
    assert steps == [0, 1, 2, 4, 5, 6, 8]


@pytest.mark.parametrize("library", thinned([keras, tf_keras], fast=[keras]))
def test_an_error_of_the_users_in_a_first_step_is_theirs(library, tmp_path):
    x, y = training.X[:32].copy(), training.Y[:32] + 7

    def train(callbacks):
        library.utils.set_random_seed(1)
        model = library.Sequential([library.layers.Dense(3)])
        model.build((None, 12))
        model.compile(
            "adam", "sparse_categorical_crossentropy", jit_compile=False
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(tf.errors.InvalidArgumentError) as error:
                model.fit(x, y, verbose=0, callbacks=callbacks)
        gradscope.unwrap(model.optimizer) if callbacks else None
        told(caught)
        return fallback.reason(error.value), model.get_weights()

    mine, plain = train([])
    theirs, observed = train([gradscope.Callback(tmp_path)])
    assert "label value" in mine and mine == theirs
    same(plain, observed)


class Counter(keras.layers.Layer):
    """Has a state that no variable holds."""

    def call(self, x):
        noise = tf.numpy_function(np.zeros_like, [x], tf.float32)
        return x + tf.ensure_shape(noise, x.shape)


def test_a_step_whose_state_is_not_known_is_not_made_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(*VARIABLES, failing(statistics.measure))
    model = keras.Sequential(
        [keras.Input((12,)), Counter(), keras.layers.Dense(3)]
    )
    caught = []
    with pytest.raises(tf.errors.InvalidArgumentError, match="of our own"):
        fit(keras, tmp_path, model=model, caught=caught, jit_compile=False)
    gradscope.unwrap(model.optimizer)
    told(caught, LATER)


def later(measure):
    """Returns a function that measures, with an operation that fails from the
    tenth step of ours on."""
    count = tf.Variable(0.0, name="gradscope")

    def with_failure(*arguments, **keywords):
        measured = measure(*arguments, **keywords)
        over = tf.cast(count.assign_add(1.0) < 10.0, tf.float32)
        return measured + 0 * tf.raw_ops.CheckNumerics(
            tensor=1 / over, message="of our own"
        )

    return with_failure


@pytest.mark.parametrize("how", ["wrap", "callback"])
def test_a_later_step_that_fails_is_told_of(how, tmp_path, monkeypatch):
    """In `fit`; inside of a user's own function nobody could."""
    monkeypatch.setattr(*VARIABLES, later(statistics.measure))
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    train = functools.partial(fit, keras, how=how, model=model)
    caught = []
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        train(tmp_path, caught=caught, jit_compile=False)
    assert re.search(r"node gradscope(_\d+)?/", str(error.value))
    gradscope.unwrap(model.optimizer)
    told(caught, *([LATER] if how == "callback" else []))
