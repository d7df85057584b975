"""Activations inside of a network.

Sources, one for each case:
Lu et al. 2019 "Dying ReLU and Initialization" (narrow, deep, |x|);
theneuralbase.com "NaN loss: learning rate or data" (Adam far too hot);
StackOverflow 48221692 (DeepLocalize: sigmoid outputs under squared error);
DDPG issues, m5823779/DDPG #2 "Output activation saturation";
PetrochukM/PyTorch-NLP #2 "Attention's softmax dimension is wrong?";
StackOverflow 44223902 "Why is softmax not used in hidden layers";
StackOverflow 48486598 (deepmufl: three linear layers for a curve);
StackOverflow 61763616 (deepmufl: convolutions without activation).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


@fault(
    "dead-relu",
    layers=[f"narrow_{i}" for i in range(1, 11)],
    source="Lu et al. 2019, Dying ReLU and Initialization",
)
def born_dead(training):
    """Ten layers of two ReLU units for |x|: one of them is dead at birth. R2
    -.00 against 1.00."""
    r = np.random.default_rng(0)
    x = r.uniform(-1.7, 1.7, (800, 1)).astype("float32")
    x, y, xt, yt = sources.split(x, np.abs(x))
    depth, width = (10, 2) if training.broken else (3, 16)
    model = keras.Sequential([keras.Input((1,))])
    for i in range(1, depth + 1):
        model.add(
            layers.Dense(
                width,
                activation="relu",
                kernel_initializer="he_normal",
                name=f"narrow_{i}",
            )
        )
    model.add(layers.Dense(1, name="out"))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, y, epochs=30, batch_size=32)
    return sources.r2(model, xt, yt)


@fault(
    "learning-rate",
    "dead-relu",
    "update-too-large",
    layers=["fc1", "fc2", "fc3"],
    source="theneuralbase.com, NaN loss",
)
def hot_relus(training):
    """ReLU layers under a rate that kills them: one price for all. R2 -.00
    against .98."""
    x, y, xt, yt = sources.split(*sources.houses())
    m, s = x.mean(0), x.std(0)
    x, xt = (x - m) / s, (xt - m) / s
    a, b = y.mean(), y.std()
    model = keras.Sequential([keras.Input((6,))])
    for i in range(1, 4):
        model.add(layers.Dense(32, activation="relu", name=f"fc{i}"))
    model.add(layers.Dense(1, name="price"))
    rate = 0.5 if training.broken else 0.002
    model.compile(keras.optimizers.Adam(rate), "mse")
    training.fit(model, x, (y - a) / b, epochs=15, batch_size=32)
    return sources.r2(model, xt, yt, b, a)


@fault(
    "learning-rate",
    "saturated-activation",
    "unscaled-input",
    "update-too-large",
    layers=["out"],
    source="StackOverflow 48221692",
)
def squared_error_of_sigmoids(training):
    """Sigmoid outputs under squared error and a hot SGD: they all end at 0,
    where the slope is 0 too. Accuracy .08 against .94."""
    x, y, xt, yt = sources.digits()
    x, xt = x * 16, xt * 16
    rate = 3.0
    if not training.broken:
        x, xt, rate = x / 16, xt / 16, 0.5
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(30, activation="sigmoid", name="hidden"),
            layers.Dense(10, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), "mse", metrics=["accuracy"]
    )
    training.fit(model, x, sources.one_hot(y), epochs=20, batch_size=10)
    return sources.accuracy(model, xt, yt)


@fault(
    "saturated-activation",
    "unscaled-input",
    layers=["state_1", "state_2"],
    source="m5823779/DDPG #2",
)
def saturated_actor(training):
    """An actor with tanh layers sees positions in metres and angles in
    degrees: its units are at -1 or 1 from the start. R2 .77 against .92."""
    r = np.random.default_rng(1)
    state = r.uniform(-1, 1, (1500, 6)).astype("float32")
    action = np.tanh(state[:, :1] * 2 - state[:, 1:2] * state[:, 2:3] * 2)
    scale = np.array([500, 180, 180, 60, 100, 300], "float32")
    if training.broken:
        state = state * scale
    x, y, xt, yt = sources.split(state, action.astype("float32"))
    inputs = keras.Input((6,))
    h = layers.Dense(64, activation="tanh", name="state_1")(inputs)
    h = layers.Dense(64, activation="tanh", name="state_2")(h)
    out = layers.Dense(1, activation="tanh", name="action")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.001), "mse")
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.r2(model, xt, yt)


@fault("softmax-axis", layers=["weights"], source="PyTorch-NLP #2")
def attention_over_one(training):
    """Scores `[batch, time, 1]` with the softmax over the last axis: all
    weights are 1. R2 .06 against 1.00."""
    x, y, xt, yt = sources.split(*sources.marked())
    axis = -1 if training.broken else 1
    inputs = keras.Input((10, 2))
    h = layers.Dense(16, activation="tanh", name="keys")(inputs)
    score = layers.Dense(1, name="scores")(h)
    weight = layers.Softmax(axis=axis, name="weights")(score)
    value = layers.Dense(8, name="values")(inputs)
    seen = layers.Lambda(
        lambda wv: tf.reduce_sum(wv[0] * wv[1], axis=1),
        output_shape=(8,),
        name="context",
    )([weight, value])
    model = keras.Model(inputs, layers.Dense(1, name="out")(seen))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.r2(model, xt, yt)


@fault(
    "hidden-softmax",
    layers=["hidden_1", "hidden_2"],
    source="StackOverflow 44223902",
)
def softmax_everywhere(training):
    """activation="softmax" in the hidden layers too. Accuracy .10 against
    .92."""
    x, y, xt, yt = sources.digits()
    act = "softmax" if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation=act, name="hidden_1"),
            layers.Dense(32, activation=act, name="hidden_2"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "missing-nonlinearity",
    layers=["dense_1", "dense_2", "dense_3"],
    source="StackOverflow 48486598",
)
def linear_curve(training):
    """Three layers without activation for a curve. R2 .07 against .96."""
    x, y, xt, yt = sources.split(*sources.sine())
    act = None if training.broken else "relu"
    model = keras.Sequential([keras.Input((1,))])
    for i in range(1, 4):
        model.add(layers.Dense(32, activation=act, name=f"dense_{i}"))
    model.add(layers.Dense(1, activation="linear", name="out"))
    model.compile("adam", "mae")
    training.fit(model, x, y, epochs=25, batch_size=16)
    return sources.r2(model, xt, yt)


@fault(
    "missing-nonlinearity",
    layers=["conv_1", "conv_2", "hidden"],
    source="StackOverflow 61763616",
)
def linear_convolutions(training):
    """Convolutions and a hidden layer without activation: which of the waves
    has a burst. Accuracy .53 against .99."""
    r = np.random.default_rng(3)
    y = r.integers(0, 2, 1200)
    wave = r.normal(0, 0.5, (1200, 48))
    start = r.integers(0, 36, 1200)
    for i in np.flatnonzero(y):
        wave[i, start[i] : start[i] + 12] *= 3.5
    x, y, xt, yt = sources.split(
        wave[..., None].astype("float32"), y.astype("float32")[:, None]
    )
    act = None if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input((48, 1)),
            layers.Conv1D(16, 3, activation=act, name="conv_1"),
            layers.Conv1D(16, 3, activation=act, name="conv_2"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation=act, name="hidden"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)
