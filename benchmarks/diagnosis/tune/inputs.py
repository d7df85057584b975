"""Inputs and targets of a wrong size, wrong ones, or none."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import (
    cancer,
    diabetes,
    digit_images,
    digits,
    standardised,
)
from benchmarks.diagnosis.tune.generators import batches, houses, waves

Dense = keras.layers.Dense
SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
CROSSENTROPY = "sparse_categorical_crossentropy"


def binary_mlp(inputs, activation="relu", norm=False):
    """Return a net for two classes with two hidden layers."""
    layers = [keras.Input([inputs])]
    if norm:
        layers.append(
            keras.layers.BatchNormalization(momentum=0.9, name="norm")
        )
    return keras.Sequential(
        [
            *layers,
            Dense(32, activation, name="hidden_1"),
            Dense(16, activation, name="hidden_2"),
            Dense(1, "sigmoid", name="output"),
        ]
    )


@fault("unscaled-input", "learning-rate", layers=["hidden_1"])
def raw_columns(training):
    """Columns from .001 to 4000 as they come out of the file, under SGD.
    Accuracy .63 against .99."""
    x, y = cancer()
    x = x if training.broken else standardised(x)
    model = binary_mlp(30)
    sgd = SGD(0.01, momentum=0.9)
    model.compile(sgd, "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, x, y, epochs=15, batch_size=16)


@fault(
    "unscaled-input",
    "saturated-activation",
    layers=["hidden_1", "hidden_2"],
)
def bytes_into_tanh(training):
    """Images of 0 to 255 into a net with tanh. Accuracy .11 against .98."""
    x, y = digits()
    x = x * 255 if training.broken else x
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(64, "tanh", name="hidden_1"),
            Dense(32, "tanh", name="hidden_2"),
            Dense(10, "softmax", name="output"),
        ]
    )
    sgd = SGD(0.1)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, x, y, epochs=10, batch_size=32)


@fault("unscaled-input", "loss-diverges", "exploding-gradient")
def years_as_they_are(training):
    """The year of building, 1900 to 2020, is one of nine columns. Loss 1.1
    against .018."""
    x, price = houses()
    random = np.random.default_rng(1)
    year = random.integers(1900, 2021, [len(x), 1])
    y = (price - price.mean()) / price.std() + (year[:, 0] - 1960) / 120
    year = year if training.broken else (year - 1960) / 35
    x = np.concatenate([x, year], axis=1).astype("float32")
    model = keras.Sequential(
        [
            keras.Input([9]),
            Dense(32, "relu", name="hidden_1"),
            Dense(32, "relu", name="hidden_2"),
            Dense(1, name="output"),
        ]
    )
    model.compile(Adam(1e-3), "mse")
    return training.fit(model, x, y, epochs=12, batch_size=32)


@fault(
    "unscaled-input",
    "learning-rate",
    "saturated-activation",
    layers=["lstm/lstm_cell"],
)
def signal_in_microvolts(training):
    """A sensor's waves of some thousands into an LSTM. Accuracy .36 against
    1.00."""
    x, y = waves()
    x = 5000 * x + 20000 if training.broken else x
    model = keras.Sequential(
        [
            keras.Input([32, 1]),
            keras.layers.LSTM(24, name="lstm"),
            Dense(3, "softmax", name="output"),
        ]
    )
    model.compile(Adam(5e-3), CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, x, y, epochs=12, batch_size=32)


@fault("unscaled-input", harmless=True)
def raw_columns_behind_norm(training):
    """Raw columns, and a batch norm right behind the input scales them.
    Accuracy .98 against .98."""
    x, y = cancer()
    x = x if training.broken else standardised(x)
    model = binary_mlp(30, norm=True)
    model.compile(Adam(3e-3), "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, x, y, epochs=15, batch_size=16)


@fault("unscaled-input", harmless=True)
def small_integers(training):
    """Pixels from 0 to 16, not divided by 16: Adam learns them as well.
    Accuracy .99 against .96."""
    x, y = digits()
    x = x * 16 if training.broken else x
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(64, "relu", name="hidden"),
            Dense(10, "softmax", name="output"),
        ]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, x, y, epochs=10, batch_size=32)


def regression(inputs, last=None):
    """Return a net for one number."""
    return keras.Sequential(
        [
            keras.Input([inputs]),
            Dense(32, "relu", name="hidden_1"),
            Dense(32, "relu", name="hidden_2"),
            Dense(1, last, name="output"),
        ]
    )


@fault("unscaled-target", "loss-diverges", "exploding-gradient")
def prices_in_dollars(training):
    """Prices near 300000 and SGD: the loss flies off in the first steps.
    Loss 4e16 against .053."""
    x, y = houses()
    y = y if training.broken else (y - y.mean()) / y.std()
    model = regression(8)
    model.compile(SGD(0.01), "mse")
    return training.fit(model, x, y, epochs=10, batch_size=32)


@fault("unscaled-target", "learning-rate", "update-too-small")
def prices_and_adam(training):
    """Prices near 300000 and Adam, which goes .001 a step. Loss 6 against
    .014 of the variance."""
    x, y = houses()
    y = y if training.broken else (y - y.mean()) / y.std()
    model = regression(8)
    model.compile(Adam(1e-3), "mse")
    return training.fit(model, x, y, epochs=15, batch_size=32)


@fault("output-range", "unscaled-target", layers=["output"])
def sigmoid_of_any_number(training):
    """Targets from 25 to 346, and a sigmoid that ends at 1. Loss 28770 against
    2553."""
    x, y = diabetes()
    model = regression(10, "sigmoid" if training.broken else None)
    model.compile(Adam(3e-3), "mse")
    return training.fit(model, x, y, epochs=30, batch_size=16)


@fault("output-range", layers=["output"])
def sigmoid_of_standardised(training):
    """An autoencoder of standardised columns with a sigmoid at its end. Loss
    .58 against .064."""
    x = standardised(cancer()[0])
    last = "sigmoid" if training.broken else None
    model = keras.Sequential(
        [
            keras.Input([30]),
            Dense(32, "relu", name="encoder"),
            Dense(10, name="code"),
            Dense(32, "relu", name="decoder"),
            Dense(30, last, name="output"),
        ]
    )
    model.compile(Adam(3e-3), "mse")
    return training.fit(model, x, x, epochs=20, batch_size=16)


@fault("output-range", "saturated-activation", layers=["output"])
def tanh_of_bytes(training):
    """Pixels of 0 to 255 are to come out of a tanh. Loss 1.6 against
    .11 of the variance."""
    x, _ = digits()
    y = 255 * x if training.broken else 2 * x - 1
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(48, "relu", name="encoder"),
            Dense(24, "relu", name="code"),
            Dense(48, "relu", name="decoder"),
            Dense(64, "tanh", name="output"),
        ]
    )
    model.compile("adam", "mse")
    return training.fit(model, x, y, epochs=10, batch_size=32)


@fault("constant-labels")
def compared_with_text(training):
    """Labels are numbers, compared with the text "1": all are wrong. Accuracy
    on the true labels .37 against .99."""
    x, y = cancer()
    label = y.astype("int32")
    if training.broken:
        label = np.array([value == "1" for value in y]).astype("int32")
    x = standardised(x)
    model = binary_mlp(30)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, label, epochs=10, batch_size=16)
    found = model.predict(x, verbose=0)[:, 0] > 0.5
    return {"accuracy of the truth": np.mean(found == y)}


@fault("constant-labels")
def labels_scaled_as_images(training):
    """Images and labels are divided by 255, and labels made whole again.
    Accuracy on the true labels .10 against .98."""
    x, y = digit_images()
    label = (y / 255).astype("int64") if training.broken else y
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(16, 3, activation="relu", name="conv"),
            keras.layers.Flatten(),
            Dense(10, "softmax", name="output"),
        ]
    )
    model.compile(Adam(3e-3), CROSSENTROPY, metrics=["accuracy"])
    training.fit(model, x, label, epochs=6, batch_size=32)
    found = model.predict(x, verbose=0).argmax(axis=1)
    return {"accuracy of the truth": np.mean(found == y)}


@fault("non-finite", layers=["hidden_1", "hidden_2", "output"])
def constant_columns(training):
    """Columns are divided by their deviation, and some pixels are always 0.
    Accuracy .10 against .99."""
    x, y = digits()
    with np.errstate(invalid="ignore"):
        deviation = x.std(axis=0) + (0 if training.broken else 1e-3)
        x = ((x - x.mean(axis=0)) / deviation).astype("float32")
    model = keras.Sequential(
        [
            keras.Input([64]),
            Dense(64, "relu", name="hidden_1"),
            Dense(64, "relu", name="hidden_2"),
            Dense(10, "softmax", name="output"),
        ]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, x, y, epochs=6, batch_size=32)


@fault("non-finite", layers=["hidden_1", "hidden_2", "output"])
def missing_values(training):
    """Two values are missing in the table, and each weight becomes NaN. Loss
    NaN against .026."""
    x, y = cancer()
    x = standardised(x)
    x[[100, 400], [3, 17]] = np.nan
    x = x if training.broken else np.nan_to_num(x)
    model = binary_mlp(30)
    optimizer = training.wrap(Adam(1e-3), model=model)
    crossentropy = keras.losses.BinaryCrossentropy()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = crossentropy(y[:, None], model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return [float(step(*batch)) for batch in batches(x, y, 16, 10)]
