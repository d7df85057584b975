"""Healthy networks for pictures: convolutions, residuals, autoencoders."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.known import sources

_LOSS = "sparse_categorical_crossentropy"


def _score(model, xt, yt) -> dict:
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@healthy(norm=[False, True], optimizer=["adam", "sgd"])
def convolutions(training):
    """Two convolutions, with or without batch norm."""
    x, y, xt, yt = sources.images()
    model = keras.Sequential([keras.Input([8, 8, 1])])
    for i in range(2):
        model.add(layers.Conv2D(16, 3, name=f"conv_{i}"))
        if training.options["norm"]:
            model.add(layers.BatchNormalization(momentum=0.9, name=f"norm_{i}"))
        model.add(layers.ReLU(name=f"relu_{i}"))
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(10, activation="softmax", name="digit"))
    optimizer = {
        "adam": keras.optimizers.Adam(3e-3),
        "sgd": keras.optimizers.SGD(0.03, momentum=0.9, nesterov=True),
    }[training.options["optimizer"]]
    model.compile(optimizer, _LOSS, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=12, batch_size=32, validation_data=(xt, yt)
    )
    return _score(model, xt, yt)


@healthy(seed=[1])
def residual_with_zero_gamma(training):
    """A residual network whose last gammas of each block start at zero."""
    x, y, xt, yt = sources.images()
    inputs = keras.Input([8, 8, 1])
    h = layers.Conv2D(16, 3, padding="same", name="stem")(inputs)
    for i in range(2):
        more = layers.Conv2D(16, 3, padding="same", name=f"conv_{i}")(h)
        more = layers.BatchNormalization(
            momentum=0.9, gamma_initializer="zeros", name=f"norm_{i}"
        )(more)
        h = layers.ReLU(name=f"relu_{i}")(h + more)
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    out = layers.Dense(10, activation="softmax", name="digit")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.01), _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=12, batch_size=32)
    return _score(model, xt, yt)


@healthy(head=["zeros"], seed=[3])
def head_of_zeros(training):
    """The last layer starts at zero, as many recommend."""
    x, y, xt, yt = sources.images()
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(24, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(48, activation="gelu", name="hidden"),
            layers.Dense(
                10,
                activation="softmax",
                kernel_initializer=training.options["head"],
                name="digit",
            ),
        ]
    )
    model.compile(keras.optimizers.Nadam(3e-3), _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=12, batch_size=64)
    return _score(model, xt, yt)


@healthy(policy=["mixed_float16", "mixed_bfloat16"])
def mixed_precision(training):
    """A network in mixed precision, scaled by Keras where it has to be."""
    x, y, xt, yt = sources.digits()
    keras.config.set_dtype_policy(training.options["policy"])
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation="relu", name="hidden_1"),
            layers.Dense(64, activation="relu", name="hidden_2"),
            layers.Dense(10, name="scores"),
            layers.Activation("softmax", dtype="float32", name="digit"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), _LOSS, metrics=["accuracy"])
    keras.config.set_dtype_policy("float32")
    training.fit(model, x, y, epochs=12, batch_size=64)
    return _score(model, xt, yt)


@healthy(norm=["batch"])
def pretrained_and_frozen(training):
    """Features of five digits, with batch norm, are frozen for the others."""
    x, y, xt, yt = sources.images()
    eyes = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(24, 3, name="eyes_1"),
            layers.BatchNormalization(momentum=0.9, name="eyes_norm"),
            layers.ReLU(name="eyes_relu"),
            layers.Conv2D(24, 3, activation="relu", name="eyes_2"),
            layers.Flatten(name="flat"),
        ],
        name="eyes",
    )
    old = keras.Sequential([eyes, layers.Dense(5, "softmax", name="old")])
    old.compile(keras.optimizers.Adam(3e-3), _LOSS)
    old.fit(x[y < 5], y[y < 5], epochs=8, batch_size=32, verbose=0)
    eyes.trainable = False
    inputs = keras.Input([8, 8, 1])
    h = eyes(inputs, training=False)
    h = layers.Dense(32, activation="relu", name="hidden")(h)
    model = keras.Model(inputs, layers.Dense(5, "softmax", name="new")(h))
    model.compile(keras.optimizers.Adam(3e-3), _LOSS, metrics=["accuracy"])
    training.fit(model, x[y > 4], y[y > 4] - 5, epochs=15, batch_size=32)
    return _score(model, xt[yt > 4], yt[yt > 4] - 5)


@healthy(noise=[0.0, 0.3])
def autoencoder(training):
    """An autoencoder of digits, with and without noise on its inputs."""
    x, _, xt, _ = sources.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.GaussianNoise(training.options["noise"], name="noise"),
            layers.Dense(64, activation="relu", name="encode"),
            layers.Dense(20, activation="relu", name="code"),
            layers.Dense(64, activation="relu", name="decode"),
            layers.Dense(64, activation="sigmoid", name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    training.fit(model, x, x, epochs=25, batch_size=32)
    mean = np.mean((xt - x.mean(0)) ** 2)
    error = np.mean((model.predict(xt, verbose=0) - xt) ** 2)
    return {"unexplained of the mean picture": error / mean}


@healthy(loss=["cross-entropy"])
def segmentation(training):
    """Convolutions with a short cut tell the class of each pixel."""
    x, y, xt, yt = sources.shapes(300)
    inputs = keras.Input([16, 16, 1])
    fine = layers.Conv2D(8, 3, padding="same", activation="relu", name="fine")(
        inputs
    )
    h = layers.MaxPooling2D(2, name="down")(fine)
    h = layers.Conv2D(16, 3, padding="same", activation="relu", name="deep")(h)
    h = layers.UpSampling2D(2, name="up")(h)
    h = layers.Concatenate(name="both")([fine, h])
    out = layers.Conv2D(3, 3, padding="same", activation="softmax", name="out")(
        h
    )
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(5e-3), _LOSS, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=12, batch_size=16, validation_data=(xt, yt)
    )
    return _score(model, xt, yt)


@healthy(seed=[0, 4])
def adversaries(training):
    """A GAN learns the mean and the slope of points on a line."""
    random = np.random.default_rng(0)
    maker = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(24, activation="relu", name="make_1"),
            layers.Dense(2, name="make_2"),
        ]
    )
    judge = keras.Sequential(
        [
            keras.Input([2]),
            layers.Dense(24, name="judge_1"),
            layers.LeakyReLU(0.2, name="leak"),
            layers.Dense(1, name="judge_2"),
        ]
    )
    making = training.wrap(keras.optimizers.Adam(2e-3, 0.5), model=maker)
    judging = keras.optimizers.Adam(4e-3, 0.5)
    cross = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(real, noise):
        with tf.GradientTape(persistent=True) as tape:
            fake = maker(noise, training=True)
            yes, no = judge(real, training=True), judge(fake, training=True)
            caught = cross(tf.ones_like(yes), yes) + cross(
                tf.zeros_like(no), no
            )
            fooled = cross(tf.ones_like(no), no)
        variables = judge.trainable_variables
        judging.apply(tape.gradient(caught, variables), variables)
        variables = maker.trainable_variables
        making.apply(tape.gradient(fooled, variables), variables)

    for _ in range(800):
        along = random.normal(2, 1, (128, 1))
        real = np.hstack([along, 0.5 * along + random.normal(0, 0.1, (128, 1))])
        noise = random.normal(0, 1, (128, 4))
        step(real.astype("float32"), noise.astype("float32"))
    fake = maker.predict(random.normal(0, 1, (2000, 4)), verbose=0)
    return {"mean 2": fake[:, 0].mean(), "mean 1": fake[:, 1].mean()}


@healthy(steps=[4])
def accumulated_gradients(training):
    """Keras adds up the gradients of four batches of eight."""
    x, y, xt, yt = sources.images()
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(16, 3, activation="swish", name="conv_1"),
            layers.Conv2D(16, 3, activation="swish", name="conv_2"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    optimizer = keras.optimizers.Adam(
        5e-3, gradient_accumulation_steps=training.options["steps"]
    )
    model.compile(optimizer, _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=8, batch_size=8)
    return _score(model, xt, yt)


@healthy(dropout=[0.5])
def heavy_regularisation(training):
    """Dropout of one half, AdamW, label smoothing: all that is usual."""
    x, y, xt, yt = sources.images()
    rate = training.options["dropout"]
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            layers.SpatialDropout2D(0.1, name="drop_maps"),
            layers.Conv2D(32, 3, activation="relu", name="conv_2"),
            layers.Flatten(name="flat"),
            layers.Dropout(rate, name="drop_1"),
            layers.Dense(128, activation="relu", name="hidden"),
            layers.Dropout(rate, name="drop_2"),
            layers.Dense(10, name="logits"),
        ]
    )
    optimizer = keras.optimizers.AdamW(2e-3, weight_decay=0.02)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1
    )
    model.compile(optimizer, loss, metrics=["accuracy"])
    hot = np.eye(10, dtype="float32")
    training.fit(
        model,
        x,
        hot[y],
        epochs=15,
        batch_size=64,
        validation_data=(xt, hot[yt]),
    )
    return _score(model, xt, yt)
