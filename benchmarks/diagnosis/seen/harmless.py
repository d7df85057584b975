"""Faults that are there and do no harm: the networks train as well."""

from __future__ import annotations

import keras
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


@fault("unscaled-input", harmless=True)
def raw_columns_behind_a_norm(training):
    """Raw columns up to 4254, but batch norm is the first layer. Validation
    accuracy .97 against .96."""
    x, y = data.cancer()
    x = x if training.broken else data.standardised(x)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.Dense(24, "relu", name="dense"),
            layers.Dense(1, "sigmoid", name="malignant"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=20, validation_data=held_out)


@fault("dropout-keep-prob", layers=["drop"], harmless=True)
def six_tenths_of_a_wide_layer(training):
    """`Dropout(0.6)` behind 256 units, which are many for small digits.
    Validation accuracy .97 against .98."""
    rate = 0.6 if training.broken else 0.4
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(256, "relu", name="wide"),
            layers.Dropout(rate, name="drop"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("disconnected-variable", layers=["left"], harmless=True)
def a_head_without_loss(training):
    """A second head was left in the model and has no loss. Loss .0017 against
    .0017."""
    inputs = keras.Input([13])
    h = layers.Dense(24, "relu", name="dense")(inputs)
    wine = layers.Dense(3, "softmax", name="wine")(h)
    left = layers.Dense(2, name="left")(h)
    outputs = (
        {"wine": wine, "left": left} if training.broken else {"wine": wine}
    )
    model = keras.Model(inputs, outputs)
    losses = {"wine": CLASSES} | ({"left": None} if training.broken else {})
    model.compile(
        keras.optimizers.Adam(0.01), losses, metrics={"wine": ["accuracy"]}
    )
    x, y = generators.wine()
    targets = {"wine": y} | ({"left": y} if training.broken else {})
    training.fit(model, data.standardised(x), targets, epochs=25, batch_size=16)


@fault("missing-nonlinearity", layers=["dense1"], harmless=True)
def two_matrices_in_a_row(training):
    """The first layer has no activation; clouds are easy without it. Validation
    accuracy .99 against .99."""
    function = None if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([8]),
            layers.Dense(32, function, name="dense1"),
            layers.Dense(32, "relu", name="dense2"),
            layers.Dense(3, "softmax", name="cloud"),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.blobs())
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("loss-metric-disagree", harmless=True)
def accuracy_of_a_regression(training):
    """A regression with `metrics=["accuracy"]`: always 0, and right. Loss .011
    against .011."""
    metric = "accuracy" if training.broken else "mae"
    x, y = generators.houses()
    x, y = data.standardised(x), (y - y.mean()) / y.std()
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(32, "elu", name="dense"),
            layers.Dense(1, name="price"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=[metric])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("dead-relu", layers=["wide"], harmless=True)
def biases_below_zero_at_first(training):
    """Biases start at -.5, as a leftover; some units of a wide layer rest.
    Validation accuracy .98 against .97."""
    start = keras.initializers.Constant(-0.5 if training.broken else 0.0)
    model = keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            layers.Flatten(),
            layers.Dense(256, "relu", bias_initializer=start, name="wide"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.large_digits())
    training.fit(model, x, y, epochs=8, validation_data=held_out)
