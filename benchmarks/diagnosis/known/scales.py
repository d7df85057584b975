"""Faults of scales: of inputs, of targets, of outputs."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "unscaled-input",
    source="StackOverflow: breast cancer data, accuracy stuck at .63",
)
def raw_columns_into_sigmoids(training):
    """Raw columns up to 4254 go into a layer of sigmoids.

    Accuracy .65 against .97.
    """
    x, y, xt, yt = sources.cancer(scaled=not training.broken)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(24, activation="sigmoid", name="hidden_1"),
            layers.Dense(12, activation="sigmoid", name="hidden_2"),
            layers.Dense(1, activation="sigmoid", name="benign"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "unscaled-input",
    source="StackOverflow: house prices, SGD gives nan without scaling",
)
def metres_and_years(training):
    """Metres to the centre and years go into a regression as they are.

    Unexplained 1.09 against .002.
    """
    x, y, xt, yt = sources.houses(scaled=not training.broken)
    mean, deviation = y.mean(), y.std()
    y, yt = (y - mean) / deviation, (yt - mean) / deviation
    model = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(32, activation="tanh", name="hidden_1"),
            layers.Dense(32, activation="tanh", name="hidden_2"),
            layers.Dense(1, name="price"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"])
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "unscaled-input",
    "saturated-activation",
    layers=["memory"],
    source="StackOverflow: LSTM on raw prices predicts a constant",
)
def raw_series_into_an_lstm(training):
    """An LSTM reads a series in the thousands as it is.

    Its gates saturate: accuracy on pitches .23 against 1.0.
    """
    x, y, xt, yt = sources.waves(900, 24)
    if training.broken:
        x, xt = 900 * x + 4000, 900 * xt + 4000
    model = keras.Sequential(
        [
            keras.Input([24, 1]),
            layers.LSTM(24, name="memory"),
            layers.Dense(4, activation="softmax", name="pitch"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=12, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "unscaled-target",
    layers=["price"],
    source="StackOverflow: predict house prices, loss 1e10 hardly falls",
)
def prices_as_they_are(training):
    """Prices of some 100000 are the targets of a regression with Adam.

    The output cannot get there: unexplained 2.5 against .007.
    """
    x, y, xt, yt = sources.houses()
    if not training.broken:
        y, yt = (y - y.mean()) / y.std(), (yt - y.mean()) / y.std()
    model = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(48, activation="relu", name="hidden_1"),
            layers.Dense(48, activation="relu", name="hidden_2"),
            layers.Dense(1, name="price"),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    training.fit(model, x, y, epochs=25, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "unscaled-target",
    layers=["price", "near"],
    source="GitHub: two heads, one of them is never learnt",
)
def one_target_in_the_thousands(training):
    """One of two heads has targets in the thousands, the other says 0 or 1.

    The sum of the losses is that of the first: the second is right in .54 of
    the cases against .92.
    """
    x, y, xt, yt = sources.rings(1200, 5)
    price, price_t = 3000 * x[:, 0] + 8000, 3000 * xt[:, 0] + 8000
    if not training.broken:
        price, price_t = (price - 8000) / 3000, (price_t - 8000) / 3000
    inputs = keras.Input([5])
    h = layers.Dense(48, activation="relu", name="shared_1")(inputs)
    h = layers.Dense(48, activation="relu", name="shared_2")(h)
    first = layers.Dense(1, name="price")(h)
    second = layers.Dense(1, activation="sigmoid", name="near")(h)
    model = keras.Model(inputs, [first, second])
    model.compile(
        keras.optimizers.RMSprop(3e-3),
        ["mse", "binary_crossentropy"],
        metrics=[["mae"], ["accuracy"]],
    )
    training.fit(model, x, [price, y], epochs=20, batch_size=32)
    told = model.predict(xt, verbose=0)[1][:, 0]
    return {"accuracy of the second": np.mean((told > 0.5) == (yt > 0.5))}


@fault(
    "output-range",
    layers=["effect"],
    source="StackOverflow: regression with sigmoid as last activation",
)
def sigmoid_for_standardised_targets(training):
    """A regression on standardised targets ends in a sigmoid.

    It cannot go below 0 nor above 1: unexplained .57 against .03.
    """
    x, y, xt, yt = sources.friedman()
    last = "sigmoid" if training.broken else "linear"
    model = keras.Sequential(
        [
            keras.Input([8]),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(1, activation=last, name="effect"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "mse", metrics=["mae"])
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "output-range",
    layers=["pixels"],
    source="GitHub: autoencoder, sigmoid decoder, standardised data",
)
def sigmoid_decoder_of_signed_data(training):
    """An autoencoder of standardised columns ends in a sigmoid.

    Unexplained .58 against .11.
    """
    x, _, xt, _ = sources.cancer()
    last = "sigmoid" if training.broken else None
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(24, activation="elu", name="encode"),
            layers.Dense(8, activation="elu", name="code"),
            layers.Dense(24, activation="elu", name="decode"),
            layers.Dense(30, activation=last, name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adamax(0.01), "mse")
    training.fit(model, x, x, epochs=30, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, xt)}
