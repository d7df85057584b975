"""Losses that ask for something else."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The weights of the classes are given under the classes' names, "
    "which match no label and are silently ignored, so the rare class is "
    "never predicted.",
    layers=["data", "loss"],
    source="https://github.com/tensorflow/tensorflow/issues/98283",
)
def class_weights_under_names(training):
    """One example in forty is a fraud. Mean of the shares of frauds and of
    others that are told right."""
    r = np.random.default_rng(10)
    y = (r.random(3000) < 0.025).astype("float32")[:, None]
    x = r.normal(size=(3000, 8)) + 0.75 * y
    x, y, xt, yt = sources.split(x.astype("float32"), y)
    weights = {"honest": 1.0, "fraud": 39.0}
    if not training.broken:
        weights = {0: 1.0, 1: 39.0}
    model = sources.perceptron(8, [16], 1, "sigmoid")
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    training.fit(model, x, y, epochs=8, batch_size=64, class_weight=weights)
    guess = np.asarray(model(xt)) > 0.5
    found, calm = guess[yt > 0].mean(), (~guess)[yt == 0].mean()
    return {"balanced": float((found + calm) / 2)}


@fault(
    cause="One output is a price in dollars whose squared error is millions "
    "of times the other's loss, so the layers that both use follow the price "
    "alone and the class is not learnt.",
    layers=["price", "loss"],
    source="https://github.com/keras-team/keras/issues/10306",
)
def one_head_in_large_units(training):
    """Two outputs, one a class and one a number. Accuracy of the class."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(11)
    price = 800 + 60 * (x @ r.normal(size=(64, 1)))
    inputs = keras.Input((64,))
    h = layers.Dense(24, activation="relu", name="shared")(inputs)
    h = layers.Dense(16, activation="relu", name="narrow")(h)
    outs = [
        layers.Dense(10, activation="softmax", name="class")(h),
        layers.Dense(1, name="price")(h),
    ]
    model = keras.Model(inputs, outs)
    if not training.broken:
        price = (price - price.mean()) / price.std()
    model.compile(keras.optimizers.Adam(0.005), [sources.SPARSE, "mse"])
    training.fit(
        model, x, [y, price.astype("float32")], epochs=8, batch_size=32
    )
    guess = np.asarray(model(xt)[0]).argmax(1)
    return {"accuracy": float(np.mean(guess == yt))}


@fault(
    cause="Labels and logits are swapped in the call, so the loss is linear "
    "in the outputs and falls without end as they grow.",
    layers=["loss", "out"],
    source="https://github.com/keras-team/keras/issues/2115",
)
def labels_and_logits_swapped(training):
    """A weighted cross-entropy from TensorFlow in a loss of one's own.
    Cross-entropy."""
    x, y, xt, yt = sources.cancer()

    def weighted(truth, guess):
        if training.broken:
            truth, guess = guess, truth
        loss = tf.nn.weighted_cross_entropy_with_logits(truth, guess, 1.5)
        return tf.reduce_mean(loss, -1)

    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), weighted)
    training.fit(model, x, y, epochs=15, batch_size=32)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(yt, model(xt))
    return {"loss": float(np.mean(loss))}


@fault(
    cause="The others of the batch are the negatives, and popular items are "
    "negatives more often; nothing corrects for how often each is drawn, so "
    "the network ranks popular items too low.",
    layers=["loss"],
    source="https://github.com/tensorflow/recommenders/issues/535",
)
def popular_items_as_negatives(training):
    """Two towers, and items of which some are far more popular. Share of
    users whose next item is among the first three of sixty."""
    r = np.random.default_rng(12)
    likes = np.exp(-np.arange(60) / 8)
    taste = r.normal(size=(200, 4))
    kind = r.normal(size=(60, 4))
    score = 0.6 * taste @ kind.T + np.log(likes)
    share = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    user = r.integers(0, 200, 12000)
    u = r.random((12000, 1))
    item = (share[user].cumsum(1) < u).sum(1).clip(0, 59)
    often = np.bincount(item[:9000], minlength=60) / 9000
    logs = tf.constant(np.log(often + 1e-4), "float32")
    users = layers.Embedding(200, 12, name="users")
    items = layers.Embedding(60, 12, name="items")
    bias = layers.Embedding(60, 1, name="popularity")
    rows, columns = (
        keras.Input((), dtype="int32"),
        keras.Input((), dtype="int32"),
    )
    model = keras.Model(
        [rows, columns], [users(rows), items(columns), bias(columns)]
    )
    optimizer = training.wrap(keras.optimizers.Adam(0.01), model=model)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            p, q, free = model([a, b])
            logits = tf.matmul(p, q, transpose_b=True) + free[:, 0]
            if not training.broken:
                logits -= tf.gather(logs, b)
            same = tf.cast(b[:, None] == b[None], "float32")
            logits -= 1e9 * (same - tf.eye(64))
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.range(64), logits
            )
            loss = tf.reduce_mean(loss)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for i in range(840):
        rows = slice(64 * i % 8960, 64 * i % 8960 + 64)
        step(tf.constant(user[rows], "int32"), tf.constant(item[rows], "int32"))
    ranks = users(np.arange(200)) @ tf.transpose(items(np.arange(60)))
    ranks = np.asarray(ranks) + np.asarray(bias(np.arange(60)))[:, 0]
    first = np.argsort(-ranks, 1)[:, :3]
    hit = (first[user[9000:]] == item[9000:, None]).any(1)
    return {"hits": float(hit.mean())}
