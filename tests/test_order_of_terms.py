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
    return [np.array(v) for v in model.weights + optimizer.variables]


@pytest.mark.parametrize("how", ["callback", "wrap"])
def test_a_weight_that_is_used_three_times_has_the_same_bits(how, tmp_path):
    for plain, observed in zip(
        trained("plain", tmp_path), trained(how, tmp_path), strict=True
    ):
        assert plain.tobytes() == observed.tobytes()


def test_sums_of_three_terms_are_read_and_shorter_ones_computed_again():
    with tf.Graph().as_default() as graph:
        a, b, c = (tf.compat.v1.placeholder(tf.float32, [2]) for _ in "abc")
        for tensor, is_read in (
            (tf.add_n([a, b]), False),
            (a + b, False),
            (tf.add_n([a, b, c]), True),
            (a + b + c, True),
            (tf.reshape(tf.identity(a + b), [2]) + c, True),
            ((a + b) * 2 + c, False),
        ):
            assert (replay.ending(tensor, graph) is tensor) == is_read
