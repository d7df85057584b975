"""Attention that looks at the wrong things."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


class Heads(layers.Layer):
    """Attention of several heads, which stand behind each other in the first
    axis, with a mask of the keys `[batch, keys]`."""

    def __init__(self, heads, size, repeats, **options):
        super().__init__(**options)
        self.heads, self.size, self.repeats = heads, size, repeats
        self.query, self.key, self.value = (
            layers.Dense(heads * size) for _ in range(3)
        )
        self.out = layers.Dense(heads * size)

    def build(self, shape):
        for layer in (self.query, self.key, self.value):
            layer.build(shape)
        self.out.build((*shape[:-1], self.heads * self.size))

    def split(self, x):
        """Return `[heads · batch, places, size]`."""
        places = ops.shape(x)[1]
        x = ops.reshape(x, (-1, places, self.heads, self.size))
        x = ops.transpose(x, (2, 0, 1, 3))
        return ops.reshape(x, (-1, places, self.size))

    def call(self, x, there):
        q, k, v = (
            self.split(layer(x)) for layer in (self.query, self.key, self.value)
        )
        if self.repeats:
            there = ops.repeat(there, self.heads, 0)
        else:
            there = ops.tile(there, (self.heads, 1))
        score = ops.matmul(q, ops.transpose(k, (0, 2, 1)))
        score = score / self.size**0.5
        score = score + 1e9 * (there[:, None] - 1)
        found = ops.matmul(ops.softmax(score), v)
        parts = ops.split(found, self.heads, 0)
        return self.out(ops.concatenate(parts, -1))


def _marked(n=2000, size=10, seed=5):
    """Make lists of 4 to 10 numbers, padded with rubbish, how long each is,
    and its largest number."""
    r = np.random.default_rng(seed)
    long = r.integers(2, size + 1, n)
    x = r.integers(0, 20, (n, size))
    there = np.arange(size) < long[:, None]
    y = np.where(there, x, -1).max(1)
    return np.concatenate([x, there], 1).astype("int32"), y


@fault(
    cause="The heads are stacked head by head and the mask is repeated "
    "example by example, so most examples are masked with the mask of "
    "another one.",
    layers=["heads"],
    source="https://github.com/lsdefine/"
    "attention-is-all-you-need-keras/issues/36",
)
def masks_of_other_examples(training):
    """The largest number of a padded list, with attention written by hand."""
    x, y, xt, yt = sources.split(*_marked())
    inputs = keras.Input((20,), dtype="int32")
    there = ops.cast(inputs[:, 10:], "float32")
    h = layers.Embedding(20, 32, name="numbers")(inputs[:, :10])
    found = Heads(4, 8, training.broken, name="heads")(h, there)
    h = layers.Dense(64, activation="relu", name="hidden")(found[:, 0])
    out = layers.Dense(20, activation="softmax", name="out")(h)
    model = keras.Model(inputs, out)
    training.fit(
        sources.classifier(model, 0.005), x, y, epochs=10, batch_size=32
    )
    return sources.accuracy(model, xt, yt)


class Places(layers.Layer):
    """Adds sines and cosines of the places."""

    def __init__(self, broken, **options):
        super().__init__(**options)
        self.broken = broken
        rate = 10 ** (-np.arange(0, 24, 2) / 12)
        angle = np.arange(64)[:, None] * rate
        waves = np.concatenate([np.sin(angle), np.cos(angle)], 1)
        self.waves = tf.constant(waves, "float32")

    def call(self, x):
        if self.broken:
            return x + self.waves[: tf.shape(x)[0], None]
        return x + self.waves[None, : tf.shape(x)[1]]


@fault(
    cause="The encoding of the places is added along the batch axis, so all "
    "words of an example get the same one and their order is lost.",
    layers=["places"],
    source="https://github.com/AkiRusProd/numpy-transformer/issues/1",
)
def places_along_the_batch(training):
    """Which of two marked words comes first."""
    r = np.random.default_rng(6)
    x = r.integers(2, 30, (2000, 8))
    spots = np.argsort(r.random((2000, 8)), 1)[:, :2]
    np.put_along_axis(x, spots[:, :1], 0, 1)
    np.put_along_axis(x, spots[:, 1:], 1, 1)
    y = (spots[:, 0] < spots[:, 1]).astype("float32")[:, None]
    x, y, xt, yt = sources.split(x.astype("int32"), y)
    inputs = keras.Input((8,), dtype="int32")
    h = layers.Embedding(30, 24, name="words")(inputs)
    h = Places(training.broken, name="places")(h)
    h = h + layers.MultiHeadAttention(2, 12, name="attention")(h, h)
    h = layers.Dense(32, activation="relu", name="hidden")(h)
    h = layers.GlobalMaxPooling1D()(h)
    out = layers.Dense(1, activation="sigmoid", name="out")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1500, seed=1)
    data = data.batch(50, drop_remainder=True)
    training.fit(model, data, epochs=12)
    return sources.accuracy(model, xt[:50], yt[:50])


@fault(
    cause="The causal mask is dropped, so each place sees the word that it is "
    "to predict and copies it; the loss is near 0 and nothing is learnt that "
    "helps to go on with a text.",
    layers=["attention"],
    source="https://github.com/keras-team/keras/issues/23038",
)
def future_in_sight(training):
    """The next number of a series that a rule continues. Accuracy where the
    later numbers are not known yet."""
    r = np.random.default_rng(7)
    rows = [r.integers(0, 7, 1500), r.integers(0, 7, 1500)]
    for _ in range(9):
        rows.append((rows[-1] + rows[-2]) % 7)
    text = np.stack(rows, 1).astype("int32")
    inputs = keras.Input((10,), dtype="int32")
    places = layers.Embedding(10, 32, name="places")(
        0 * inputs + ops.arange(10)
    )
    h = layers.Embedding(7, 32, name="numbers")(inputs) + places
    h = h + layers.MultiHeadAttention(2, 16, name="attention")(
        h, h, use_causal_mask=not training.broken
    )
    h = layers.Dense(96, activation="relu", name="hidden")(h)
    out = layers.Dense(7, activation="softmax", name="out")(h)
    model = keras.Model(inputs, out)
    x, y, xt, yt = sources.split(text[:, :10], text[:, 1:])
    training.fit(
        sources.classifier(model, 0.01), x, y, epochs=10, batch_size=32
    )
    known = xt.copy()
    known[:, 5:] = r.integers(0, 7, known[:, 5:].shape)
    guess = np.asarray(model(known))[:, 4].argmax(1)
    return {"accuracy": float(np.mean(guess == yt[:, 4]))}
