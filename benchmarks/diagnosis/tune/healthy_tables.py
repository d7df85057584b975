"""Healthy networks for tables, and for small puzzles."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.data import cancer, diabetes, digits, standardised
from benchmarks.diagnosis.tune.generators import houses, rings, sine

layers = keras.layers
Dense = layers.Dense
SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


def mlp(inputs, *units, function="relu", last="sigmoid", outputs=1):
    """Return a net with hidden layers of so many units."""
    hidden = [Dense(n, function) for n in units]
    return keras.Sequential(
        [keras.Input([inputs]), *hidden, Dense(outputs, last)]
    )


def binary(model, optimizer):
    """Return the model, ready to tell two classes apart."""
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


@healthy(batch_size=[1, 16], seed=[0])
def two_classes(training):
    """One sigmoid for two classes; batches of one, and of 16."""
    x, y = cancer()
    size = training.options["batch_size"]
    epochs = {1: 2, 16: 10}[size]
    model = binary(mlp(30, 16), Adam(2e-3))
    return training.fit(
        model, standardised(x), y, epochs=epochs, batch_size=size
    )


@healthy(optimizer=["adam", "momentum"])
def all_at_once(training):
    """Each step sees all examples."""
    x, y = cancer()
    adam = training.options["optimizer"] == "adam"
    model = binary(mlp(30, 16), Adam(1e-2) if adam else SGD(0.1, momentum=0.9))
    data = tf.data.Dataset.from_tensors((standardised(x), y)).repeat(50)
    return training.fit(model, data, epochs=3)


@healthy(weights=[False, True], seed=[1])
def rare_class(training):
    """One in 12 is of the second class, with class weights or without."""
    x, y = digits()
    rare = (y == 3).astype("int32")
    keep = (rare == 0) | (np.arange(len(y)) % 5 < 4)
    weights = {0: 1.0, 1: 8.0} if training.options["weights"] else None
    model = binary(mlp(64, 64), Adam(1e-3))
    return training.fit(
        model,
        x[keep],
        rare[keep],
        epochs=8,
        batch_size=32,
        class_weight=weights,
    )


@healthy(optimizer=["sgd", "adam"])
def raw_targets(training):
    """Progress of a disease, 25 to 346, as it is: gradients are large."""
    x, y = diabetes()
    adam = training.options["optimizer"] == "adam"
    model = mlp(10, 32, last=None)
    model.compile(Adam(2e-2) if adam else SGD(5e-4, clipnorm=500.0), "mse")
    return training.fit(model, x, y, epochs=25, batch_size=16)


@healthy(seed=[2])
def prices_in_thousands(training):
    """Prices near 300 (thousand), a linear output, and mean absolute error."""
    x, y = houses()
    model = mlp(8, 64, 64, last=None)
    model.compile(Adam(1e-2), "mae")
    return training.fit(model, x, y / 1000, epochs=20, batch_size=32)


@healthy(seed=[0])
def yields_in_thousands(training):
    """A linear net for targets of some thousands, and a rate to match."""
    x, _ = diabetes()
    random = np.random.default_rng(0)
    y = 4000 + x @ random.normal(0, 400, 10) + random.normal(0, 50, len(x))
    model = keras.Sequential([keras.Input([10]), Dense(1)])
    model.compile(Adam(20.0), "mse")
    return training.fit(model, x, y, epochs=40, batch_size=32)


@healthy(function=["tanh", "relu"])
def curve(training):
    """A sine, from one number to another."""
    function = training.options["function"]
    model = mlp(1, 64, 64, function=function, last=None)
    model.compile(Adam(3e-3), "mse")
    return training.fit(model, *sine(), epochs=30, batch_size=32)


@healthy(optimizer=["momentum"], seed=[0])
def two_rings(training):
    """Points of two rings."""
    adam = training.options["optimizer"] == "adam"
    model = binary(
        mlp(2, 32, 32), Adam(3e-3) if adam else SGD(0.05, momentum=0.9)
    )
    return training.fit(model, *rings(), epochs=20, batch_size=32)


@healthy(seed=[0, 1])
def parity(training):
    """Parity of six bits: nothing happens for long, and then all of it."""
    x = np.array(list(itertools.product([-1.0, 1.0], repeat=6)))
    y = (x.prod(axis=1) > 0).astype("float32")
    model = binary(mlp(6, 64, function="tanh"), SGD(0.3, momentum=0.9))
    data = tf.data.Dataset.from_tensors((x, y)).repeat(100)
    return training.fit(model, data, epochs=5)


@healthy(seed=[0])
def noisy_labels(training):
    """Three in ten labels are wrong: more than .7 cannot be reached."""
    random = np.random.default_rng(0)
    x = random.normal(size=[2000, 10]).astype("float32")
    y = (x[:, 0] + x[:, 1] > 0) ^ (random.random(2000) < 0.3)
    model = binary(mlp(10, 16), Adam(2e-3))
    return training.fit(
        model,
        x,
        y.astype("int32"),
        epochs=8,
        batch_size=32,
        validation_split=0.2,
    )


@healthy(steps=[30], optimizer=["sgd", "adam"])
def short(training):
    """30 steps, and it has learned something already."""
    adam = training.options["optimizer"] == "adam"
    x, y = digits()
    model = mlp(64, 64, last="softmax", outputs=10)
    loss = "sparse_categorical_crossentropy"
    optimizer = Adam(5e-3) if adam else SGD(0.2)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return training.fit(model, x[:960], y[:960], epochs=1, batch_size=32)


@healthy(schedule=["warm-up", "steps"])
def scheduled(training):
    """Learning rates that rise, fall, and start again."""
    rates = keras.optimizers.schedules
    rate = {
        "warm-up": lambda: rates.CosineDecay(
            0.0, 400, warmup_target=0.2, warmup_steps=50
        ),
        "steps": lambda: rates.PiecewiseConstantDecay(
            [200, 350], [0.1, 0.01, 0.001]
        ),
        "restarts": lambda: rates.CosineDecayRestarts(0.2, 100),
    }[training.options["schedule"]]()
    model = mlp(64, 64, 64, last="softmax", outputs=10)
    loss = "sparse_categorical_crossentropy"
    model.compile(SGD(rate), loss, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@healthy(clip=["value", "global"])
def clipped(training):
    """Gradients clipped, as is usual."""
    clip = {
        "value": {"clipvalue": 0.5},
        "norm": {"clipnorm": 1.0},
        "global": {"global_clipnorm": 1.0},
    }[training.options["clip"]]
    model = mlp(64, 64, 64, last="softmax", outputs=10)
    loss = "sparse_categorical_crossentropy"
    sgd = SGD(0.1, momentum=0.5, **clip)
    model.compile(sgd, loss, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=7, batch_size=32)


@healthy(even=[0.2])
def two_outputs(training):
    """A digit, and whether it is even, from one body."""
    x, y = digits()
    image = keras.Input([64])
    h = Dense(64, "relu")(image)
    outputs = {
        "digit": Dense(10, "softmax", name="digit")(h),
        "even": Dense(1, "sigmoid", name="even")(h),
    }
    model = keras.Model(image, outputs)
    weights = {"digit": 1.0, "even": training.options["even"]}
    loss = {
        "digit": "sparse_categorical_crossentropy",
        "even": "binary_crossentropy",
    }
    metrics = {name: ["accuracy"] for name in outputs}
    model.compile("adam", loss, loss_weights=weights, metrics=metrics)
    labels = {"digit": y, "even": (y % 2 == 0).astype("float32")}
    return training.fit(model, x, labels, epochs=8, batch_size=32)


@healthy(seed=[0])
def two_inputs(training):
    """Means of the measurements on one side, their extremes on the other."""
    x, y = cancer()
    x = standardised(x)
    first, second = keras.Input([10]), keras.Input([20])
    h = layers.Concatenate()(
        [Dense(16, "relu")(first), Dense(16, "relu")(second)]
    )
    model = keras.Model([first, second], Dense(1, "sigmoid")(h))
    binary(model, Adam(2e-3))
    return training.fit(
        model, [x[:, :10], x[:, 10:]], y, epochs=12, batch_size=16
    )


@healthy(seed=[1])
def resumed(training):
    """Training ends after a while and is taken up again."""
    model = mlp(64, 64, last="softmax", outputs=10)
    loss = "sparse_categorical_crossentropy"
    model.compile(SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    training.fit(model, *digits(), epochs=4, batch_size=32)
    return training.fit(
        model, *digits(), epochs=8, initial_epoch=4, batch_size=32
    )
