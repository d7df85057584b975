"""Batch norms that are called more than once in a step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from observed import train
from thinning import thinned
from training import X, Y, loss

import gradscope
from gradscope.format.schema import State

layers = keras.layers


def told(record):
    return [(s.name, s.layer, s.calls) for s in record.schema.states]


class Shared(keras.Model):
    """One batch norm for two branches, and one for itself."""

    def __init__(self, **options):
        super().__init__(name="shared")
        self.left = layers.Dense(4, name="left")
        self.right = layers.Dense(4, name="right")
        self.norm = layers.BatchNormalization(name="norm", **options)
        self.own = layers.BatchNormalization(name="own")
        self.last = layers.Dense(3, name="last")

    def call(self, x, training=None):
        left = self.norm(self.left(x), training=training)
        right = self.norm(self.right(x) + 1.0, training=training)
        return self.last(self.own(left + right, training=training))


NO_WEIGHTS = {"scale": False, "center": False}


@pytest.mark.parametrize(
    "mode, options",
    thinned(
        [
            (mode, options)
            for mode in ("fit_graph", "fit_jit", "fit_eager", "loop_function")
            for options in ({}, NO_WEIGHTS)
        ],
        fast=[
            ("fit_graph", NO_WEIGHTS),
            ("fit_eager", NO_WEIGHTS),
            ("loop_function", {}),
        ],
    ),
)
def test_each_call_of_a_shared_batch_norm_has_its_layer(
    mode, options, tmp_path
):
    model = Shared(**options)
    model(X[:1])  # has its variables before its optimizer is built
    record = train(mode, model, tmp_path)
    assert told(record) == [
        ("norm", "norm", 2),
        ("norm_1", "norm", 2),
        ("own", "own", 1),
    ]
    distances = record["mean_distance"][1:]
    assert np.isfinite(distances).all()
    # Two distances of the same layer: their batches are others.
    assert (distances[:, 0] != distances[:, 1]).all()


def test_real_and_generated_batches_of_a_gan(tmp_path):
    keras.utils.set_random_seed(0)
    discriminator = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(5, name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.1, name="drop"),
            layers.Dense(1, name="logit"),
        ],
        name="discriminator",
    )
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
    optimizer.build(discriminator.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            real = discriminator(X[:16], training=True)
            fake = discriminator(tf.random.normal([16, 12]) + 3, training=True)
            value = tf.reduce_mean(real - fake)
        variables = discriminator.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)

    step()
    record = gradscope.read(tmp_path)
    assert told(record) == [
        ("norm", "norm", 2),
        ("drop", "drop", 1),
        ("norm_1", "norm", 2),
        ("drop_1", "drop", 1),
    ]


def test_two_layers_that_are_given_one_tensor_are_two(tmp_path):
    inputs = keras.Input((12,))
    branches = [
        layers.BatchNormalization(name=n, momentum=m)(inputs)
        for n, m in (("one", 0.9), ("two", 0.8))
    ]
    outputs = layers.Dense(3)(layers.Add()(branches))
    record = train("fit_graph", keras.Model(inputs, outputs), tmp_path)
    assert told(record) == [("one", "one", 1), ("two", "two", 1)]
    assert (record["training_mode"] == 1).all()


def test_a_layer_that_is_frozen_has_its_name(tmp_path):
    model = Shared()
    model.norm.trainable = False
    model.compile("sgd", loss(), jit_compile=False)
    callback = gradscope.Callback(tmp_path, every=1)
    model.fit(X, Y, verbose=0, callbacks=[callback])
    record = gradscope.read(tmp_path)
    # That it was called twice is not known of what does not move.
    assert sorted(told(record)) == [("norm", "norm", 1), ("own", "own", 1)]


def test_of_two_traces_the_one_that_knows_more_is_believed():
    twice = State("norm", "batch_norm", 8, calls=2, layer="norm")
    once = State("norm", "batch_norm", 8)
    assert once == twice and hash(once) == hash(twice)
    for joined in (once.join(twice), twice.join(once)):
        assert (joined.calls, joined.layer) == (2, "norm")
