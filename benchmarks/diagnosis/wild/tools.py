"""Steps and measures that several modules share."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def perceptron(inputs, units, outputs, last=None, name="dense"):
    """Returns ReLU layers `name_1`, `name_2`, ... and a layer `out`."""
    model = keras.Sequential([keras.Input((inputs,))])
    for i, width in enumerate(units, 1):
        model.add(layers.Dense(width, activation="relu", name=f"{name}_{i}"))
    model.add(layers.Dense(outputs, activation=last, name="out"))
    return model


def minimise(model, optimizer, loss):
    """Returns a compiled step `(x, y) -> loss` of a loop of one's own."""

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)
        return value

    return step


def neighbours(embed, x, y, xt, yt, k=5) -> dict:
    """Returns the share of test samples whose class is that of most of their
    nearest neighbours, by the cosine."""

    def unit(images):
        e = np.asarray(embed(images), "float32")
        return e / (np.linalg.norm(e, axis=1, keepdims=True) + 1e-9)

    near = np.argsort(-unit(xt) @ unit(x).T, axis=1)[:, :k]
    votes = [np.bincount(row).argmax() for row in y[near]]
    return {"accuracy": float(np.mean(np.array(votes) == yt))}


def shifted(images, r, most=1):
    """Returns images `[n, 8, 8, 1]`, each moved by up to `most` pixels."""
    moves = r.integers(-most, most + 1, (len(images), 2))
    return np.stack(
        [
            np.roll(image, move, (0, 1))
            for image, move in zip(images, moves, strict=True)
        ]
    )


def shares(model, x, y) -> dict:
    """Returns the share of right classes and the error of a `model` that
    gives logits."""
    logits = tf.cast(model(x, training=False), tf.float32)
    error = keras.losses.sparse_categorical_crossentropy(
        y, logits, from_logits=True
    )
    right = np.mean(np.argmax(logits, -1) == y)
    return {"accuracy": float(right), "loss": float(np.mean(error))}
