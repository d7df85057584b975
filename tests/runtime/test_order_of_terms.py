"""Gradients of three terms and more keep the order they are added up in.

`AddN` begins with the first term whose memory it may use, which depends on who
else reads the terms.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import gradscope
from gradscope.runtime import replay


class Thrice(keras.layers.Layer):
    """A weight that is used three times, once with a constant gradient."""

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1], 1), name="weight")

    def call(self, x):
        self.add_loss(1e-3 * ops.sum(self.weight))
        twice = ops.matmul(ops.tanh(x), ops.exp(self.weight))
        return ops.matmul(x, self.weight) + twice


def trained(how, logdir):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
    model = keras.Sequential(
        [keras.Input((16,)), keras.layers.Dense(16, "relu"), Thrice()]
    )
    optimizer, callbacks = keras.optimizers.Adam(1e-2), []
    if how == "wrap":
        gradscope.wrap(optimizer, logdir, every=1)
    if how == "callback":
        callbacks = [gradscope.Callback(logdir, every=1, findings=False)]
    model.compile(optimizer, "mse", jit_compile=False)
    options = {"shuffle": False, "verbose": 0, "callbacks": callbacks}
    model.fit(x, x[:, :1], batch_size=16, **options)
    return [
        keras.ops.convert_to_numpy(v)
        for v in model.weights + optimizer.variables
    ]


@pytest.mark.parametrize("how", ["callback", "wrap"])
def test_a_weight_that_is_used_three_times_has_the_same_bits(how, tmp_path):
    for plain, observed in zip(
        trained("plain", tmp_path), trained(how, tmp_path), strict=True
    ):
        assert plain.tobytes() == observed.tobytes()


def test_sums_of_three_terms_are_read_and_shorter_ones_computed_again():
    for build, is_read in (
        (lambda a, b, c: tf.add_n([a, b]), False),
        (lambda a, b, c: a + b, False),
        (lambda a, b, c: tf.add_n([a, b, c]), True),
        (lambda a, b, c: a + b + c, True),
        (lambda a, b, c: tf.reshape(tf.identity(a + b), [2]) + c, True),
        (lambda a, b, c: (a + b) * 2 + c, False),
    ):
        assert is_left_as_it_is(build) == is_read


def test_what_else_is_made_of_a_term_is_read():
    def negative(a, b, c):
        result = -a
        tf.reshape(a, [2]) + b + c
        return result

    assert is_left_as_it_is(negative)
    assert not is_left_as_it_is(lambda a, b, c: -a)


def is_left_as_it_is(build):
    with tf.Graph().as_default() as graph:
        terms = [tf.compat.v1.placeholder(tf.float32, [2]) for _ in "abc"]
        tensor = build(*terms)
        return replay.replay_end(tensor, graph) is tensor
