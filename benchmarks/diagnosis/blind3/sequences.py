"""Words, masks and attention."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


class Rectified(layers.Layer):
    """Cuts off what is below -1, and hands on the mask or not."""

    def __init__(self, keeps, **options):
        super().__init__(**options)
        self.supports_masking = keeps

    def call(self, x):
        return ops.maximum(x, -1.0)


@fault(
    cause="The activation between embedding and GRU drops the mask, so the "
    "GRU reads the padding after the last word and forgets the text.",
    layers=["rectified", "gru"],
    source="https://github.com/tensorflow/tensorflow/issues/36894",
)
def mask_lost_in_an_activation(training):
    """Embeddings with `mask_zero`, an activation as a layer, and a GRU whose
    last state is used. Accuracy .50 against .89."""
    x, y, xt, yt = sources.reviews()
    x, xt = (np.pad(w, [(0, 0), (0, 40)]) for w in (x, xt))
    model = keras.Sequential(
        [
            keras.Input((64,), dtype="int32"),
            layers.Embedding(120, 16, mask_zero=True, name="words"),
            Rectified(not training.broken, name="rectified"),
            layers.GRU(16, name="gru"),
            layers.Dense(1, activation="sigmoid", name="score"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    training.fit(model, x, y, epochs=4, batch_size=64)
    return sources.accuracy(model, xt, yt)


@fault(
    cause="Word 0 of the vocabulary is a real word, and with `mask_zero` all "
    "of its places are masked out as padding.",
    layers=["words"],
    source="https://github.com/piskvorky/gensim/issues/1900",
)
def first_word_is_the_padding(training):
    """The vectors of a vocabulary that starts at 0 in an embedding that masks
    0; the first word, the most frequent one, is `not`. Accuracy .55 against
    .86."""
    r = np.random.default_rng(11)
    mood = r.normal(size=60)
    size = r.integers(4, 13, 2000)
    real = np.arange(12) < size[:, None]
    words = r.integers(1, 60, (2000, 12))
    words[(r.random(words.shape) < 0.15) & real] = 0
    mood[0] = 0
    sign = np.where(((words == 0) & real).any(1), -1, 1)
    y = (sign * (mood[words] * real).sum(1) > 0).astype("float32")[:, None]
    if not training.broken:
        words = words + 1
    words = np.where(real, words, 0).astype("int32")
    x, y, xt, yt = sources.split(words, y)
    model = keras.Sequential(
        [
            keras.Input((12,), dtype="int32"),
            layers.Embedding(61, 16, mask_zero=True, name="words"),
            layers.GRU(24, name="gru"),
            layers.Dense(1, activation="sigmoid", name="score"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    training.fit(model, x, y, epochs=15, batch_size=64)
    return sources.accuracy(model, xt, yt)


class Aligned(layers.Layer):
    """Gives for each place of a second text the place of a first one."""

    def __init__(self, broken, **options):
        super().__init__(**options)
        self.broken = broken

    def call(self, inputs):
        a, b = inputs
        score = tf.matmul(a, b, transpose_b=True)
        if self.broken:
            share = tf.transpose(tf.nn.softmax(tf.transpose(score)))
        else:
            share = tf.nn.softmax(score, axis=1)
        return tf.matmul(share, a, transpose_a=True)


@fault(
    cause="A transposition without `perm` turns all three axes round, so the "
    "softmax is over the examples of the batch and not over the words.",
    layers=["aligned"],
    source="https://github.com/HsiaoYetGun/ESIM/issues/5",
)
def softmax_over_the_batch(training):
    """Two texts are aligned, and the softmax of one of the two directions is
    over the batch, which is one example in use. Accuracy .30 against 1.00."""
    r = np.random.default_rng(12)
    keys = np.argsort(r.random((2400, 20)), 1)[:, :8]
    values = r.integers(0, 6, (2400, 8))
    pick = r.integers(0, 8, (2400, 1))
    asked = np.take_along_axis(keys, pick, 1)
    y = np.take_along_axis(values, pick, 1)[:, 0]
    x = np.concatenate([keys, values, asked], 1).astype("int32")
    x, y, xt, yt = sources.split(x, y)
    inputs = keras.Input((17,), dtype="int32")
    table = layers.Embedding(20, 16, name="keys")
    key, question = table(inputs[:, :8]), table(inputs[:, 16:])
    value = layers.Embedding(6, 16, name="values")(inputs[:, 8:16])
    text = layers.Concatenate()([key, value])
    wide = layers.Dense(32, name="question")(question)
    found = Aligned(training.broken, name="aligned")([text, wide])
    h = layers.Dense(32, activation="relu", name="hidden")(
        layers.Flatten()(found)
    )
    out = layers.Dense(6, activation="softmax", name="out")(h)
    model = keras.Model(inputs, out)
    training.fit(
        sources.classifier(model, 0.01), x, y, epochs=14, batch_size=48
    )
    guess = [np.asarray(model(xt[i : i + 1])).argmax() for i in range(150)]
    return {"accuracy": float(np.mean(guess == yt[:150]))}


class Neighbours(layers.Layer):
    """Sums up what attention finds among the neighbours of each node."""

    def __init__(self, links, units, **options):
        super().__init__(**options)
        self.links = tf.constant(links, "float32")
        self.dense = layers.Dense(units)
        self.query, self.key = layers.Dense(1), layers.Dense(1)

    def build(self, shape):
        self.dense.build(shape)
        wide = (*shape[:-1], self.dense.units)
        self.query.build(wide)
        self.key.build(wide)

    def call(self, x):
        h = self.dense(x)
        score = tf.nn.leaky_relu(self.query(h) + tf.transpose(self.key(h)))
        score = tf.where(self.links > 0, score, -1e9)
        return tf.matmul(tf.nn.softmax(score), h)


@fault(
    cause="The adjacency matrix has no ones on its diagonal, so a node sees "
    "its neighbours and not itself.",
    layers=["attention"],
    source="https://github.com/danielegrattarola/keras-gat/issues/11",
)
def nodes_that_do_not_see_themselves(training):
    """Graph attention below the accuracy of the paper: the neighbourhood of a
    node lacks the node. Accuracy .40 against .55."""
    r = np.random.default_rng(13)
    y = r.integers(0, 4, 300)
    links = (r.random((300, 300)) < 0.004) | np.eye(300, k=1, dtype=bool)
    links = links | links.T
    np.fill_diagonal(links, False)
    if not training.broken:
        links = links | np.eye(300, dtype=bool)
    x = 1.5 * sources.one_hot(y, 4) @ r.normal(size=(4, 16))
    x = (x + 0.9 * r.normal(size=x.shape)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((16,), batch_size=300),
            Neighbours(links, 32, name="attention"),
            layers.ReLU(),
            layers.Dense(4, activation="softmax", name="out"),
        ]
    )
    known = (np.arange(300) < 150).astype("float32")
    model.compile(keras.optimizers.Adam(0.01), sources.SPARSE)
    training.fit(
        model,
        x,
        y,
        sample_weight=known,
        epochs=100,
        batch_size=300,
        shuffle=False,
    )
    right = np.asarray(model(x)).argmax(1) == y
    return {"accuracy": float(right[150:].mean())}


@fault(
    cause="The mask of the decoder's words is laid over the encoder's words "
    "in the cross-attention, so a short question sees the start of the text.",
    layers=["cross"],
    source="https://github.com/keras-team/keras-io/pull/1046",
)
def mask_of_the_other_text(training):
    """A translation example hands the padding of the target to the attention
    to the source. Accuracy of the word at the place asked for .27 against
    1.00."""
    r = np.random.default_rng(22)
    source = r.integers(1, 21, (2400, 8))
    place = r.integers(0, 8, 2400)
    target = np.zeros((2400, 8), int)
    target[:, 0], target[:, 1] = 9, place + 1
    y = source[np.arange(2400), place]
    x = np.concatenate([source, target], 1).astype("int32")
    x, y, xt, yt = sources.split(x, y)
    inputs = keras.Input((16,), dtype="int32")
    words, asked = inputs[:, :8], inputs[:, 8:]
    places = layers.Embedding(8, 24, name="places")(0 * words + ops.arange(8))
    text = layers.Embedding(21, 24, name="words")(words) + places
    question = layers.Embedding(10, 24, name="asked")(asked)
    there = asked if training.broken else words
    mask = ops.expand_dims(ops.not_equal(there, 0), 1)
    found = layers.MultiHeadAttention(2, 24, name="cross")(
        question, text, attention_mask=mask
    )
    h = layers.Dense(48, activation="relu", name="hidden")(found[:, 1])
    out = layers.Dense(21, activation="softmax", name="out")(h)
    model = keras.Model(inputs, out)
    training.fit(
        sources.classifier(model, 0.005), x, y, epochs=12, batch_size=32
    )
    return sources.accuracy(model, xt, yt)
