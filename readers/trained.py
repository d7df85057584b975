"""A training that the programs of tools with a mirror observe."""

from __future__ import annotations

import keras
import numpy as np

import gradscope

#: Steps that are made, and recorded.
STEPS = 40


def fit(logdir: str, mirror: str | None = None, *more) -> None:
    """Train a network with a fault, for which there is a finding."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Dense(
            4, "relu", kernel_initializer="zeros", name="dense_10"
        ),
        keras.layers.Dense(1, name="dense_11"),
    ]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    callback = gradscope.Callback(logdir, mirror=mirror)
    model.fit(x, x[:, :1], 2, epochs=2, verbose=0, callbacks=[callback, *more])
