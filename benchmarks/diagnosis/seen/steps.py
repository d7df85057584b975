"""Steps that are too large or too small."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


def _perceptron(optimizer, **options):
    """Return 64-64-32-10 for digits."""
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, "relu", name="hidden1"),
            layers.Dense(32, "relu", name="hidden2"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile(optimizer, CLASSES, metrics=["accuracy"], **options)
    return model


def _recurrent(optimizer):
    """Return an LSTM for the reviews."""
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Embedding(400, 16, name="words"),
            layers.LSTM(16, name="lstm"),
            layers.Dense(1, "sigmoid", name="positive"),
        ]
    )
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


@fault("learning-rate", "update-too-small")
def a_millionth(training):
    """ "A smaller learning rate is safer": Adam at a millionth. Accuracy .12
    against .96."""
    rate = 1e-6 if training.broken else 1e-3
    x, y, held_out = generators.split(*data.digits())
    model = _perceptron(keras.optimizers.Adam(rate))
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("learning-rate", "update-too-large")
def lstm_at_one(training):
    """RMSprop at 1 for an LSTM; the loss jumps about and learns nothing.
    Accuracy .58 against 1.00."""
    rate = 1.0 if training.broken else 0.005
    x, y, held_out = generators.split(*generators.reviews())
    model = _recurrent(keras.optimizers.RMSprop(rate))
    training.fit(model, x, y, epochs=8, validation_data=held_out)


@fault("learning-rate", "update-too-small")
def decays_by_steps(training):
    """A schedule that was meant in epochs counts steps: after a hundred of them
    the rate is next to nothing. Accuracy .19 against .94."""
    steps = 1 if training.broken else 36
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, steps, 0.9)
    x, y, held_out = generators.split(*data.digits())
    model = _perceptron(keras.optimizers.SGD(schedule))
    training.fit(
        model, x, y, batch_size=40, epochs=14, validation_data=held_out
    )


@fault("learning-rate", "update-too-large", "loss-diverges")
def convolutions_at_three_tenths(training):
    """Adam at .3: the accuracy is that of guessing. Accuracy .27 against
    .97."""
    rate = 0.3 if training.broken else 0.003
    model = keras.Sequential(
        [
            keras.Input([16, 16, 1]),
            layers.Conv2D(12, 3, 2, activation="elu", name="conv1"),
            layers.Conv2D(24, 3, 2, activation="elu", name="conv2"),
            layers.Flatten(),
            layers.Dense(32, "elu", name="hidden"),
            layers.Dense(4, "softmax", name="shape"),
        ]
    )
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.shapes())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("learning-rate", "update-too-large", "loss-diverges")
def linear_regression_climbs(training):
    """Gradient descent of a linear regression whose rate is above two over the
    curvature: each step doubles the error. Loss 2e35 against .52."""
    rate = 0.4 if training.broken else 0.05
    x, y = data.diabetes()
    y = (y - y.mean()) / y.std()
    model = keras.Sequential([keras.Input([10]), layers.Dense(1, name="line")])
    model.compile(keras.optimizers.SGD(rate), "mse")
    training.fit(model, x, y, epochs=8, batch_size=64)


@fault("update-too-large", "learning-rate")
def fine_tuning_at_once(training):
    """A trained network goes on with another set of images, at Adam .1: what it
    had learned is gone after the first steps. Accuracy .88 against .99."""
    x, y = data.digits()
    model = _perceptron(keras.optimizers.Adam(0.003))
    first, later = y < 5, y >= 5
    model.fit(x[first], y[first], epochs=5, verbose=0)
    rate = 0.2 if training.broken else 0.003
    model.compile(keras.optimizers.Adam(rate), CLASSES, metrics=["accuracy"])
    training.fit(model, x[later], y[later], epochs=12)


@fault("update-too-large", "learning-rate", "loss-diverges")
def sum_instead_of_mean(training):
    """A loop takes `reduce_sum` over a batch of 256 and keeps the learning rate
    that was right for the mean. Loss 12 against .12, both as a mean."""
    x, y = data.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, "relu", name="dense"),
            layers.Dense(10, name="logits"),
        ]
    )
    reduce = tf.reduce_sum if training.broken else tf.reduce_mean
    variables = model.trainable_variables
    optimizer = training.wrap(keras.optimizers.SGD(0.2), model=model)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                y, model(x, training=True)
            )
            loss = reduce(losses)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return tf.reduce_mean(losses)

    random = np.random.default_rng(0)
    for _ in range(400):
        rows = random.choice(len(x), 256)
        loss = step(x[rows], y[rows])
    return float(loss)


@fault("update-too-small", "learning-rate")
def adadelta_as_it_is(training):
    """Adadelta with Keras's rate of .001, where the paper has 1. Accuracy .12
    against .98."""
    rate = 0.001 if training.broken else 1.0
    x, y, held_out = generators.split(*data.digits())
    model = _perceptron(keras.optimizers.Adadelta(rate))
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("update-too-small")
def clipped_to_nothing(training):
    """`clipnorm=1e-4` against exploding gradients that nobody had seen.
    Accuracy .72 against 1.00."""
    norm = 1e-4 if training.broken else 1.0
    model = keras.Sequential(
        [
            keras.Input([13]),
            layers.Dense(24, "gelu", name="dense1"),
            layers.Dense(24, "gelu", name="dense2"),
            layers.Dense(3, "softmax", name="wine"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=norm)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    x, y = generators.wine()
    training.fit(model, data.standardised(x), y, epochs=40, batch_size=16)
