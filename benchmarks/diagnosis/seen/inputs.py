"""Inputs, targets and labels as they come, and losses that do not fit."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


@fault("unscaled-input")
def pixels_to_255(training):
    """Pixels from 0 to 255 into a perceptron with SGD: nobody divided. Accuracy
    .11 against .98."""
    x, y = generators.large_digits()
    x = x * 255 if training.broken else x
    model = keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            layers.Flatten(),
            layers.Dense(128, "relu", name="dense"),
            layers.Dense(64, "relu", name="dense_1"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=8, validation_data=held_out)


@fault("unscaled-input")
def wine_as_it_is(training):
    """Columns from .1 to 1680 into a small tanh network. Accuracy .37 against
    1.00."""
    x, y = generators.wine()
    x = x if training.broken else data.standardised(x)
    model = keras.Sequential(
        [
            keras.Input([13]),
            layers.Dense(16, "tanh", name="dense"),
            layers.Dense(3, "softmax", name="wine"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=50, batch_size=8, validation_data=held_out)


@fault("unscaled-input", "loss-diverges")
def year_of_the_house(training):
    """Area, year and garden as they are, only the price was scaled; SGD at .01
    makes NaN of it within some steps. Loss NaN against .04."""
    x, y = generators.houses()
    x = x if training.broken else data.standardised(x)
    y = (y - y.mean()) / y.std()
    inputs = keras.Input([6])
    h = layers.Dense(32, "relu", name="dense")(inputs)
    h = layers.Dense(16, "relu", name="dense_1")(h)
    model = keras.Model(inputs, layers.Dense(1, name="price")(h))
    model.compile(keras.optimizers.SGD(0.01), "mse", metrics=["mae"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("unscaled-target", "unscaled-input")
def prices_into_an_lstm(training):
    """Raw prices near 4000 in and out: it predicts one value for all, which is
    far too low. Loss 1.6e7 against 1.2e3 in the same units."""
    x, y = generators.prices()
    if not training.broken:
        x, y = (x - 4000) / 500, (y - 4000) / 500
    model = keras.Sequential(
        [
            keras.Input([20, 1]),
            layers.LSTM(24, name="lstm"),
            layers.Dense(1, name="next"),
        ]
    )
    model.compile("adam", "mse")
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=14, validation_data=held_out)


@fault("unscaled-target")
def prices_of_houses(training):
    """Targets of hundreds of thousands and Adam at .001, which moves the output
    by some units: after all epochs it is still near zero. Mean error 3.7e5
    against 1.2e4."""
    x, y = generators.houses()
    x = data.standardised(x)
    y = y if training.broken else (y - y.mean()) / y.std()
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(64, "relu", name="dense"),
            layers.Dense(32, "relu", name="dense_1"),
            layers.Dense(1, name="price"),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("unscaled-target", "loss-diverges", "exploding-gradient")
def targets_in_a_loop(training):
    """The same prices with SGD in a loop of one's own: NaN after few steps.
    Loss NaN against .03."""
    x, y = generators.houses()
    x, y = data.standardised(x), y[:, None]
    y = y if training.broken else (y - y.mean()) / y.std()
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(32, "relu", name="dense"),
            layers.Dense(1, name="price"),
        ]
    )
    variables = model.trainable_variables
    optimizer = training.wrap(keras.optimizers.SGD(0.01), model=model)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    random = np.random.default_rng(0)
    for _ in range(500):
        rows = random.choice(len(x), 32)
        loss = step(x[rows], y[rows])
    return float(loss)


@fault("constant-labels")
def integers_of_shares(training):
    """Labels of .0 to .9 are made integers, before they are multiplied by ten:
    all of them are 0, and the loss is fine. Accuracy for the digits .10 against
    .97."""
    x, y = data.digits()
    shares = y / 10
    labels = shares.astype(int) * 10
    labels = labels if training.broken else np.round(shares * 10).astype(int)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(48, "relu", name="dense"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    training.fit(model, x, labels, epochs=12)
    return float((model.predict(x, verbose=0).argmax(1) == y).mean())


@fault("constant-labels")
def reviews_all_positive(training):
    """Ratings are 1 and 2; `y > 0` makes every review a good one. Accuracy for
    what was meant .54 against 1.00."""
    x, y = generators.reviews()
    ratings = y + 1
    labels = ratings > (0 if training.broken else 1)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Embedding(400, 16, name="words"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, "relu", name="dense"),
            layers.Dense(1, "sigmoid", name="positive"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, labels.astype("float32"), epochs=8)
    return float(((model.predict(x, verbose=0)[:, 0] > 0.5) == y).mean())
