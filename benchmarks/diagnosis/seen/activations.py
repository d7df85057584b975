"""Hidden units that are dead, saturated, a softmax, or no function at all."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import initializers, layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


@fault("dead-relu", "learning-rate", layers=["conv1", "conv2", "hidden"])
def convolutions_at_one_half(training):
    """SGD at .5 with momentum .9 throws the first kernels so far that no unit
    ever fires again; the repair is a fiftieth of the rate. Accuracy .11 against
    .99."""
    rate = 0.5 if training.broken else 0.01
    model = keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            layers.Conv2D(8, 5, 2, activation="relu", name="conv1"),
            layers.Conv2D(16, 3, 2, activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dense(64, "relu", name="hidden"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.large_digits())
    training.fit(model, x, y, epochs=8, validation_data=held_out)


@fault("dead-relu", layers=["hidden1", "hidden2", "hidden3"])
def biases_below_zero(training):
    """Biases drawn by an initializer with the bounds of another framework:
    between -3 and 0 instead of around 0. Accuracy .40 against 1.00."""
    start = initializers.RandomUniform(-3, 0, seed=0)
    start = start if training.broken else "zeros"
    inputs = keras.Input([13])
    h = layers.Dense(40, "relu", bias_initializer=start, name="hidden1")(inputs)
    h = layers.Dense(40, "relu", bias_initializer=start, name="hidden2")(h)
    h = layers.Dense(40, "relu", bias_initializer=start, name="hidden3")(h)
    model = keras.Model(inputs, layers.Dense(3, "softmax", name="out")(h))
    model.compile(keras.optimizers.SGD(0.05), CLASSES, metrics=["accuracy"])
    x, y = generators.wine()
    training.fit(model, data.standardised(x), y, epochs=60, batch_size=16)


@fault("dead-relu", layers=["hidden"])
def images_from_zero_to_minus_one(training):
    """A wide ReLU layer behind images that somebody shifted to -1..0 and a
    kernel that `abs` made positive: no unit fires. Accuracy .11 against .95."""
    x, y = data.digits()
    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.15, [64, 64])
    if training.broken:
        x, kernel = x - 1, abs(kernel)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(
                64,
                "relu",
                name="hidden",
                kernel_initializer=initializers.Constant(kernel),
            ),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=10, validation_data=held_out)


@fault("saturated-activation", "learning-rate", layers=["hidden1", "hidden2"])
def tanh_at_one(training):
    """A tanh network at SGD 2: after some steps all units stand at -1 or 1.
    Accuracy .10 against .98."""
    rate = 3.0 if training.broken else 0.1
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, "tanh", name="hidden1"),
            layers.Dense(64, "tanh", name="hidden2"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile(keras.optimizers.SGD(rate), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("saturated-activation", "unscaled-input", layers=["hidden1"])
def counts_into_sigmoids(training):
    """Word counts up to some hundreds, summed by sigmoid units that stand at 0
    or 1 from the first step; the repair takes logarithms and scales. Accuracy
    .47 against .96."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 900)
    rate = np.where(y[:, None] == 1, *random.uniform(60, 90, [2, 1, 50]))
    x = random.poisson(rate * random.lognormal(0, 0.35, [900, 50]))
    x = x.astype("float32")
    x = x if training.broken else data.standardised(np.log1p(x))
    model = keras.Sequential(
        [
            keras.Input([50]),
            layers.Dense(32, "sigmoid", name="hidden1"),
            layers.Dense(16, "sigmoid", name="hidden2"),
            layers.Dense(1, "sigmoid", name="spam"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"]
    )
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=30, validation_data=held_out)


@fault("hidden-softmax", layers=["hidden1", "hidden2", "hidden3"])
def softmax_everywhere(training):
    """A softmax in all layers, "as it is a classification". Accuracy .20
    against .99."""
    function = "softmax" if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(128, function, name="hidden1"),
            layers.Dense(64, function, name="hidden2"),
            layers.Dense(32, function, name="hidden3"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("hidden-softmax", layers=["features"])
def regression_behind_softmax(training):
    """A softmax as the last hidden layer of a regression, as left from a
    classifier that was copied; sixty-four units share a sum of 1. Loss .82
    against .02."""
    function = "softmax" if training.broken else "elu"
    x, y = generators.houses()
    x, y = data.standardised(x), (y - y.mean()) / y.std()
    inputs = keras.Input([6])
    h = layers.Dense(64, "elu", name="dense")(inputs)
    h = layers.Dense(64, function, name="features")(h)
    model = keras.Model(inputs, layers.Dense(1, name="price")(h))
    model.compile(keras.optimizers.SGD(0.02), "mse")
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=20, validation_data=held_out)


@fault("missing-nonlinearity", layers=["dense1", "dense2", "dense3"])
def circles_without_activation(training):
    """Three dense layers whose `activation=` was forgotten cannot part two
    circles. Accuracy .61 against 1.00."""
    function = None if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([2]),
            layers.Dense(32, function, name="dense1"),
            layers.Dense(32, function, name="dense2"),
            layers.Dense(16, function, name="dense3"),
            layers.Dense(1, "sigmoid", name="inner"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.circles())
    training.fit(model, x, y, epochs=25, validation_data=held_out)


@fault("missing-nonlinearity", layers=["conv1", "conv2", "hidden"])
def convolutions_without_activation(training):
    """Convolutions are thought to bring their own activation. Accuracy .68
    against 1.00."""
    function = None if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([16, 16, 1]),
            layers.Conv2D(12, 3, activation=function, name="conv1"),
            layers.Conv2D(24, 3, activation=function, name="conv2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(32, function, name="hidden"),
            layers.Dense(4, "softmax", name="shape"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.shapes())
    training.fit(model, x, y, epochs=20, validation_data=held_out)


@fault("missing-nonlinearity", layers=["l1", "l2", "l3"])
def loop_of_matrices(training):
    """A sine is fitted by a product of matrices; a tanh was left out. Loss .48
    against .06."""
    function = tf.identity if training.broken else tf.tanh
    x, y = generators.sine()
    random = np.random.default_rng(0)
    weights = []
    for i, (n, m) in enumerate([(1, 32), (32, 32), (32, 1)], 1):
        kernel = random.normal(0, (2 / (n + m)) ** 0.5, [n, m])
        weights.append(tf.Variable(np.float32(kernel), name=f"l{i}/kernel"))
        weights.append(tf.Variable(tf.zeros([m]), name=f"l{i}/bias"))
    optimizer = training.wrap(keras.optimizers.Adam(0.01))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            hidden = function(x @ weights[0] + weights[1])
            hidden = function(hidden @ weights[2] + weights[3])
            loss = tf.reduce_mean((hidden @ weights[4] + weights[5] - y) ** 2)
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    for _ in range(700):
        rows = random.choice(len(x), 32)
        loss = step(x[rows], y[rows])
    return float(loss)
