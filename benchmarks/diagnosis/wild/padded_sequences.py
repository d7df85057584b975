"""Sequences and masks.

Sources, one for each case:
aneesh-joshi/LSTM_POS_Tagger #8 (padding among the tags);
tensorflow/text #894 (a mask of the other convention).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


def tagged(n=800, length=50, words=40, tags=8):
    """Returns sentences of 3 to 7 words, padded with 0, and a tag from 1 of
    each word, that depends on the word before."""
    r = np.random.default_rng(0)
    table = r.integers(1, tags + 1, (words, 2))
    x = r.integers(1, words, (n, length))
    before = np.roll(x, 1, 1) % 2
    before[:, 0] = 0
    y = table[x, before]
    real = np.arange(length) < r.integers(3, 8, (n, 1))
    return (x * real).astype("int32"), (y * real).astype("int32")


@fault(
    "unmasked-padding",
    cause="the padding is not masked, so nine of ten tags to predict are "
    "that of the padding, and the words' tags hardly count",
    layers=["embed"],
    source="aneesh-joshi/LSTM_POS_Tagger #8",
)
def tags_of_padding(training):
    """As posted: "You're padding but never use mask_zero=True. Does this not
    cause your progress to be based on guessing where the paddings are?" Nine
    of ten steps are padding. Accuracy .64 against .96."""
    x, y, xt, yt = sources.split(*tagged())
    model = keras.Sequential(
        [
            keras.Input((50,)),
            layers.Embedding(
                40, 16, mask_zero=not training.broken, name="embed"
            ),
            layers.LSTM(32, return_sequences=True, name="lstm"),
            layers.Dense(9, activation="softmax", name="tags"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    guess = model.predict(xt, verbose=0).argmax(-1)
    return {"accuracy": float(np.mean((guess == yt)[xt > 0]))}


def motifs(n=1500, length=13):
    """Returns sequences in which each token is that of three steps ago."""
    r = np.random.default_rng(0)
    motif = r.integers(0, 10, (n, 3))
    return np.tile(motif, (1, 5))[:, :length].astype("int32")


@fault(
    cause="the look-ahead mask is 1 where one must not look, and Keras wants "
    "1 where one may, so each step attends to what it is to predict",
    layers=["attend"],
    source="tensorflow/text #894",
)
def mask_of_the_future(training):
    """As posted: "My model was paying attention to every future token", with
    "100% accuracy and near-zero loss quickly": the tutorial's mask, 1 for
    hidden, in Keras' layer. Accuracy .50 against 1.00."""
    x, _, xt, _ = sources.split(motifs(), motifs())
    steps = 12
    mask = np.tril(np.ones((1, steps, steps), bool))
    if training.broken:
        mask = ~mask
    inputs = keras.Input((steps,), dtype="int32")
    places = ops.zeros_like(inputs) + ops.arange(steps, dtype="int32")
    wide = keras.initializers.RandomNormal(stddev=0.5)
    h = layers.Embedding(10, 32, wide, name="tokens")(inputs)
    h = h + layers.Embedding(steps, 32, wide, name="places")(places)
    a = layers.MultiHeadAttention(2, 32, name="attend")(
        h, h, attention_mask=mask
    )
    h = layers.LayerNormalization(name="norm")(h + a)
    h = layers.Dense(64, activation="relu", name="wide")(h)
    model = keras.Model(inputs, layers.Dense(10, name="logits")(h))
    model.compile(
        keras.optimizers.Adam(0.003),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    training.fit(model, x[:, :-1], x[:, 1:], epochs=12, batch_size=32)
    last = model.predict(xt[:, :-1], verbose=0)[:, -1].argmax(-1)
    return {"accuracy": float(np.mean(last == xt[:, -1]))}
