"""docs/touching.md lists all that is replaced, and all of it is given back."""

import collections
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import gradscope
from gradscope.wrapping.optimizers import kinds

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "touching.md"
X, Y = np.zeros([16, 4], "f"), np.zeros([16, 1], "f")

OPTIMIZERS = {
    "optimizer of Keras 3": keras.optimizers.Adam,
    "optimizer of tf_keras": tf_keras.optimizers.Adam,
    "legacy optimizer of tf_keras": tf_keras.optimizers.legacy.Adam,
    "optimizer of TensorFlow 1": tf.compat.v1.train.AdamOptimizer,
}
MODEL = "model, in an observed `fit`"


def documented():
    """Returns the attributes of each kind of object, from the page."""
    attributes = collections.defaultdict(set)
    for kind, attribute in re.findall(
        r"^\| (.+?) \| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.M
    ):
        attributes[kind].add(attribute)
    return attributes


def changed(before, owner):
    """Returns the names of attributes that are others than before."""
    after = vars(owner)
    names = {*before, *after}
    return {n for n in names if before.get(n) is not after.get(n)}


class OwnStep(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x) - y) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class Look(keras.callbacks.Callback):
    """Notes which attributes of the model are others while `fit` runs."""

    def __init__(self, before):
        super().__init__()
        self.before = before

    def on_train_batch_begin(self, batch, logs=None):
        self.changed = changed(self.before, self.model)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_of_an_optimizer_what_the_page_says_is_replaced(kind, tmp_path):
    optimizer = OPTIMIZERS[kind]()
    before = dict(vars(optimizer))
    gradscope.wrap(optimizer, tmp_path)
    assert changed(before, optimizer) == documented()[kind]
    gradscope.unwrap(optimizer)
    assert not changed(before, optimizer)


@pytest.mark.parametrize("replicas", [1, 2])
def test_of_a_loss_scale_what_the_page_says_is_replaced(
    replicas, tmp_path, monkeypatch
):
    monkeypatch.setattr(kinds.keras, "_replica_count", lambda _: replicas)
    outer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    before = dict(vars(outer))
    gradscope.wrap(outer, tmp_path)
    kind = "`LossScaleOptimizer` of Keras 3"
    expected = documented()[kind]
    if replicas > 1:
        expected -= {"_tf_apply", "check_finite"}
        expected |= documented()[f"{kind}, on several replicas"]
    assert changed(before, outer) == expected
    gradscope.unwrap(outer)
    assert not changed(before, outer)


def test_of_a_model_what_the_page_says_is_replaced(tmp_path):
    model, optimizer = OwnStep(), keras.optimizers.Adam()
    model(X)
    before = dict(vars(model))
    gradscope.wrap(optimizer, tmp_path, model=model)
    assert changed(before, model) == documented()["model, with `model=`"]
    gradscope.unwrap(optimizer, model=model)
    assert not changed(before, model)


@pytest.mark.parametrize("own_step", [False, True])
def test_of_a_model_in_fit_what_the_page_says_is_replaced(own_step, tmp_path):
    if own_step:
        model = OwnStep()
        model.compile("adam", jit_compile=False)
    else:
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("adam", "mse", jit_compile=False)
    model.fit(X, Y, verbose=0)  # Keras sets attributes of its own, too
    before = dict(vars(model))
    look = Look(before)
    optimizer = dict(vars(model.optimizer))
    callbacks = [gradscope.Callback(tmp_path), look]
    model.fit(X, Y, verbose=0, callbacks=callbacks)
    expected = documented()[MODEL]
    if not own_step:
        expected -= {"train_step"}
    keras_sets = {"_eval_epoch_iterator", "history"}
    assert look.changed - keras_sets == expected
    assert not changed(before, model) - keras_sets - {"train_function"}
    assert not changed(optimizer, model.optimizer)
    kind = "`train_function` of a model, after an observed `fit`"
    assert set(vars(model.train_function)) == documented()[kind]


def test_a_graph_of_tensorflow_1_keeps_its_observer(tmp_path):
    with tf.Graph().as_default() as graph:
        weight = tf.compat.v1.get_variable("weight", initializer=[1.0])
        (attribute,) = documented()["graph of TensorFlow 1"]
        assert not hasattr(graph, attribute)
        make = OPTIMIZERS["optimizer of TensorFlow 1"]
        optimizer = gradscope.wrap(make(), tmp_path)
        optimizer.minimize(tf.reduce_sum(weight**2))
    assert hasattr(graph, attribute)
