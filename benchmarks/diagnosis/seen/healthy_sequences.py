"""Recurrent networks, attention and embeddings that are as they should be."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, optimizers

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


@healthy(cell=["LSTM", "GRU"], seed=[0])
def next_price(training):
    """A scaled price, and the one that follows."""
    x, y = generators.prices()
    model = keras.Sequential(
        [
            keras.Input([20, 1]),
            getattr(layers, training.options["cell"])(24, name="cell"),
            layers.Dense(1, name="next"),
        ]
    )
    model.compile(optimizers.Adam(0.003), "mse")
    x, y, held_out = generators.split((x - 4000) / 500, (y - 4000) / 500)
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@healthy(seed=[0, 1])
def sentiment(training):
    """Word ids, an embedding and an LSTM."""
    model = keras.Sequential(
        [
            keras.Input([30], dtype="int32"),
            layers.Embedding(400, 16, name="words"),
            layers.LSTM(16, name="lstm"),
            layers.Dense(1, "sigmoid", name="positive"),
        ]
    )
    model.compile(
        optimizers.Adam(0.005), "binary_crossentropy", metrics=["accuracy"]
    )
    x, y, held_out = generators.split(*generators.reviews())
    training.fit(model, x, y, epochs=8, validation_data=held_out)


@healthy(words=[400, 5000], seed=[0])
def mean_of_embeddings(training):
    """A large vocabulary, of which a batch uses few rows."""
    words = training.options["words"]
    model = keras.Sequential(
        [
            keras.Input([30], dtype="int32"),
            layers.Embedding(words, 16, name="words"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, "relu", name="dense"),
            layers.Dense(1, "sigmoid", name="positive"),
        ]
    )
    model.compile(
        optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"]
    )
    x, y, held_out = generators.split(*generators.reviews(words=words))
    training.fit(model, x, y, epochs=10, validation_data=held_out)


@healthy(seed=[0, 1])
def transformer(training):
    """Two blocks with norms before, and a mean over time."""
    inputs = keras.Input([30], dtype="int32")
    places = layers.Embedding(30, 24, name="places")(np.arange(30))
    h = layers.Embedding(400, 24, name="words")(inputs) + places
    for i in range(2):
        part = layers.LayerNormalization(name=f"norm_a{i}")(h)
        attention = layers.MultiHeadAttention(2, 12, name=f"attention{i}")
        h = h + attention(part, part)
        part = layers.LayerNormalization(name=f"norm_b{i}")(h)
        part = layers.Dense(48, "gelu", name=f"up{i}")(part)
        h = h + layers.Dense(24, name=f"down{i}")(part)
    h = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h))
    model = keras.Model(inputs, layers.Dense(1, "sigmoid", name="out")(h))
    model.compile(
        optimizers.Adam(0.002), "binary_crossentropy", metrics=["accuracy"]
    )
    x, y, held_out = generators.split(*generators.reviews())
    training.fit(model, x, y, epochs=6, validation_data=held_out)


@healthy(seed=[0, 1])
def attention_pooling(training):
    """A softmax over time finds the marked item."""
    inputs = keras.Input([12, 7])
    scores = layers.Dense(16, "tanh", name="keys")(inputs)
    scores = layers.Dense(1, name="scores")(scores)
    weights = layers.Softmax(axis=1, name="weights")(scores)
    values = layers.Dense(16, name="values")(inputs)
    context = layers.Flatten()(layers.Dot(axes=1)([weights, values]))
    model = keras.Model(inputs, layers.Dense(6, "softmax", name="out")(context))
    model.compile(optimizers.Adam(0.01), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.marked())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@healthy(seed=[0])
def convolutions_over_words(training):
    """A text network with one convolution and the largest value over time."""
    model = keras.Sequential(
        [
            keras.Input([30], dtype="int32"),
            layers.Embedding(400, 16, name="words"),
            layers.Dropout(0.3, name="drop"),
            layers.Conv1D(24, 3, activation="relu", name="conv"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1, "sigmoid", name="positive"),
        ]
    )
    model.compile(
        optimizers.Adam(0.005), "binary_crossentropy", metrics=["accuracy"]
    )
    x, y, held_out = generators.split(*generators.reviews())
    training.fit(model, x, y, epochs=10, validation_data=held_out)
