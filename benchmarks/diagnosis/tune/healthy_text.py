"""Healthy networks for words and waves."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.tune.generators import bags, reviews, tagged, waves

layers = keras.layers
Dense = layers.Dense
Adam = keras.optimizers.Adam


def binary(model, optimizer=None):
    """Return the model, ready to tell good reviews from bad ones."""
    optimizer = optimizer or Adam(5e-3)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


@healthy(seed=[0, 3])
def lstm_of_words(training):
    """Raw word numbers, masked, into an LSTM."""
    model = binary(
        keras.Sequential(
            [
                keras.Input([30]),
                layers.Embedding(500, 16, mask_zero=True),
                layers.LSTM(16),
                Dense(1, "sigmoid"),
            ]
        )
    )
    return training.fit(model, *reviews(), epochs=6, batch_size=32)


@healthy(optimizer=["rmsprop"])
def gru_of_waves(training):
    """A GRU, with gradients clipped to norm 1."""
    model = keras.Sequential(
        [keras.Input([32, 1]), layers.GRU(24), Dense(3, "softmax")]
    )
    kind = {"rmsprop": keras.optimizers.RMSprop, "adam": Adam}
    optimizer = kind[training.options["optimizer"]](5e-3, clipnorm=1.0)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    return training.fit(model, *waves(), epochs=10, batch_size=32)


@healthy(seed=[0])
def tagger(training):
    """A tag for each word, by LSTMs in both directions."""
    rnn = layers.LSTM(12, return_sequences=True)
    model = keras.Sequential(
        [
            keras.Input([16]),
            layers.Embedding(30, 16),
            layers.Bidirectional(rnn),
            Dense(3, "softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(Adam(1e-2), loss, metrics=["accuracy"])
    return training.fit(model, *tagged(), epochs=8, batch_size=32)


@healthy(norm_first=[True, False])
def transformer(training):
    """Two blocks of attention, with positions and a warm-up."""
    words = keras.Input([30])
    places = keras.ops.zeros_like(words) + np.arange(30)
    h = layers.Embedding(500, 32)(words) + layers.Embedding(30, 32)(places)
    before = training.options["norm_first"]
    for _ in range(2):
        for part in (
            lambda x: layers.MultiHeadAttention(2, 16)(x, x),
            lambda x: Dense(32)(Dense(64, "gelu")(x)),
        ):
            norm = layers.LayerNormalization()
            h = h + part(norm(h)) if before else norm(h + part(h))
    h = layers.GlobalAveragePooling1D()(h)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 180, warmup_target=3e-3, warmup_steps=40
    )
    model = binary(keras.Model(words, Dense(1, "sigmoid")(h)), Adam(rate))
    return training.fit(model, *reviews(), epochs=7, batch_size=32)


@healthy(optimizer=["adam"])
def mostly_unused_words(training):
    """An embedding of 20000 rows, of which 500 are used."""
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Embedding(20000, 8),
            layers.GlobalAveragePooling1D(),
            Dense(16, "relu"),
            Dense(1, "sigmoid"),
        ]
    )
    sgd = keras.optimizers.SGD(1.0, momentum=0.9)
    adam = Adam(1e-2)
    binary(model, adam if training.options["optimizer"] == "adam" else sgd)
    return training.fit(model, *reviews(), epochs=20, batch_size=32)


@healthy(seed=[1])
def bag_of_words(training):
    """Counts of 500 words, nearly all of them zero."""
    model = binary(
        keras.Sequential(
            [keras.Input([500]), Dense(32, "relu"), Dense(1, "sigmoid")]
        ),
        Adam(2e-3),
    )
    return training.fit(model, *bags(), epochs=12, batch_size=32)


@healthy(seed=[0])
def convolution_of_words(training):
    """A convolution over words, and the largest answer counts."""
    model = binary(
        keras.Sequential(
            [
                keras.Input([30]),
                layers.Embedding(500, 16),
                layers.Conv1D(32, 3, activation="relu"),
                layers.GlobalMaxPooling1D(),
                layers.Dropout(0.3),
                Dense(1, "sigmoid"),
            ]
        )
    )
    return training.fit(
        model, *reviews(), epochs=8, batch_size=32, validation_split=0.2
    )


@healthy(seed=[2])
def pooled_by_attention(training):
    """Words are averaged by a softmax over the sentence."""
    words = keras.Input([30])
    h = layers.Embedding(500, 16)(words)
    h = Dense(32, "tanh")(h)
    weight = keras.ops.softmax(Dense(1)(h), axis=1)
    pooled = keras.ops.sum(weight * h, axis=1)
    model = binary(keras.Model(words, Dense(1, "sigmoid")(pooled)))
    return training.fit(model, *reviews(), epochs=8, batch_size=32)
