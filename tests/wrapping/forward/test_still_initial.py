"""Weights that are as their initializer made them, and unknown variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import gradscope
from gradscope.wrapping.forward import still_initial, untracked_variables


def is_initial(layer, shape=(16,), change=None):
    layer.build((None, *shape))
    layer.trainable = False
    if change is not None:
        layer.set_weights([change(w) for w in layer.get_weights()])
    return still_initial.is_initial(layer, layer.get_config())


def trained(weights):
    return weights * 1.3 + 0.05


MADE = {
    "dense": lambda: (layers.Dense(16), (16,)),
    "he": lambda: (layers.Dense(16, kernel_initializer="he_normal"), (16,)),
    "convolution": lambda: (layers.Conv2D(8, 3, use_bias=False), (8, 8, 4)),
    "embedding": lambda: (layers.Embedding(40, 8), ()),
}


@pytest.mark.parametrize("kind", MADE)
def test_new_weights_are_told_from_trained_ones(kind):
    keras.utils.set_random_seed(0)
    assert is_initial(*MADE[kind]()) is True
    assert is_initial(*MADE[kind](), trained) is False


def test_a_bias_tells_that_a_layer_was_trained():
    def only_bias(weights):
        return weights + 0.1 if weights.ndim == 1 else weights

    assert is_initial(layers.Dense(16), change=only_bias) is False


def test_statistics_of_a_batch_norm():
    norm = layers.BatchNormalization()
    norm.build((None, 4))
    assert still_initial.is_initial(norm, {}) is True
    norm.moving_mean.assign(np.full(4, 0.1))
    assert still_initial.is_initial(norm, {}) is False


def test_layers_that_tell_nothing():
    assert still_initial.is_initial(layers.Dense(2), {}) is None
    assert is_initial(layers.Dense(2), (4,)) is None  # too few weights
    constant = layers.Dense(16, kernel_initializer="ones")
    assert is_initial(constant) is None


class Scales(layers.Layer):
    """Holds variables in all ways."""

    def __init__(self, **options):
        super().__init__(**options)
        self.kept, self.scale = [], tf.Variable(1.0)

    def build(self, shape):
        self.known = self.add_weight(shape=shape[-1:], name="known")
        self.kept += [tf.Variable(tf.eye(shape[-1]), name="hidden")]
        self.parts = {"a": tf.Variable([1.0], trainable=False)}

    def call(self, x):
        return tf.matmul(x, tf.convert_to_tensor(self.kept[0])) * self.known


def test_variables_that_keras_does_not_track():
    layer = Scales()
    layer.build((None, 4))
    ((name, shape),) = untracked_variables.find(layer, [])
    assert "hidden" in name and shape == [4, 4]
    # One that the user's optimizer trains all the same.
    assert untracked_variables.find(layer, layer.kept) == []


def test_both_are_facts_of_the_model(tmp_path):
    base = keras.Sequential(
        [keras.Input((8,)), layers.Dense(16, name="base_1")], name="base"
    )
    base.trainable = False
    model = keras.Sequential(
        [
            keras.Input((8,)),
            base,
            Scales(name="scales"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile("sgd", "mse")
    x = np.ones((8, 8), "float32")
    callback = gradscope.Callback(tmp_path, findings=False)
    model.fit(x, x[:, :1], verbose=0, callbacks=[callback])
    facts = gradscope.read(tmp_path).schema.model["layers"]
    by_name = {fact["name"]: fact for fact in facts}
    assert by_name["base/base_1"]["is_initial"] is True
    assert by_name["scales"]["untracked"][0][1] == [16, 16]
    assert "is_initial" not in by_name["out"]
