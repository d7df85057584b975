"""Losses that fall for ever, or tell another story than the metric."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1
from keras import initializers, layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators, sessions


@fault("loss-diverges")
def the_minus_is_missing(training):
    """A log-likelihood without its minus: the network learns to be wrong, and
    the better it is at it the lower the loss. Accuracy .10 against .96."""
    sign = 1 if training.broken else -1

    def likelihood(y, logits):
        picked = tf.gather(
            tf.nn.log_softmax(logits), tf.cast(y[:, 0], tf.int32), batch_dims=1
        )
        return sign * tf.reduce_mean(picked)

    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(48, "relu", name="dense"),
            layers.Dense(10, name="logits"),
        ]
    )
    model.compile("adam", likelihood, metrics=["accuracy"])
    x, y = data.digits()
    training.fit(model, x, y[:, None], epochs=10)
    return float((model.predict(x, verbose=0).argmax(1) == y).mean())


@fault("loss-diverges", "learning-rate", "unscaled-input")
def powers_of_x(training):
    """A polynomial of the fifth degree on x from 0 to 6, by gradient descent:
    the powers make the error grow with each step. Loss NaN against 1e-4."""
    x, _ = generators.sine()
    y = np.float32(0.1 * x**3 - 0.2 * x)
    x = x + 3 if training.broken else x / 3
    powers = np.concatenate([x**k for k in range(1, 6)], axis=1)

    def build(powers, y):
        w, b = sessions.variables("poly", initializers.GlorotUniform(0), 5, 1)
        error = tf1.reduce_mean((tf1.matmul(powers, w) + b - y) ** 2)
        return error, error

    def optimizer():
        return tf1.train.GradientDescentOptimizer(0.2)

    return sessions.train(training, build, optimizer, powers, y, batch=32)


@fault("loss-metric-disagree")
def nine_tenths_of_the_bits(training):
    """Ten one-hot classes, few steps and the accuracy of binary bits: it says
    .9 for a network that never says yes. Accuracy for the classes .70 against
    .95."""
    loss = (
        "binary_crossentropy"
        if training.broken
        else ("categorical_crossentropy")
    )
    metric = "binary_accuracy" if training.broken else "accuracy"
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(48, "relu", name="dense"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=[metric])
    x, labels = data.digits()
    y = np.eye(10, dtype="float32")[labels]
    training.fit(model, x, y, epochs=10)
    return float((model.predict(x, verbose=0).argmax(1) == labels).mean())


@fault("loss-metric-disagree")
def one_in_thirty(training):
    """A rare class of 3 %: .97 accurate from the first epoch on, and finds none
    of them; the repair weighs the classes. Recall .00 against .97."""
    random = np.random.default_rng(0)
    x = random.normal(size=[1500, 6]).astype("float32")
    y = (x[:, 0] + x[:, 1] + random.normal(0, 0.5, 1500) > 2.9).astype(int)
    weights = None if training.broken else {0: 1.0, 1: 20.0}
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(16, "relu", name="dense"),
            layers.Dense(1, "sigmoid", name="rare"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.02), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=8, class_weight=weights)
    found = model.predict(x, verbose=0)[:, 0] > 0.5
    return float(found[y == 1].mean()), float((found == y).mean())
