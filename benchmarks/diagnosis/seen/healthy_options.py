"""Options of training, and models of several parts."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, optimizers, regularizers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


def _perceptron(**options):
    """Return 64-64-32-10."""
    return keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, "relu", name="dense1", **options),
            layers.Dense(32, "relu", name="dense2", **options),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )


@healthy(seed=[0])
def warm_up_and_cosine(training):
    """The rate starts at zero, rises, and falls to zero."""
    schedule = optimizers.schedules.CosineDecay(
        0.0, 400, warmup_target=0.01, warmup_steps=40
    )
    model = _perceptron()
    model.compile(optimizers.Adam(schedule), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=10, validation_data=held_out)


@healthy(clip=["clipnorm", "clipvalue", "global_clipnorm"], seed=[0])
def clipped(training):
    """Clipping that acts at the start, if at all."""
    limit = {training.options["clip"]: 1.0}
    model = _perceptron()
    optimizer = optimizers.SGD(0.05, momentum=0.9, **limit)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    training.fit(model, *data.digits(), epochs=8)


@healthy(penalty=[1e-4, 1e-3], seed=[0])
def usual_l2(training):
    """L2 of usual size."""
    l2 = regularizers.L2(training.options["penalty"])
    model = _perceptron(kernel_regularizer=l2)
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@healthy(option=["jit_compile", "steps_per_execution", "run_eagerly"], seed=[0])
def ways_to_compile(training):
    """The same network in the ways in which Keras runs it."""
    option = training.options["option"]
    value = 5 if option == "steps_per_execution" else True
    model = _perceptron()
    model.compile("adam", CLASSES, metrics=["accuracy"], **{option: value})
    training.fit(model, *data.digits(), epochs=3 if value is True else 8)


@healthy(seed=[0])
def resumed(training):
    """Five epochs, and five more in a second `fit`."""
    x, y = data.digits()
    model = _perceptron()
    model.compile("adam", CLASSES, metrics=["accuracy"])
    training.fit(model, x, y, epochs=5)
    training.fit(model, x, y, epochs=10, initial_epoch=5)


@healthy(seed=[0])
def long_run(training):
    """Fifteen hundred steps with a small rate."""
    x, y, held_out = generators.split(*data.digits())
    model = _perceptron()
    model.compile(optimizers.SGD(0.05), CLASSES, metrics=["accuracy"])
    training.fit(
        model, x, y, batch_size=24, epochs=25, validation_data=held_out
    )


@healthy(seed=[0])
def two_outputs(training):
    """One head tells the digit, the other how much ink there is."""
    x, y = data.digits()
    ink = x.sum(axis=1, keepdims=True) / 10 - 2
    inputs = keras.Input([64])
    h = layers.Dense(64, "relu", name="shared")(inputs)
    digit = layers.Dense(10, "softmax", name="digit")(h)
    model = keras.Model(
        inputs, {"digit": digit, "ink": layers.Dense(1, name="ink")(h)}
    )
    model.compile(
        "adam",
        {"digit": CLASSES, "ink": "mse"},
        metrics={"digit": ["accuracy"]},
    )
    training.fit(model, x, {"digit": y, "ink": ink}, epochs=10)


@healthy(seed=[0, 1])
def image_and_table(training):
    """The upper half of an image, and the lower one as a table."""
    x, y = data.digit_images()
    image, table = keras.Input([4, 8, 1]), keras.Input([32])
    a = layers.Conv2D(16, 3, activation="relu", name="conv")(image)
    b = layers.Dense(32, "relu", name="table")(table)
    h = layers.Concatenate()([layers.Flatten()(a), b])
    h = layers.Dense(32, "relu", name="both")(h)
    outputs = layers.Dense(10, "softmax", name="classes")(h)
    model = keras.Model([image, table], outputs)
    model.compile("adam", CLASSES, metrics=["accuracy"])
    parts = [x[:, :4], x[:, 4:].reshape(-1, 32)]
    training.fit(model, parts, y, epochs=8)


@healthy(seed=[0])
def siamese(training):
    """Are two digits the same? By the distance of their codes."""
    x, y = data.digits()
    random = np.random.default_rng(0)
    left, right = random.integers(0, len(x), [2, 12000])
    same = (y[left] == y[right]).astype("float32")
    keep = random.permutation(
        np.r_[np.flatnonzero(same), np.flatnonzero(same == 0)[:1500]]
    )
    tower = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, "relu", name="dense"),
            layers.Dense(16, name="code"),
        ]
    )
    a, b = keras.Input([64]), keras.Input([64])
    difference = keras.ops.abs(tower(a) - tower(b))
    outputs = layers.Dense(1, "sigmoid", name="same")(difference)
    model = keras.Model([a, b], outputs)
    model.compile(
        optimizers.Adam(0.003), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, [x[left[keep]], x[right[keep]]], same[keep], epochs=6)


@healthy(seed=[0, 1])
def sparse_input(training):
    """Bags of words: of 400 columns some 27 are not zero."""
    ids, y = generators.reviews()
    x = np.zeros([len(ids), 400], "float32")
    np.put_along_axis(x, ids, 1, axis=1)
    model = keras.Sequential(
        [
            keras.Input([400]),
            layers.Dense(24, "relu", name="dense"),
            layers.Dense(1, "sigmoid", name="positive"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=10, validation_data=held_out)
