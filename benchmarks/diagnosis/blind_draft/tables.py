"""Regression, tables and several outputs."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The Normalization layer was never adapted, so it passes the raw "
    "columns on.",
    layers=["normalise"],
    source="ageron/handson-ml3 #198",
)
def never_adapted(training):
    """ "Normalization does not normalise, am I missing something?": without
    `adapt` it has a mean of 0 and a variance of 1. Explained share BROKEN
    against REPAIRED."""
    x, y = sources.houses()
    mean, spread = y.mean(), y.std()
    x, y, xt, yt = sources.split(x, y)
    norm = layers.Normalization(name="normalise")
    if not training.broken:
        norm.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            norm,
            layers.Dense(32, activation="relu", name="hidden_1"),
            layers.Dense(32, activation="relu", name="hidden_2"),
            layers.Dense(1, name="price"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, (y - mean) / spread, epochs=20, batch_size=32)
    return sources.r2(model, xt, yt, spread, mean)


@fault(
    cause="One of the outputs is a regression in years squared, whose loss "
    "is a thousand times that of the others, and nothing weighs it.",
    layers=["age", "emotion"],
    source="keras-team/keras #10306",
)
def ages_outweigh_emotions(training):
    """Five outputs of a common network, the losses of some on other scales:
    "very imbalanced loss contributions". The class is hardly learnt.
    Accuracy of the class BROKEN against REPAIRED."""
    x, y, xt, yt = sources.digits()
    age = (20 + 500 * x[:, 20:44].mean(1) ** 2)[:, None]
    inputs = keras.Input((64,))
    h = layers.Dense(10, activation="relu", name="common_1")(inputs)
    h = layers.Dense(10, activation="relu", name="common_2")(h)
    years = layers.Dense(1, name="age")(h)
    emotion = layers.Dense(10, activation="softmax", name="emotion")(h)
    model = keras.Model(inputs, {"age": years, "emotion": emotion})
    weight = 1.0 if training.broken else 1e-4
    model.compile(
        keras.optimizers.Adam(0.003),
        {"age": "mse", "emotion": sources.SPARSE},
        loss_weights={"age": weight, "emotion": 1.0},
        metrics={"emotion": ["accuracy"]},
    )
    training.fit(model, x, {"age": age, "emotion": y}, epochs=12, batch_size=32)
    p = np.asarray(model(xt)["emotion"])
    return {"accuracy": float(np.mean(p.argmax(1) == yt))}
