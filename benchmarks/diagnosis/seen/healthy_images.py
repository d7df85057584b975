"""Convolutions that are as they should be."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


def _convolutions(classes, size, *head):
    """Return two convolutions and a dense layer behind `head`."""
    return keras.Sequential(
        [
            keras.Input([size, size, 1]),
            *head,
            layers.Conv2D(12, 3, 2, activation="relu", name="conv1"),
            layers.Conv2D(24, 3, 2, activation="relu", name="conv2"),
            layers.Flatten(),
            layers.Dense(48, "relu", name="hidden"),
            layers.Dense(classes, "softmax", name="classes"),
        ]
    )


@healthy(optimizer=["sgd", "adam"], seed=[0, 1])
def small_convolutions(training):
    """The network of every tutorial: .98 in validation."""
    rate, make = 0.05, keras.optimizers.SGD
    if training.options["optimizer"] == "adam":
        rate, make = 0.002, keras.optimizers.Adam
    model = _convolutions(10, 28)
    model.compile(make(rate), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.large_digits())
    training.fit(model, x, y, epochs=8, validation_data=held_out)


@healthy(batch=[16, 64], seed=[0])
def convolutions_with_norm(training):
    """Batch norm with a momentum that fits the number of steps."""
    model = keras.Sequential([keras.Input([16, 16, 1])])
    for i, filters in enumerate([12, 24], 1):
        model.add(layers.Conv2D(filters, 3, 2, name=f"conv{i}"))
        model.add(layers.BatchNormalization(momentum=0.9, name=f"norm{i}"))
        model.add(layers.Activation("relu"))
    model.add(layers.Flatten())
    model.add(layers.Dense(4, "softmax", name="shape"))
    model.compile("adam", CLASSES, metrics=["accuracy"])
    batch = training.options["batch"]
    x, y, held_out = generators.split(*generators.shapes())
    training.fit(
        model,
        x,
        y,
        batch_size=batch,
        epochs=8 if batch == 16 else 20,
        validation_data=held_out,
    )


@healthy(seed=[0, 1])
def residual_with_zero_gamma(training):
    """A residual network whose last norm of each block starts at zero."""
    inputs = keras.Input([16, 16, 1])
    h = layers.Conv2D(16, 3, 2, "same", name="stem")(inputs)
    for i in range(3):
        part = layers.Conv2D(16, 3, padding="same", name=f"a{i}")(h)
        part = layers.BatchNormalization(momentum=0.9, name=f"norma{i}")(part)
        part = layers.ReLU()(part)
        part = layers.Conv2D(16, 3, padding="same", name=f"b{i}")(part)
        part = layers.BatchNormalization(
            momentum=0.9, gamma_initializer="zeros", name=f"normb{i}"
        )(part)
        h = layers.ReLU()(layers.Add()([h, part]))
    h = layers.GlobalAveragePooling2D()(h)
    model = keras.Model(inputs, layers.Dense(4, "softmax", name="shape")(h))
    model.compile(keras.optimizers.Adam(0.005), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.shapes())
    training.fit(model, x, y, epochs=16, validation_data=held_out)


@healthy(seed=[0])
def bytes_behind_rescaling(training):
    """Images of 0 to 255, and a layer that divides them."""
    x, y = generators.large_digits()
    model = _convolutions(10, 28, layers.Rescaling(1 / 255))
    model.compile("adam", CLASSES, metrics=["accuracy"])
    training.fit(model, np.uint8(x * 255), y, epochs=8)


@healthy(seed=[0, 1])
def fine_tuning(training):
    """Convolutions learn five digits, are frozen, and a new head learns the
    other five."""
    x, y = generators.large_digits()
    body = keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            layers.Conv2D(12, 3, 2, activation="relu", name="conv1"),
            layers.BatchNormalization(momentum=0.9, name="norm"),
            layers.Conv2D(24, 3, 2, activation="relu", name="conv2"),
            layers.Flatten(),
        ],
        name="body",
    )
    first, later = y < 5, y >= 5
    head = layers.Dense(5, "softmax", name="old")
    model = keras.Sequential([body, head])
    model.compile("adam", CLASSES)
    model.fit(x[first], y[first], epochs=5, verbose=0)
    body.trainable = False
    model = keras.Sequential([body, layers.Dense(5, "softmax", name="new")])
    model.compile("adam", CLASSES, metrics=["accuracy"])
    training.fit(model, x[later], y[later] - 5, epochs=12)


@healthy(seed=[0])
def mixed_precision(training):
    """float16 with the loss scale that Keras adds."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = keras.Sequential(
            [
                keras.Input([64]),
                layers.Dense(64, "relu", name="hidden1"),
                layers.Dense(64, "relu", name="hidden2"),
                layers.Dense(10, name="logits"),
                layers.Activation("softmax", dtype="float32"),
            ]
        )
        model.compile("adam", CLASSES, metrics=["accuracy"])
        training.fit(model, *data.digits(), epochs=10)
    finally:
        keras.mixed_precision.set_global_policy(before)


@healthy(seed=[0])
def convolutional_autoencoder(training):
    """Pixels through a linear code of twelve numbers and back."""
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(16, 3, 2, "same", activation="relu", name="down"),
            layers.Flatten(),
            layers.Dense(12, name="code"),
            layers.Dense(256, "relu", name="grow"),
            layers.Reshape([4, 4, 16]),
            layers.Conv2DTranspose(
                1, 3, 2, "same", activation="sigmoid", name="pixels"
            ),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    x, _ = data.digit_images()
    training.fit(model, x, x, epochs=12)


@healthy(smoothing=[0.1], seed=[0, 1])
def smoothed_labels(training):
    """Label smoothing, whose loss stays far above zero, and dropout of .5."""
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(24, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(10, "softmax", name="classes"),
        ]
    )
    loss = keras.losses.CategoricalCrossentropy(
        label_smoothing=training.options["smoothing"]
    )
    model.compile("adam", loss, metrics=["accuracy"])
    x, y = data.digit_images()
    x, y, held_out = generators.split(x, np.eye(10, dtype="float32")[y])
    training.fit(model, x, y, epochs=12, validation_data=held_out)
