"""A `train_step` that counts in Python counts its traces, as it would alone."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.errors import GradscopeWarning

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")


class Counting(keras.Model):
    """Weighs its loss by the number of its traces, and keeps the last loss."""

    def __init__(self, applies=True, number=int):
        super().__init__()
        self.dense = keras.layers.Dense(1, name="dense")
        self.dense.build((None, 4))
        self.traces, self.latest, self.applies = number(0), 0.0, applies

    def call(self, x):
        return self.dense(x)

    def train_step(self, x):
        self.traces += 1
        with tf.GradientTape() as tape:
            loss = float(self.traces) * tf.reduce_mean(self(x) ** 2)
        self.latest += loss
        gradients = tape.gradient(loss, self.trainable_variables)
        if self.applies:
            self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


def trained(callbacks, **options):
    keras.utils.set_random_seed(0)
    model = Counting(**options)
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(
        X, batch_size=8, epochs=2, verbose=0, callbacks=callbacks, shuffle=False
    )
    return model


@pytest.mark.parametrize("number", [int, np.int64])
def test_a_count_of_traces_is_what_it_would_be(number, tmp_path):
    plain = trained([], number=number)
    callback = gradscope.Callback(tmp_path, findings=False)
    model = trained([callback], number=number)
    assert model.traces == plain.traces == 1
    assert type(model.latest) is type(plain.latest)
    for weight, expected in zip(
        model.get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)
    # The program that records weighs by one, too.
    keras.utils.set_random_seed(0)
    fresh = Counting()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(fresh(X[:8]) ** 2)
    gradients = tape.gradient(loss, fresh.trainable_variables)
    np.testing.assert_allclose(
        gradscope.read(tmp_path)["gradient_norm"][0],
        [np.linalg.norm(gradient) for gradient in gradients],
        rtol=1e-5,
    )


def test_an_optimizer_behind_a_count_that_is_never_reached_makes_no_step(
    tmp_path,
):
    plain = trained([], applies=False)
    with pytest.warns(GradscopeWarning, match="observed no step") as caught:
        model = trained(
            [gradscope.Callback(tmp_path, findings=False)], applies=False
        )
    assert sum(w.category is GradscopeWarning for w in caught) == 1
    assert model.traces == plain.traces == 1


class Drawing(keras.layers.Layer):
    """Draws numbers of Python and of numpy while it is traced."""

    def call(self, x):
        return x + random.random() + np.random.normal()


def test_numbers_that_a_trace_draws_are_drawn_again(tmp_path):
    def trained(*callbacks):
        keras.utils.set_random_seed(0)
        dense = keras.layers.Dense(1, name="dense")
        model = keras.Sequential(
            [keras.Input((4,)), Drawing(name="drawing"), dense], name="model"
        )
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.fit(
            X,
            X[:, :1],
            batch_size=8,
            verbose=0,
            callbacks=list(callbacks),
            shuffle=False,
        )
        weights = [weight.tolist() for weight in model.get_weights()]
        # And those that are drawn after it.
        return weights, random.random(), np.random.normal()

    plain = trained()
    assert trained(gradscope.Callback(tmp_path, findings=False)) == plain
    assert len(gradscope.read(tmp_path).steps) == 5
