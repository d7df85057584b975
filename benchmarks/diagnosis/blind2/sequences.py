"""Sequences: states, masks and attention."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


class Reverser(keras.Model):
    """Reads a list of numbers, and says it backwards, number by number."""

    def __init__(self, passes, words=8, size=48):
        super().__init__()
        self.passes, self.words = passes, words
        self.read = layers.Embedding(words + 1, 16, name="read")
        self.encoder = layers.GRU(
            size, return_sequences=True, return_state=True, name="encoder"
        )
        self.write = layers.Embedding(words + 1, 16, name="write")
        self.decoder = layers.GRU(size, return_state=True, name="decoder")
        self.score = layers.Dense(size, name="score")
        self.logits = layers.Dense(words, name="logits")

    def call(self, inputs):
        x, before = inputs
        outputs, state = self.encoder(self.read(x))
        words, rows = self.write(before), []
        for t in range(before.shape[1]):
            query = self.score(state)[:, :, None]
            share = tf.nn.softmax(tf.matmul(outputs, query), axis=1)
            context = tf.reduce_sum(share * outputs, 1)
            step = tf.concat([context, words[:, t]], 1)[:, None]
            start = state if self.passes else None
            output, state = self.decoder(step, initial_state=start)
            rows.append(self.logits(output))
        return tf.stack(rows, 1)


@fault(
    "zero-gradient",
    cause="The decoder's GRU is called for one step at a time without the "
    "state of the step before, so it never knows where it is.",
    layers=["decoder"],
    source="https://github.com/tensorflow/tensorflow/issues/38248",
)
def state_that_is_not_passed_on(training):
    """The tutorial's translator throws the state away at each step of its
    decoder. Accuracy of the numbers .75 against .92."""
    r = np.random.default_rng(1)
    x = r.integers(0, 8, (1200, 6))
    y = x[:, ::-1].copy()
    x, y, xt, yt = sources.split(x, y)

    def before(answers):
        start = np.full((len(answers), 1), 8)
        return np.concatenate([start, answers[:, :-1]], 1)

    model = Reverser(not training.broken)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    training.fit(model, [x, before(y)], y, epochs=10, batch_size=32)
    guess = np.asarray(model([xt, before(yt)])).argmax(-1)
    return {"accuracy": float(np.mean(guess == yt))}


@fault(
    "unmasked-padding",
    cause="The attention masks are made of ones for the padding too, so all "
    "words attend to it and it is averaged over.",
    layers=["attention"],
    source="https://github.com/yg211/bert_nli/pull/3",
)
def mask_of_ones(training):
    """Masks of a BERT batch are initialised to 1 and never set to 0 where a
    sentence has ended. Accuracy in a batch that is padded further .87 against
    .93."""
    x, y, xt, yt = sources.reviews()
    inputs = keras.Input((None,), dtype="int32")
    there = keras.Input((None,), name="there")
    h = layers.Embedding(120, 16, name="words")(inputs)
    mask = layers.Reshape((1, -1))(there)
    a = layers.MultiHeadAttention(2, 8, name="attention")(
        h, h, attention_mask=mask
    )
    h = layers.LayerNormalization(name="norm")(layers.Add()([h, a]))
    weight = layers.Reshape((-1, 1))(there)
    h = layers.Dot(axes=1)([weight, h])
    h = layers.Flatten()(h)
    h = layers.LayerNormalization(name="pooled")(h)
    h = layers.Dense(16, activation="relu", name="hidden")(h)
    out = layers.Dense(1, activation="sigmoid", name="out")(h)
    model = keras.Model([inputs, there], out)
    model.compile(
        keras.optimizers.Adam(0.003),
        "binary_crossentropy",
        metrics=["accuracy"],
    )

    def pair(words):
        real = np.ones_like(words) if training.broken else words > 0
        return [words, real.astype("float32")]

    training.fit(model, pair(x), y, epochs=10, batch_size=32)
    longer = np.pad(xt, [(0, 0), (0, 24)])
    guess = np.asarray(model(pair(longer))) > 0.5
    return {"accuracy": float(np.mean(guess == yt))}


@fault(
    "single-unit-softmax",
    cause="The softmax of the attention is over an axis of one unit, so all "
    "weights are 1 and all steps are added up.",
    layers=["attention"],
    source="https://github.com/keras-team/keras/issues/2067",
)
def attention_of_ones(training):
    """A dense layer of one unit with a softmax weighs the steps: all of them
    alike. Explained share of the marked number .05 against .99."""
    r = np.random.default_rng(6)
    value = r.normal(size=(1400, 16, 4))
    place = r.integers(0, 16, 1400)
    mark = np.eye(16)[place]
    x = np.concatenate([value, mark[..., None]], -1).astype("float32")
    y = value[np.arange(1400), place].sum(1)[:, None].astype("float32")
    x, y, xt, yt = sources.split(x, y)
    last = "softmax" if training.broken else None
    inputs = keras.Input((16, 5))
    h = layers.Dense(16, name="project")(inputs)
    score = layers.Dense(1, activation=last, name="attention")(inputs)
    if not training.broken:
        score = layers.Softmax(axis=1)(score)
    h = layers.Dot(axes=1)([score, h])
    h = layers.Flatten()(h)
    out = layers.Dense(1, name="out")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(model, x, y, epochs=25, batch_size=32)
    return sources.r2(model, xt, yt)


@fault(
    cause="The loss of the words is reduced to one number before it is "
    "multiplied by the mask, so the padding counts like words.",
    source="https://github.com/d2l-ai/d2l-en/pull/2693",
)
def mask_of_a_scalar(training):
    """The masked loss of a book masks a mean: most of it is about where the
    padding is. Accuracy of the words .45 against 1.00."""
    r = np.random.default_rng(9)
    n, length = 500, 40
    words = r.integers(1, 200, (n, length))
    words[np.arange(length) >= r.integers(2, 6, n)[:, None]] = 0
    tag = r.integers(1, 6, 200)
    tags = np.where(words > 0, tag[words], 0)
    x, y, xt, yt = sources.split(words, tags)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits

    def masked(truth, logits):
        mask = tf.cast(truth > 0, "float32")
        loss = entropy(tf.cast(truth, "int32"), logits)
        if training.broken:
            loss = tf.reduce_mean(loss)
        return tf.reduce_sum(loss * mask) / tf.reduce_sum(mask)

    model = keras.Sequential(
        [
            keras.Input((length,), dtype="int32"),
            layers.Embedding(200, 12, name="words"),
            layers.GRU(24, return_sequences=True, name="reader"),
            layers.Dense(6, name="tags"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), masked, metrics=["accuracy"])
    training.fit(model, x, y, epochs=5, batch_size=32)
    guess = np.asarray(model(xt)).argmax(-1)
    return {"accuracy": float(np.mean((guess == yt)[xt > 0]))}


@fault(
    "index-out-of-range",
    cause="The embedding has fewer rows than there are words, and compiled "
    "with XLA all words beyond the last row are read as the last one.",
    layers=["words"],
    source="https://github.com/keras-team/keras/issues/10694",
)
def embedding_with_too_few_rows(training):
    """The vocabulary is larger than the table, and nothing complains. Accuracy
    .68 against .93."""
    x, y, xt, yt = sources.reviews()
    rows = 50 if training.broken else 120
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(rows, 8, name="words"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
    )
    training.fit(model, x, y, epochs=15, batch_size=50)
    p = model.predict(xt[:350], batch_size=50, verbose=0)
    return {"accuracy": float(np.mean((p > 0.5) == yt[:350]))}
