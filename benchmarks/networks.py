"""The networks that are timed, with one batch of random data each."""

from __future__ import annotations

import keras
import numpy as np

BATCH = 128


def mlp():
    """A few large variables: what counts is the number of elements."""
    hidden = [keras.layers.Dense(512, "relu") for _ in range(2)]
    return keras.Sequential([keras.Input([784]), *hidden, output()])


def conv_net():
    """Small variables, much arithmetic: observing should not show."""
    return keras.Sequential(
        [
            keras.Input([28, 28, 1]),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            output(),
        ]
    )


def deep_mlp():
    """Many small variables: what counts is the number of operations."""
    hidden = [keras.layers.Dense(64, "relu") for _ in range(49)]
    return keras.Sequential([keras.Input([64]), *hidden, output()])


def transformer():
    """Four blocks of attention and a feed-forward layer, of width 128."""
    inputs = keras.Input([32], dtype="int32")
    h = keras.layers.Embedding(1000, 128)(inputs)
    for _ in range(4):
        normed = keras.layers.LayerNormalization()(h)
        h += keras.layers.MultiHeadAttention(4, 32)(normed, normed)
        normed = keras.layers.LayerNormalization()(h)
        wide = keras.layers.Dense(512, "gelu")(normed)
        h += keras.layers.Dense(128)(wide)
    pooled = keras.layers.GlobalAveragePooling1D()(h)
    return keras.Model(inputs, output()(pooled))


def output():
    return keras.layers.Dense(10)


NETWORKS = {
    "MLP 784-512-512-10": mlp,
    "small conv net": conv_net,
    "50 layers of 64": deep_mlp,
    "small transformer": transformer,
}


def compiled(network, jit_compile: bool = False) -> keras.Model:
    """Return a new model that is ready to train."""
    model = network()
    model.compile(
        keras.optimizers.Adam(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    # As `fit` does: a program that makes slots is traced twice.
    model.optimizer.build(model.trainable_variables)
    return model


def batch(model):
    """Return inputs and labels of one batch."""
    random = np.random.default_rng(0)
    shape = (BATCH, *model.input_shape[1:])
    inputs = random.normal(size=shape).astype("float32")
    if model.inputs[0].dtype == "int32":
        inputs = random.integers(1000, size=shape).astype("int32")
    return inputs, random.integers(10, size=BATCH)
