"""Losses that are not what they should be."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import cancer, diabetes, digits, standardised
from benchmarks.diagnosis.tune.generators import batches, waves

Dense = keras.layers.Dense
SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
CROSSENTROPY = "sparse_categorical_crossentropy"


def mlp(inputs, outputs, last=None):
    """Return a net with two hidden layers."""
    return keras.Sequential(
        [
            keras.Input([inputs]),
            Dense(64, "relu", name="hidden_1"),
            Dense(32, "relu", name="hidden_2"),
            Dense(outputs, last, name="output"),
        ]
    )


def trained(training, model, optimizer, loss, data, size=32, epochs=8):
    """Train in a loop of its own, and return the losses."""
    optimizer = training.wrap(optimizer, model=model)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)
        return value

    return [float(step(*batch)) for batch in batches(*data, size, epochs)]


@fault("output-range", layers=["output"])
def logits_without_from_logits(training):
    """The last layer is linear, and the loss expects probabilities. Accuracy
    .10 against .98."""
    last = None if training.broken else "softmax"
    model = mlp(64, 10, last)
    model.compile(SGD(0.1), CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault("output-range", layers=["output"])
def linear_probability(training):
    """Binary cross-entropy of a linear output."""
    x, y = cancer()
    model = mlp(30, 1, None if training.broken else "sigmoid")
    sgd = SGD(0.05, momentum=0.9)
    model.compile(sgd, "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, standardised(x), y, epochs=12, batch_size=16)


@fault("output-range", "hidden-softmax", layers=["output"])
def softmax_twice(training):
    """`tf.nn` applies softmax, and so did the last layer. Accuracy .66 against
    .96."""
    x, y = digits()
    model = mlp(64, 10, "softmax" if training.broken else None)

    def loss(y, p):
        crossentropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        return tf.reduce_mean(crossentropy(y, p))

    losses = trained(training, model, SGD(0.1), loss, (x, y), epochs=10)
    right = np.argmax(model.predict(x, verbose=0), axis=1) == y
    return {"loss": losses[-1], "accuracy": right.mean()}


@fault("output-range", harmless=True, layers=["output"])
def softmax_and_from_logits(training):
    """The same with Keras' loss, which finds the logits behind the softmax.
    Accuracy .97 against .97."""
    model = mlp(64, 10, "softmax" if training.broken else None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@fault("loss-diverges", "output-range")
def wrong_sign(training):
    """Likelihood without its minus: the loss falls for ever. Accuracy .10
    against .97."""
    x, y = digits()

    def loss(y, p):
        one_hot = tf.one_hot(y, 10)
        likely = tf.reduce_sum(one_hot * tf.nn.log_softmax(p), axis=1)
        return tf.reduce_mean(likely if training.broken else -likely)

    model = mlp(64, 10)
    losses = trained(training, model, Adam(1e-3), loss, (x, y))
    right = np.argmax(model.predict(x, verbose=0), axis=1) == y
    return {"loss": losses[-1], "accuracy": right.mean()}


@fault("loss-diverges", "output-range")
def difference_without_square(training):
    """The square of the difference was lost, and the loss has no floor."""
    x, y = diabetes()
    y = ((y - y.mean()) / y.std())[:, None].astype("float32")

    def loss(y, p):
        difference = y - p
        return tf.reduce_mean(difference if training.broken else difference**2)

    model = mlp(10, 1)
    losses = trained(training, model, Adam(2e-3), loss, (x, y), 16, 15)
    error = np.mean((model.predict(x, verbose=0) - y) ** 2)
    return {"loss": losses[-1], "squared error": error}


@fault("loss-metric-disagree", "output-range", layers=["output"])
def class_as_a_number(training):
    """Ten classes as one number under squared error: the loss falls, and nearly
    no answer is right. Accuracy .11 against .97."""
    x, y = digits()
    if training.broken:
        model, loss = mlp(64, 1), "mse"
    else:
        model, loss = mlp(64, 10, "softmax"), CROSSENTROPY
    model.compile("adam", loss, metrics=["accuracy"])
    return training.fit(model, x, y, epochs=8, batch_size=32)


class Broadcast(keras.Model):
    """Its `train_step` subtracts `[N, 1]` from `[N]`, if `wrong`."""

    def __init__(self, wrong):
        super().__init__()
        self.wrong = wrong
        self.hidden = Dense(32, "relu", name="hidden")
        self.out = Dense(1, name="output")

    def call(self, x):
        return self.out(self.hidden(x))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            p = self(x, training=True)
            y = tf.reshape(y, [-1] if self.wrong else [-1, 1])
            loss = tf.reduce_mean((y - p) ** 2)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        error = tf.abs(tf.reshape(y, [-1]) - tf.reshape(p, [-1]))
        return {"loss": loss, "mae": tf.reduce_mean(error)}


@fault("loss-metric-disagree", layers=["output"])
def broadcast_difference(training):
    """Targets `[N]` minus predictions `[N, 1]` is a table of N times N. Mae 1.1
    against .75."""
    x, y = diabetes()
    y = (y - y.mean()) / y.std()
    model = Broadcast(training.broken)
    model.compile(optimizer=Adam(5e-3))
    return training.fit(model, x, y, epochs=25, batch_size=16)


@fault("loss-metric-disagree")
def nine_of_ten_are_zero(training):
    """Ten one-hot outputs, each judged alone: 90 % right by saying no. Accuracy
    .47 against .95."""
    x, y = digits()
    if training.broken:
        last, loss = "sigmoid", "binary_crossentropy"
    else:
        last, loss = "softmax", "categorical_crossentropy"
    model = mlp(64, 10, last)
    model.compile(SGD(0.05), loss, metrics=["accuracy"])
    training.fit(model, x, np.eye(10)[y], epochs=10, batch_size=32)
    found = model.predict(x, verbose=0).argmax(axis=1)
    return {"accuracy": np.mean(found == y)}


@fault("loss-metric-disagree")
def exact_accuracy(training):
    """`metrics.Accuracy()` asks whether a probability *is* the label. Accuracy
    .00 against 1.00."""
    x, y = waves()
    metric = keras.metrics.Accuracy() if training.broken else "accuracy"
    model = keras.Sequential(
        [
            keras.Input([32, 1]),
            keras.layers.Conv1D(16, 5, activation="relu", name="conv_1"),
            keras.layers.Conv1D(16, 5, activation="relu", name="conv_2"),
            keras.layers.GlobalMaxPooling1D(),
            Dense(1, "sigmoid", name="output"),
        ]
    )
    model.compile(Adam(5e-3), "binary_crossentropy", metrics=[metric])
    y = (y == 2).astype("float32")
    return training.fit(model, x, y, epochs=10, batch_size=32)


@fault("zero-gradient", layers=["hidden_1", "hidden_2", "output"])
def hinge_with_wrong_sign(training):
    """The hinge punishes what is right by more than the margin, which a tanh
    never is. Accuracy .55 against .99."""
    x, y = cancer()
    x = standardised(x)

    def loss(y, p):
        right = (2 * tf.cast(y, "float32")[:, None] - 1) * tf.tanh(p)
        return tf.reduce_mean(
            tf.nn.relu(right - 1 if training.broken else 1 - right)
        )

    model = mlp(30, 1)
    losses = trained(training, model, Adam(1e-3), loss, (x, y), 16, 10)
    right = (model.predict(x, verbose=0)[:, 0] > 0) == y
    return {"loss": losses[-1], "accuracy": right.mean()}
