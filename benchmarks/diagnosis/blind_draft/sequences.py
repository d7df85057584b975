"""Sequences, masks and attention."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


def _walks(n, length=10, words=12):
    """Returns sequences of a chain in which most words have one follower."""
    r = np.random.default_rng(8)
    follower = r.permutation(words)
    x = np.zeros((n, length + 1), "int32")
    x[:, 0] = r.integers(0, words, n)
    for i in range(length):
        same = r.random(n) < 0.9
        x[:, i + 1] = np.where(same, follower[x[:, i]], r.integers(0, words, n))
    return x


@fault(
    cause="The mask tells which words not to see, while the attention layer "
    "expects those to see, so each word sees the future alone.",
    layers=["attention"],
    source="tensorflow/text #894",
)
def sees_the_future_alone(training):
    """ "A concerning 100 % accuracy": the look-ahead mask of the tutorial in
    Keras' own attention layer. In use, when the future is not yet written,
    it knows nothing. Accuracy of the next word BROKEN against REPAIRED."""
    walks = _walks(1200)
    x, y = walks[:, :-1], walks[:, 1:]
    x, y, xt, yt = sources.split(x, y)
    ahead = np.triu(np.ones((10, 10), bool), 1)[None]
    inputs = keras.Input((10,), dtype="int32")
    h = layers.Embedding(12, 24, name="words")(inputs)
    place = keras.Input((10,), dtype="int32")
    places = layers.Embedding(10, 24, name="places")(place)
    h = layers.Add()([h, places])
    mask = tf.constant(ahead if training.broken else ~ahead)
    a = layers.MultiHeadAttention(2, 12, name="attention")(
        h, h, attention_mask=mask
    )
    h = layers.LayerNormalization()(layers.Add()([h, a]))
    h = layers.Dense(48, activation="relu", name="wide")(h)
    out = layers.Dense(12, name="logits")(h)
    model = keras.Model([inputs, place], out)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.005), loss, metrics=["accuracy"])
    order = np.tile(np.arange(10), (len(x), 1))
    training.fit(model, [x, order], y, epochs=8, batch_size=32)
    right = []
    for i in range(1, 10):
        known = xt.copy()
        known[:, i:] = 0
        guess = np.asarray(model([known, order[: len(known)]]))
        guess = guess[:, i - 1].argmax(-1)
        right.append(np.mean(guess == yt[:, i - 1]))
    return {"accuracy": float(np.mean(right))}


@fault(
    cause="Padding is neither masked nor weighted, so most of the loss is "
    "about the class of the padding.",
    source="aneesh-joshi/LSTM_POS_Tagger #8",
)
def accuracy_of_the_padding(training):
    """A tagger with 99 % accuracy that tags hardly any word: it learns where
    the padding is. Accuracy of the words BROKEN against REPAIRED."""
    r = np.random.default_rng(9)
    n, length = 600, 40
    tag = r.integers(1, 6, 300)
    words = r.integers(1, 300, (n, length))
    words[np.arange(length) >= r.integers(2, 6, n)[:, None]] = 0
    tags = np.where(words > 0, tag[words], 0)
    after = np.roll(words, 1, 1) % 2 == 1
    tags = np.where((words > 0) & after & (tags == 5), 4, tags)
    x, y, xt, yt = sources.split(words, tags)
    model = keras.Sequential(
        [
            keras.Input((length,), dtype="int32"),
            layers.Embedding(
                300, 16, mask_zero=not training.broken, name="words"
            ),
            layers.GRU(24, return_sequences=True, name="reader"),
            layers.Dense(6, activation="softmax", name="tags"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=4, batch_size=32)
    guess = np.asarray(model(xt)).argmax(-1)
    return {"accuracy": float(np.mean((guess == yt)[xt > 0]))}


@fault(
    cause="A stateful layer carries its state into batches that are "
    "shuffled, so each text goes on from another one.",
    layers=["memory"],
    source="tensorflow/tensorflow #40067",
)
def state_of_another_text(training):
    """The tutorial of text generation has stateful=True and shuffles its
    batches: "I think the stateful parameter should be False". Accuracy
    BROKEN against REPAIRED."""
    r = np.random.default_rng(10)
    x = r.choice([-1.0, 1.0], (1024, 8, 1))
    y = (x.sum((1, 2)) > 0).astype("float32")[:, None]
    x, y, xt, yt = sources.split(x.astype("float32"), y)
    inputs = keras.Input(batch_shape=(32, 8, 1))
    h = layers.SimpleRNN(
        12, stateful=training.broken, activation="relu", name="memory"
    )(inputs)
    out = layers.Dense(1, activation="sigmoid", name="out")(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=12, batch_size=32)
    right = []
    for i in range(0, len(xt), 32):
        p = np.asarray(model(xt[i : i + 32]))
        right.append(np.mean((p > 0.5) == yt[i : i + 32]))
    return {"accuracy": float(np.mean(right))}


@fault(
    cause="Arrays of [sample, channel, time] are brought to [sample, time, "
    "channel] by reshape and not by transpose.",
    source="IcedDoggie/Micro-Expression-with-Deep-Learning #7",
)
def reshaped_for_transposed(training):
    """ "reshape seems to mess up the data": the code runs without any issue
    and learns little, since times and channels are mixed. Accuracy BROKEN
    against REPAIRED."""
    r = np.random.default_rng(11)
    n, length = 900, 24
    y = r.integers(0, 4, n)
    t = np.arange(length) / length
    phase = r.uniform(0, 6, (n, 1))
    speed = np.where(y < 2, 2, 3)[:, None]
    a = np.sin(2 * np.pi * speed * t + phase)
    shift = np.where(y % 2 == 0, 0.7, -0.7)[:, None]
    b = np.sin(2 * np.pi * speed * t + phase + shift)
    c = r.normal(size=(n, length))
    raw = np.stack([a, b, c], 1) + r.normal(0, 0.4, (n, 3, length))
    raw = raw.astype("float32")
    if training.broken:
        x = raw.reshape(n, length, 3)
    else:
        x = raw.transpose(0, 2, 1)
    x, y, xt, yt = sources.split(x, y)
    model = keras.Sequential(
        [
            keras.Input((length, 3)),
            layers.Conv1D(16, 5, activation="relu", name="conv_1"),
            layers.Conv1D(16, 5, activation="relu", name="conv_2"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(4, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)
