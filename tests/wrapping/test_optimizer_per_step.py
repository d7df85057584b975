"""Loops that make a new optimizer for each step."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.errors import GradscopeWarning


def steps(optimizers, weight):
    """Makes one step with each."""
    for optimizer in optimizers:
        optimizer.apply([tf.ones([2])], [weight])


def test_an_optimizer_made_anew_in_each_step_is_said_once(tmp_path):
    weight = keras.Variable([3.0, 4.0], name="weight")
    plain = keras.Variable([3.0, 4.0], name="weight")
    steps((keras.optimizers.Adam() for _ in range(30)), plain)
    made = (
        gradscope.wrap(keras.optimizers.Adam(), tmp_path) for _ in range(30)
    )
    with pytest.warns(GradscopeWarning) as caught:
        steps(made, weight)
        gradscope.flush()
    texts = [str(warning.message) for warning in caught]
    about = [text for text in texts if "A new optimizer is made" in text]
    assert len(about) == 1
    assert "3 in a row made one step each" in about[0]
    assert "Make the optimizer once, before the loop" in about[0]
    np.testing.assert_array_equal(weight.numpy(), plain.numpy())
    runs = [path for path in tmp_path.iterdir() if path.name != "gradscope"]
    assert len(runs) == 2  # three recorded trainings, of 30


def test_the_last_of_them_can_be_unwrapped_without_a_word(tmp_path):
    weight = keras.Variable([3.0, 4.0], name="weight")
    for _ in range(6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GradscopeWarning)
            optimizer = gradscope.wrap(keras.optimizers.SGD(), tmp_path)
        steps([optimizer], weight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gradscope.unwrap(optimizer) is optimizer


def test_optimizers_that_are_unwrapped_are_trainings_of_their_own(tmp_path):
    weight = keras.Variable([3.0, 4.0], name="weight")
    for _ in range(5):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*record of another training")
            warnings.filterwarnings("error", ".*A new optimizer")
            optimizer = gradscope.wrap(keras.optimizers.SGD(), tmp_path)
            steps([optimizer], weight)
            gradscope.unwrap(optimizer)
    assert len(list(tmp_path.glob("run_*"))) == 4
