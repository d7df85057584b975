"""Models that draw, remember or add losses, and all that training moves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import training
from thinning import thinned
from training import X, Y

layers = keras.layers

outside = keras.random.SeedGenerator(11)


class Penalty(layers.Layer):
    """Adds to the loss, and remembers what it saw."""

    def call(self, inputs):
        self.seen = inputs
        self.add_loss(0.01 * keras.ops.sum(inputs**2))
        return inputs


class Noise(layers.Layer):
    """Draws from all that can be drawn from."""

    def build(self, shape):
        self.generator = tf.random.Generator.from_seed(3)
        self.count = tf.Variable(0.0, trainable=False)
        self.own = keras.random.SeedGenerator(5)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        self.count.assign_add(1.0)
        shape = keras.ops.shape(inputs)
        return (
            inputs
            + keras.random.normal(shape, stddev=0.1)
            + keras.random.normal(shape, stddev=0.1, seed=self.own)
            + self.generator.normal(shape) * 0.1
            + tf.random.get_global_generator().normal(shape) * 0.1
            + tf.random.normal(shape, stddev=0.1) * self.count
        )


class Outside(layers.Layer):
    """Draws from what the model does not know, and from seeded kernels."""

    def call(self, inputs, training=False):
        if not training:
            return inputs
        shape = keras.ops.shape(inputs)
        noise = keras.random.normal(shape, seed=outside)
        return inputs + 0.1 * (noise + tf.random.normal(shape, seed=4))


class OwnFunction(keras.Model):
    """Its `call` is a function with traces of its own."""

    def __init__(self):
        super().__init__()
        self.inner = training.dense_model()

    @tf.function
    def call(self, inputs, training=False):
        return self.inner(inputs, training=training)


class OwnStep(keras.Sequential):
    """A step of its own, and a method that tells its loss."""

    def compute_loss(self, x, y, y_pred, sample_weight):
        loss = super().compute_loss(x, y, y_pred, sample_weight)
        return 2 * loss + 1

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, None)
        weights = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return self.compute_metrics(x, y, outputs) | {"loss": loss}


def with_layers(*chosen, make=keras.Sequential):
    return make([keras.Input((12,)), *chosen, layers.Dense(3)])


MODELS = {
    "dropout and batch norm": training.dense_model,
    "add_loss": lambda: with_layers(
        layers.Dense(8, "relu", kernel_regularizer="l2"),
        Penalty(),
        layers.Dropout(0.5),
    ),
    "noise": lambda: with_layers(Noise()),
    "noise from outside": lambda: with_layers(Outside()),
    "a function of its own": OwnFunction,
    "a step of its own": lambda: with_layers(
        layers.Dropout(0.3), layers.BatchNormalization(), make=OwnStep
    ),
    "spectral norm": lambda: with_layers(
        layers.SpectralNormalization(layers.Dense(8))
    ),
}


def compiled(make, **options):
    keras.utils.set_random_seed(7)
    outside.state.assign([11, 0])
    tf.random.set_global_generator(tf.random.Generator.from_seed(1))
    model = make()
    model.build((None, 12))
    options = {"metrics": ["accuracy"]} | options
    model.compile(keras.optimizers.Adam(0.01), training.loss(), **options)
    return model


def everything(model):
    """All numbers that a training moves."""
    moving = [
        *model.variables,
        *model.optimizer.variables,
        *(v for m in model.metrics for v in m.variables),
        outside.state,
    ]
    numbers = [v.numpy() for v in moving]
    for layer in model.layers:
        if isinstance(layer, Noise):
            numbers += [layer.count.numpy(), layer.generator.state.numpy()]
    return [*numbers, tf.random.get_global_generator().state.numpy()]


def epoch(model, **options):
    options = {"batch_size": 44, "shuffle": False, "verbose": 0} | options
    return model.fit(X, Y, **options).history


def assert_same(expected, actual):
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)


# What the model does not know can be put back in graphs only.
CASES = [
    (name, eager)
    for name in MODELS
    for eager in (False, True)
    if name != "noise from outside" or not eager
]

BOTH = ("dropout and batch norm", "noise")

EACH = pytest.mark.parametrize(
    "name, eager",
    thinned(CASES, fast=[(n, e) for n, e in CASES if not e or n in BOTH]),
)
