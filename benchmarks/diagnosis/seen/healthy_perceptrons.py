"""Dense layers that are as they should be."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, optimizers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


def _perceptron(inputs, units, classes, function="relu", **options):
    """Return dense layers and a softmax."""
    model = keras.Sequential([keras.Input([inputs])])
    for i, n in enumerate(units, 1):
        model.add(layers.Dense(n, function, name=f"dense{i}", **options))
    model.add(layers.Dense(classes, "softmax", name="classes"))
    return model


@healthy(optimizer=["momentum", "rmsprop", "adamw"], seed=[0])
def three_layers(training):
    """Digits, with the optimizers of most programs."""
    optimizer = {
        "momentum": optimizers.SGD(0.02, momentum=0.9, nesterov=True),
        "rmsprop": optimizers.RMSprop(0.001),
        "adamw": optimizers.AdamW(0.002, weight_decay=0.01),
    }[training.options["optimizer"]]
    model = _perceptron(64, [64, 48, 32], 10)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=10, validation_data=held_out)


@healthy(seed=[0, 1])
def ten_layers(training):
    """Deep, with the initialisation of He."""
    model = _perceptron(64, [48] * 10, 10, kernel_initializer="he_normal")
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@healthy(function=["tanh", "gelu", "silu", "elu"], seed=[0])
def other_activations(training):
    """Wine, standardised: 1.0."""
    model = _perceptron(13, [24, 24], 3, training.options["function"])
    model.compile(optimizers.Adam(0.005), CLASSES, metrics=["accuracy"])
    x, y = generators.wine()
    x, y, held_out = generators.split(data.standardised(x), y)
    training.fit(
        model, x, y, epochs=25, batch_size=16, validation_data=held_out
    )


@healthy(seed=[0, 1])
def residual_of_twenty(training):
    """Twenty blocks, each a layer norm, a dense layer and a sum."""
    inputs = keras.Input([64])
    h = layers.Dense(32, name="stem")(inputs)
    for i in range(20):
        part = layers.LayerNormalization(name=f"norm{i}")(h)
        part = layers.Dense(32, "relu", name=f"block{i}")(part)
        h = layers.Add()([h, part])
    h = layers.LayerNormalization(name="norm")(h)
    model = keras.Model(inputs, layers.Dense(10, "softmax", name="out")(h))
    model.compile("adam", CLASSES, metrics=["accuracy"])
    training.fit(model, *data.digits(), epochs=6)


@healthy(seed=[0])
def head_of_zeros(training):
    """Only the last layer starts at zero: the first loss is ln 10."""
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, "relu", name="dense1"),
            layers.Dense(48, "relu", name="dense2"),
            layers.Dense(
                10, "softmax", kernel_initializer="zeros", name="head"
            ),
        ]
    )
    model.compile("adam", CLASSES, metrics=["accuracy"])
    training.fit(model, *data.digits(), epochs=10)


@healthy(batch=[1, 32], seed=[0])
def tumours(training):
    """A binary classifier with dropout of .5; also one example at a time."""
    batch = training.options["batch"]
    x, y = data.cancer()
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(32, "relu", name="dense1"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(16, "relu", name="dense2"),
            layers.Dense(1, "sigmoid", name="malignant"),
        ]
    )
    model.compile(
        optimizers.Adam(0.001 if batch == 1 else 0.003),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    x, y, held_out = generators.split(data.standardised(x), y)
    epochs = 3 if batch == 1 else 30
    training.fit(
        model, x, y, batch_size=batch, epochs=epochs, validation_data=held_out
    )


@healthy(seed=[0])
def class_weights(training):
    """One in twelve is of the rare class, which is weighed."""
    x, y = generators.blobs(1200, 2, 8, (0.92, 0.08), seed=11)
    model = keras.Sequential(
        [
            keras.Input([8]),
            layers.Dense(16, "relu", name="dense"),
            layers.Dense(1, "sigmoid", name="rare"),
        ]
    )
    model.compile(
        optimizers.Adam(0.005), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=12, class_weight={0: 1, 1: 10})


@healthy(seed=[0, 1])
def imbalanced_classes(training):
    """Of three clouds one has nine tenths, and no weights: it is learned."""
    x, y = generators.blobs(1200, 3, 8, (0.9, 0.06, 0.04), seed=12)
    model = _perceptron(8, [24], 3)
    model.compile(optimizers.Adam(0.005), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@healthy(seed=[0, 1])
def raw_targets(training):
    """Targets of 25 to 346 as they are: large gradients, and it learns as
    well as anything learns these data."""
    x, y = data.diabetes()
    model = keras.Sequential(
        [
            keras.Input([10]),
            layers.Dense(32, "relu", name="dense1"),
            layers.Dense(16, "relu", name="dense2"),
            layers.Dense(1, name="progress"),
        ]
    )
    model.compile(optimizers.Adam(0.01), "mse", metrics=["mae"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=40, validation_data=held_out)


@healthy(seed=[0])
def targets_in_thousands(training):
    """Rents of 400 to 3500 as they are, and a rate that reaches them."""
    x, y = generators.houses()
    rent = y / 250
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(64, "relu", name="dense1"),
            layers.Dense(64, "relu", name="dense2"),
            layers.Dense(1, name="rent"),
        ]
    )
    model.compile(optimizers.Adam(0.01), "mae")
    x, y, held_out = generators.split(data.standardised(x), rent)
    training.fit(model, x, y, epochs=30, validation_data=held_out)


@healthy(seed=[0, 1])
def down_to_zero(training):
    """A small set is learned by heart: gradients fade at the end, as there is
    nothing left to learn."""
    x, y = data.digits()
    model = _perceptron(64, [96, 96], 10)
    model.compile(optimizers.Adam(0.005), CLASSES, metrics=["accuracy"])
    training.fit(model, x[:300], y[:300], epochs=80, batch_size=30)


@healthy(seed=[0, 1])
def thirty_steps(training):
    """Stopped after thirty steps, on its way: .8 by then."""
    x, y = data.digits()
    model = _perceptron(64, [64, 32], 10)
    model.compile(optimizers.Adam(0.005), CLASSES, metrics=["accuracy"])
    training.fit(model, x[:960], y[:960], epochs=1)


@healthy(bits=[2, 4], seed=[0])
def parity(training):
    """XOR and the parity of four bits: flat for long, then it falls."""
    n = training.options["bits"]
    x = (np.arange(2**n)[:, None] >> np.arange(n)) % 2
    y = x.sum(axis=1) % 2
    x = np.tile(2.0 * x - 1, [256 // 2**n, 1]).astype("float32")
    model = keras.Sequential(
        [
            keras.Input([n]),
            layers.Dense(4 * n, "tanh", name="hidden"),
            layers.Dense(1, "sigmoid", name="odd"),
        ]
    )
    model.compile(
        optimizers.SGD(0.2 if n == 2 else 0.5),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    y = np.tile(y, 256 // 2**n)
    training.fit(model, x, y, batch_size=32, epochs=120)


@healthy(seed=[0, 1])
def noisy_labels(training):
    """Three of ten labels are wrong: .68 is near the best that there is."""
    random = np.random.default_rng(0)
    x = random.normal(size=[1500, 10]).astype("float32")
    y = x[:, 0] - x[:, 3] > 0
    y = np.where(random.uniform(size=1500) < 0.3, ~y, y).astype(int)
    model = keras.Sequential(
        [
            keras.Input([10]),
            layers.Dense(8, "relu", name="dense"),
            layers.Dense(1, "sigmoid", name="out"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=15, validation_data=held_out)
