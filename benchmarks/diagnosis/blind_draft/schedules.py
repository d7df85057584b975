"""Callbacks."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="ReduceLROnPlateau takes any improvement below min_delta for none, "
    "and cuts the rate to nothing while the loss still falls.",
    source="keras-team/keras #10924",
)
def plateau_on_a_slope(training):
    """ "Is this a bug?": the rate is cut every two epochs although the loss
    decreases, by less than 0.04 an epoch. Accuracy BROKEN against
    REPAIRED."""
    x, y, xt, yt = sources.digits()
    delta = 0.04 if training.broken else 1e-4
    reduce = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.2, patience=2, min_delta=delta
    )
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="sigmoid", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.5),
        sources.SPARSE,
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=30, batch_size=32, callbacks=[reduce])
    return sources.accuracy(model, xt, yt)


@fault(
    cause="EarlyStopping takes a score for a loss, stops when it has not "
    "fallen for a while and restores the weights of the worst epoch.",
    source="keras-team/keras #18798",
)
def best_is_the_lowest(training):
    """ "auto" means "min" for F1, recall and whatever is no accuracy: the
    training stops after a few epochs and keeps the first one. Accuracy
    BROKEN against REPAIRED."""
    x, y, xt, yt = sources.digits()
    y, yt = sources.one_hot(y), yt
    mode = "min" if training.broken else "max"
    stop = keras.callbacks.EarlyStopping(
        "val_f1", mode=mode, patience=4, restore_best_weights=True
    )
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.0005),
        "categorical_crossentropy",
        metrics=[keras.metrics.F1Score("macro", name="f1")],
    )
    training.fit(
        model,
        x,
        y,
        epochs=25,
        batch_size=32,
        validation_data=(xt, sources.one_hot(yt)),
        callbacks=[stop],
    )
    return sources.accuracy(model, xt, yt)


@fault(
    cause="The lower bound of ReduceLROnPlateau is the rate that the "
    "training starts with, so the rate is never reduced.",
    source="PaulRitsche/DeepACSA #36",
)
def bound_at_the_start(training):
    """ "It won't reduce at all since the lower bound is reached from the
    start": the noise of the loss stays. Explained share BROKEN against
    REPAIRED."""
    r = np.random.default_rng(2)
    x = r.normal(size=(1200, 10)).astype("float32")
    y = np.tanh(x @ r.normal(size=(10, 1))) + 0.2 * x[:, :1] ** 2
    x, y, xt, yt = sources.split(x, y.astype("float32"))
    start = 0.05
    bound = start if training.broken else 1e-5
    reduce = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.3, patience=3, min_lr=bound
    )
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(64, activation="relu", name="hidden_1"),
            layers.Dense(64, activation="relu", name="hidden_2"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(start), "mse")
    training.fit(model, x, y, epochs=40, batch_size=32, callbacks=[reduce])
    return sources.r2(model, xt, yt)
