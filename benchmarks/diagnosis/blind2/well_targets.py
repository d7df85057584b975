"""Healthy trainings with targets and inputs that are unusual."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import healthy


@healthy(seed=[0])
def three_quantiles(training):
    """Quantiles of 0.1, 0.5 and 0.9 at once: two of the three outputs are far
    from the data on purpose. Shares of the data below them .09, .45 and
    .87."""
    r = np.random.default_rng(2)
    x = r.uniform(-2, 2, (1500, 1)).astype("float32")
    y = np.sin(x) + (0.2 + 0.2 * np.abs(x)) * r.normal(size=x.shape)
    x, y, xt, yt = sources.split(x, y.astype("float32"))
    tau = tf.constant([0.1, 0.5, 0.9])

    def pinball(truth, guess):
        error = truth - guess
        return tf.reduce_sum(tf.maximum(tau * error, (tau - 1) * error), 1)

    model = sources.perceptron(1, [32, 32], 3)
    model.compile(keras.optimizers.Adam(0.005), pinball)
    training.fit(model, x, y, epochs=20, batch_size=32)
    below = (yt <= np.asarray(model(xt))).mean(0)
    return {f"share_{i}": float(share) for i, share in enumerate(below)}


@healthy(seed=[0])
def ordered_classes(training):
    """Ordinal targets, ones and then zeros: the first is 1 for nearly all and
    the last 0. Accuracy to within one class .76, by chance .38."""
    x, y = sources.diabetes()
    edges = np.quantile(y, np.linspace(0.05, 0.95, 7))
    rank = (y[:, None] > edges).astype("float32")
    x, rank, xt, rt = sources.split(x, rank)
    inputs = keras.Input((10,))
    h = layers.Dense(24, activation="relu", name="hidden")(inputs)
    out = layers.Dense(7, activation="sigmoid", name="steps")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    training.fit(model, x, rank, epochs=25, batch_size=32)
    guess = (np.asarray(model(xt)) > 0.5).sum(1)
    near = np.abs(guess - rt.sum(1)) <= 1
    chance = np.abs(np.median(rank.sum(1)) - rt.sum(1)) <= 1
    return {"near": float(near.mean()), "chance": float(chance.mean())}


@healthy(seed=[0])
def rare_words(training):
    """An embedding of 3000 words of which a batch has few, with Zipf's
    frequencies: most rows rest for most steps. Accuracy .82."""
    r = np.random.default_rng(3)
    mood = r.normal(size=3000)
    share = 1 / np.arange(5, 3005)
    x = r.choice(3000, (3000, 20), p=share / share.sum()).astype("int32")
    y = (mood[x].sum(1) > 0).astype("float32")[:, None]
    x, y, xt, yt = sources.split(x, y)
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(3000, 8, name="words"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=6, batch_size=64)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def heads_of_some_examples(training):
    """Three heads of a common trunk, each with labels for a third of the
    examples only; the others have the weight 0. Mean accuracy .95."""
    x, y, xt, yt = sources.digits()
    tasks = {
        "even": lambda t: t % 2 == 0,
        "large": lambda t: t >= 5,
        "round": lambda t: np.isin(t, [0, 6, 8, 9]),
    }
    owner = np.random.default_rng(4).integers(0, 3, len(x))
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu", name="trunk")(inputs)
    heads = {
        name: layers.Dense(1, activation="sigmoid", name=name)(h)
        for name in tasks
    }
    model = keras.Model(inputs, heads)
    model.compile(
        keras.optimizers.Adam(0.005),
        {name: "binary_crossentropy" for name in tasks},
    )
    labels = {k: t(y).astype("float32")[:, None] for k, t in tasks.items()}
    weights = {k: (owner == i).astype("float32") for i, k in enumerate(tasks)}
    training.fit(
        model, x, labels, epochs=15, batch_size=32, sample_weight=weights
    )
    p = model(xt)
    right = [
        np.mean((np.asarray(p[k])[:, 0] > 0.5) == t(yt))
        for k, t in tasks.items()
    ]
    return {"accuracy": float(np.mean(right))}


@healthy(reader=["gru", "attention"], seed=[0])
def masked_tags(training):
    """A tagger of short sentences in long rows: nine tenths of the steps are
    padding that the mask leaves out. Accuracy of the words 1.00."""
    r = np.random.default_rng(9)
    n, length = 600, 40
    words = r.integers(1, 150, (n, length))
    words[np.arange(length) >= r.integers(2, 7, n)[:, None]] = 0
    tag = r.integers(0, 5, 150)
    tags = np.where(words > 0, tag[words], 0)
    x, y, xt, yt = sources.split(words, tags)
    inputs = keras.Input((length,), dtype="int32")
    h = layers.Embedding(150, 16, mask_zero=True, name="words")(inputs)
    if training.options["reader"] == "gru":
        h = layers.GRU(24, return_sequences=True, name="reader")(h)
    else:
        a = layers.MultiHeadAttention(2, 8, name="reader")(h, h)
        h = layers.LayerNormalization(name="norm")(layers.Add()([h, a]))
    out = layers.Dense(5, activation="softmax", name="tags")(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.01),
        sources.SPARSE,
        weighted_metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=10, batch_size=32)
    guess = np.asarray(model(xt)).argmax(-1)
    return {"accuracy": float(np.mean((guess == yt)[xt > 0]))}


@healthy(seed=[0])
def counts_that_are_mostly_zero(training):
    """A Poisson regression of counts, most of which are 0. Explained share of
    the rate .62."""
    r = np.random.default_rng(5)
    x = r.normal(size=(3000, 6)).astype("float32")
    rate = np.exp(-2 + x[:, 0] + np.sin(2 * x[:, 1]))
    y = r.poisson(rate).astype("float32")
    x, pair, xt, pt = sources.split(x, np.stack([y, rate], 1))
    model = sources.perceptron(6, [32], 1, "exponential")
    model.compile(keras.optimizers.Adam(0.005), "poisson")
    training.fit(model, x, pair[:, :1], epochs=20, batch_size=64)
    guess = np.log(np.asarray(model(xt))[:, 0] + 1e-9)
    return sources.explained(np.log(pt[:, 1]), guess)
