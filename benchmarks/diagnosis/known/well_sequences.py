"""Healthy networks for sequences: recurrent, attention, embeddings."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.known import sources

_LOSS = "sparse_categorical_crossentropy"


def _score(model, xt, yt) -> dict:
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@healthy(cell=["LSTM", "GRU"])
def recurrent(training):
    """An LSTM or a GRU tells the pitch of a noisy wave."""
    x, y, xt, yt = sources.waves(800, 24)
    cell = getattr(layers, training.options["cell"])
    model = keras.Sequential(
        [
            keras.Input([24, 1]),
            cell(24, name="memory"),
            layers.Dense(4, activation="softmax", name="pitch"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=12, batch_size=32)
    return _score(model, xt, yt)


@healthy(clip=[1.0])
def long_sums_with_clipping(training):
    """A GRU adds the marked two of twelve numbers; gradients are clipped."""
    x, y, xt, yt = sources.sums(2000, 12)
    model = keras.Sequential(
        [
            keras.Input([12, 2]),
            layers.GRU(24, name="memory"),
            layers.Dense(1, name="sum"),
        ]
    )
    clip = training.options["clip"]
    optimizer = keras.optimizers.Adam(0.01, global_clipnorm=clip)
    model.compile(optimizer, "mse", metrics=["mae"])
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return {"unexplained": sources.unexplained(model, xt, yt)}


@healthy(norm=["pre", "post"])
def transformer(training):
    """A block of a transformer reads texts, with a warm-up of its rate."""
    x, y, xt, yt = sources.topics(1000)
    first = training.options["norm"] == "pre"
    inputs = keras.Input([24], dtype="int32")
    h = layers.Embedding(400, 24, name="words")(inputs)
    h = h + layers.Embedding(24, 24, name="places")(ops.arange(24)[None])
    attend = layers.MultiHeadAttention(2, 12, name="attend")
    norm = layers.LayerNormalization(name="norm")
    norm_too = layers.LayerNormalization(name="norm_too")
    up = layers.Dense(48, activation="relu", name="up")
    down = layers.Dense(24, name="down")
    if first:
        before = norm(h)
        h = h + attend(before, before)
        h = h + down(up(norm_too(h)))
    else:
        h = norm(h + attend(h, h))
        h = norm_too(h + down(up(h)))
    h = layers.GlobalAveragePooling1D(name="mean")(h)
    out = layers.Dense(4, activation="softmax", name="topic")(h)
    model = keras.Model(inputs, out)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 180, warmup_target=3e-3, warmup_steps=40
    )
    model.compile(keras.optimizers.Adam(rate), _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=9, batch_size=32)
    return _score(model, xt, yt)


@healthy(words=[2000])
def embedding_of_rare_words(training):
    """Most rows of an embedding get no gradient in a step."""
    x, y, xt, yt = sources.topics(1600, words=training.options["words"])
    model = keras.Sequential(
        [
            keras.Input([24], dtype="int32"),
            layers.Embedding(training.options["words"], 16, name="words"),
            layers.GlobalAveragePooling1D(name="mean"),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(4, activation="softmax", name="topic"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), _LOSS, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=10, batch_size=32, validation_data=(xt, yt)
    )
    return _score(model, xt, yt)


@healthy(optimizer=["adagrad", "adam"])
def factorisation(training):
    """Ratings are products of what users like and of what items have."""
    x, y, xt, yt = sources.ratings()
    start = keras.initializers.RandomNormal(stddev=0.3)
    pair = keras.Input([2], dtype="int32")
    user = layers.Embedding(60, 8, start, name="users")(pair[:, 0])
    item = layers.Embedding(60, 8, start, name="items")(pair[:, 1])
    model = keras.Model(pair, layers.Dot(1, name="stars")([user, item]))
    optimizer = {
        "adagrad": keras.optimizers.Adagrad(0.3),
        "adam": keras.optimizers.Adam(0.01),
    }[training.options["optimizer"]]
    model.compile(optimizer, "mse")
    training.fit(model, x, y, epochs=25, batch_size=64)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@healthy(padding=["masked"])
def padded_texts(training):
    """Texts of unequal length are padded by zeros and masked, for two GRUs."""
    x, y, xt, yt = sources.topics(1200)
    random = np.random.default_rng(0)
    x, xt = x.copy(), xt.copy()
    for one in [*x, *xt]:
        one[random.integers(14, 25) :] = 0
    model = keras.Sequential(
        [
            keras.Input([24], dtype="int32"),
            layers.Embedding(400, 16, mask_zero=True, name="words"),
            layers.Bidirectional(layers.GRU(12, name="gru"), name="both"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(4, activation="softmax", name="topic"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=8, batch_size=32)
    return _score(model, xt, yt)


@healthy(jit=[False, True])
def loop_over_waves(training):
    """An own loop trains convolutions in time, with weights that average."""
    x, y, xt, yt = sources.waves(800)
    model = keras.Sequential(
        [
            keras.Input([40, 1]),
            layers.Conv1D(16, 7, strides=2, activation="relu", name="conv_1"),
            layers.Conv1D(16, 5, activation="relu", name="conv_2"),
            layers.Flatten(name="flat"),
            layers.Dense(4, name="logits"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.RMSprop(2e-3), model=model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(jit_compile=training.options["jit"])
    def step(some, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(some, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )
        return value

    for rows in sources.batches(len(x), 64, 300):
        step(x[rows], y[rows])
    return _score(model, xt, yt)


@healthy(library=["tf_keras"])
def legacy_recurrent(training):
    """Legacy Keras: a bidirectional LSTM tags words."""
    import tf_keras

    x, y, xt, yt = sources.tags(800)
    lstm = tf_keras.layers.LSTM(16, return_sequences=True, name="lstm")
    model = tf_keras.Sequential(
        [
            tf_keras.Input([12], dtype="int32"),
            tf_keras.layers.Embedding(12, 16, name="words"),
            tf_keras.layers.Bidirectional(lstm, name="both"),
            tf_keras.layers.Dense(3, activation="softmax", name="tags"),
        ]
    )
    optimizer = tf_keras.optimizers.Adam(0.01)
    model.compile(optimizer, _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=10, batch_size=32)
    return _score(model, xt, yt)
