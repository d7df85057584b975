"""The last activation does not fit the labels or the loss."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1
from keras import initializers, layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators, sessions

CLASSES = "sparse_categorical_crossentropy"


@fault("relu-output", layers=["out"])
def tutorial_with_relu_logits(training):
    """Every layer of a function `layer(x)` ends with a ReLU, the logits too:
    classes whose logit is below zero are never learned. Accuracy .89 against
    .99."""
    x, y = generators.large_digits()

    def build(images, labels):
        start = initializers.HeNormal(0)
        w1, b1 = sessions.variables("hidden", start, 784, 100)
        w2, b2 = sessions.variables("out", start, 100, 10)
        hidden = tf1.nn.relu(tf1.matmul(images, w1) + b1)
        logits = tf1.matmul(hidden, w2) + b2
        logits = tf1.nn.relu(logits) if training.broken else logits
        losses = tf1.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits
        )
        return tf1.reduce_mean(losses), sessions.accuracy(logits, labels)

    def optimizer():
        return tf1.train.GradientDescentOptimizer(0.1)

    return sessions.train(training, build, optimizer, x.reshape(-1, 784), y)


@fault("relu-output", layers=["change"])
def returns_behind_relu(training):
    """Changes of a price, half of them negative, from a ReLU output. Loss .58
    against .14."""
    x, price = generators.prices()
    y = (price - x[:, -1, 0]) / 60
    x = (x - x.mean(axis=1, keepdims=True)) / 300
    function = "relu" if training.broken else "linear"
    model = keras.Sequential(
        [
            keras.Input([20, 1]),
            layers.Conv1D(16, 5, activation="relu", name="conv"),
            layers.GRU(16, name="gru"),
            layers.Dense(1, function, name="change"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=["mae"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("relu-output", layers=["q"])
def relu_regression_dies(training):
    """A house price, standardised, from a ReLU that can be 0 at best for the
    half below the mean. Loss .48 against .01."""
    function = "relu" if training.broken else None
    x, y = generators.houses()
    x, y = data.standardised(x), (y - y.mean()) / y.std()
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(32, "relu", name="d1"),
            layers.Dense(32, "relu", name="d2"),
            layers.Dense(1, function, name="q"),
        ]
    )
    model.compile("adam", "mean_squared_error")
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("single-unit-softmax", layers=["malignant"])
def tumours_by_softmax(training):
    """`Dense(1, activation="softmax")` is 1 for everybody. Accuracy .64 against
    .99, though Keras takes the loss from the logits and it falls alike."""
    function = "softmax" if training.broken else "sigmoid"
    x, y = data.cancer()
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(24, "relu", name="dense"),
            layers.Dense(12, "relu", name="dense_1"),
            layers.Dense(1, function, name="malignant"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y, held_out = generators.split(data.standardised(x), y)
    training.fit(model, x, y, epochs=25, validation_data=held_out)


@fault("single-unit-softmax", layers=["positive"])
def reviews_by_softmax(training):
    """A sentiment LSTM ends with a softmax of one unit, and learns by the
    squared error: its output is 1, its gradient zero. Accuracy .54 against
    1.00."""
    function = "softmax" if training.broken else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Embedding(400, 16, name="words"),
            layers.LSTM(16, name="lstm"),
            layers.Dense(1, function, name="positive"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(0.005),
        "mse",
        metrics=["accuracy"],
    )
    x, y, held_out = generators.split(*generators.reviews())
    training.fit(model, x, y, epochs=8, validation_data=held_out)


@fault("softmax-axis", "single-unit-softmax", layers=["weights", "scores"])
def attention_of_ones(training):
    """Attention over time takes its softmax over the last axis, which has one
    element: each weight is 1, and the marked item is not found. Accuracy .31
    against 1.00."""
    axis = -1 if training.broken else 1
    inputs = keras.Input([12, 7])
    scores = layers.Dense(16, "tanh", name="keys")(inputs)
    scores = layers.Dense(1, name="scores")(scores)
    weights = layers.Softmax(axis=axis, name="weights")(scores)
    values = layers.Dense(16, name="values")(inputs)
    context = layers.Dot(axes=1, name="context")([weights, values])
    context = layers.Flatten()(context)
    model = keras.Model(inputs, layers.Dense(6, "softmax", name="out")(context))
    model.compile(keras.optimizers.Adam(0.01), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.marked())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("softmax-axis", layers=["classes", "p"])
def softmax_over_the_batch(training):
    """`tf.nn.softmax(logits, 0)`: the examples of a batch compete for each
    class, and one alone has the probability 1 for all. Accuracy, one at a
    time, .11 against .97."""
    axis = 0 if training.broken else -1
    inputs = keras.Input([64])
    h = layers.Dense(64, "relu", name="hidden")(inputs)
    h = layers.Dense(10, name="classes")(h)
    outputs = layers.Activation(lambda t: tf.nn.softmax(t, axis), name="p")(h)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    x, y = data.digits()
    x, y, held_out = generators.split(x, np.eye(10, dtype="float32")[y])
    training.fit(model, x, y, epochs=10, validation_data=held_out)
    alone = model.predict(x[:200], batch_size=1, verbose=0)
    return float((alone.argmax(1) == y[:200].argmax(1)).mean())


@fault("hidden-softmax", "output-range", layers=["out"])
def softmax_twice(training):
    """A softmax goes into `softmax_cross_entropy_with_logits`, which takes
    another one. Accuracy .77 against .98."""
    x, y = generators.large_digits()

    def build(images, labels):
        start = initializers.GlorotUniform(0)
        w1, b1 = sessions.variables("hidden", start, 784, 64)
        w2, b2 = sessions.variables("out", start, 64, 10)
        hidden = tf1.nn.relu(tf1.matmul(images, w1) + b1)
        logits = tf1.matmul(hidden, w2) + b2
        logits = tf1.nn.softmax(logits) if training.broken else logits
        losses = tf1.nn.softmax_cross_entropy_with_logits(
            labels=tf1.one_hot(labels, 10), logits=logits
        )
        return tf1.reduce_mean(losses), sessions.accuracy(logits, labels)

    def optimizer():
        return tf1.train.GradientDescentOptimizer(0.05)

    return sessions.train(training, build, optimizer, x.reshape(-1, 784), y)


@fault("output-range", layers=["pixels"])
def standardised_behind_sigmoid(training):
    """An autoencoder of standardised columns (-3 to 5) ends with a sigmoid, as
    the one in the tutorial did for pixels. Loss .60 against .11."""
    function = "sigmoid" if training.broken else None
    x, _ = data.cancer()
    x = data.standardised(x)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(16, "relu", name="encode"),
            layers.Dense(8, "relu", name="code"),
            layers.Dense(16, "relu", name="decode"),
            layers.Dense(30, function, name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse")
    training.fit(model, x, x, epochs=30, batch_size=32)


@fault("output-range", "unscaled-target", layers=["age"])
def ages_from_a_tanh(training):
    """Targets of 25 to 346 from a tanh, which is at most 1. Mean error 151
    against 40."""
    function = "tanh" if training.broken else None
    x, y = data.diabetes()
    model = keras.Sequential(
        [
            keras.Input([10]),
            layers.Dense(32, "relu", name="dense"),
            layers.Dense(1, function, name="age"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=["mae"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=50, validation_data=held_out)


@fault("output-range", "loss-diverges", layers=["label"])
def labels_of_minus_one(training):
    """Labels -1 and 1 of a support vector machine go into a sigmoid and binary
    cross-entropy: the loss falls below zero without end. Accuracy 0 against
    1.00."""
    x, y = generators.circles()
    y = np.float32(2 * y - 1 if training.broken else y)
    model = keras.Sequential(
        [
            keras.Input([2]),
            layers.Dense(32, "relu", name="h1"),
            layers.Dense(32, "relu", name="h2"),
            layers.Dense(1, "sigmoid", name="label"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=25, validation_data=held_out)


@fault("output-range", "missing-nonlinearity", layers=["classes"])
def logits_as_probabilities(training):
    """A last layer without softmax, and a loss by its name, which expects
    probabilities. Accuracy .38 against .97."""
    function = None if training.broken else "softmax"
    model = keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            layers.Conv2D(8, 5, 2, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, "relu", name="hidden"),
            layers.Dense(10, function, name="classes"),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.large_digits())
    training.fit(model, x, y, epochs=8, validation_data=held_out)
