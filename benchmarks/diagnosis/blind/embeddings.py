"""Embeddings of words, items and images."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    "rounded-index",
    cause="Ids pass through a layer as floats of 16 bits, which cannot tell "
    "large neighbours apart, so several items share a row of the table.",
    layers=["item_id", "items"],
    source="tensorflow/tensorflow #47187",
)
def ids_in_half(training):
    """Items with large ids end with the very same embedding, in groups: the
    ids are floats on their way to the table. Explained share .53 against
    .90."""
    r = np.random.default_rng(5)
    taste = r.normal(size=6000)
    item = r.integers(0, 6000, 18000)
    other = r.normal(size=18000)
    x = np.stack([item, other], 1).astype("float32")
    y = (taste[item] + 0.3 * other)[:, None].astype("float32")
    x, y, xt, yt = sources.split(x, y)
    with sources.policy("mixed_float16"):
        inputs = keras.Input((2,))
        kind = None if training.broken else "float32"
        number = layers.Lambda(
            lambda t: t[:, 0], (), dtype=kind, name="item_id"
        )(inputs)
        rest = layers.Lambda(lambda t: t[:, 1:], (1,), name="rest")(inputs)
        h = layers.Embedding(6016, 4, name="items")(number)
        h = layers.Concatenate()([h, rest])
        out = layers.Dense(1, dtype="float32", name="stars")(h)
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(model, x, y, epochs=12, batch_size=128)
    return sources.r2(model, xt, yt)


@fault(
    cause="Rows of the pretrained table are not shifted by the three ids "
    "that the data set reserves, so each word has the vector of another.",
    layers=["words"],
    source="fchollet/deep-learning-with-python-notebooks #145",
)
def vectors_three_rows_off(training):
    """Reviews with frozen GloVe vectors stay some 20 % below what they
    should reach: the ids of the reviews start at 4, those of the index at 1.
    Accuracy .66 against .94."""
    r = np.random.default_rng(6)
    mood = r.normal(size=400)
    vectors = r.normal(size=(400, 16))
    vectors += mood[:, None] * r.normal(size=(1, 16))
    share = 1 / np.arange(3, 403)
    words = r.choice(400, (1600, 15), p=share / share.sum())
    score = mood[words].sum(1)
    y = (score > np.median(score)).astype("float32")[:, None]
    x, y, xt, yt = sources.split(words + 4, y)
    table = np.zeros((404, 16), "float32")
    first = 1 if training.broken else 4
    table[first : first + 400] = vectors
    model = keras.Sequential(
        [
            keras.Input((15,), dtype="int32"),
            layers.Embedding(
                404,
                16,
                embeddings_initializer=keras.initializers.Constant(table),
                trainable=False,
                name="words",
            ),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return sources.accuracy(model, xt, yt)


def _hardest(labels, points, margin):
    square = tf.reduce_sum((points[:, None] - points[None]) ** 2, -1)
    far = tf.sqrt(tf.maximum(square, 1e-12))
    labels = tf.reshape(labels, (-1,))
    same = labels[:, None] == labels[None]
    positive = tf.reduce_max(tf.where(same, far, 0.0), 1)
    negative = tf.reduce_min(tf.where(same, 1e9, far), 1)
    return tf.reduce_mean(tf.maximum(positive - negative + margin, 0))


@fault(
    "nothing-learned",
    "loss-metric-disagree",
    cause="The hardest triplets are used on embeddings that are not "
    "normalised, so all of them collapse onto one point.",
    layers=["embedding"],
    source="omoindrot/tensorflow-triplet-loss #37",
)
def all_in_one_point(training):
    """The loss of the triplets stays at the margin and all distances go to
    0; with an L2 normalisation at the end it trains. Accuracy of the nearest
    neighbour .13 against .52."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(2)
    x = x + r.normal(0, 0.3, x.shape).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="hidden_1"),
            layers.Dense(64, activation="relu", name="hidden_2"),
            layers.Dense(8, name="embedding"),
        ]
    )
    if not training.broken:
        model.add(layers.UnitNormalization())

    def loss(labels, points):
        return _hardest(labels, points, 0.5)

    model.compile(keras.optimizers.Adam(0.02), loss)
    training.fit(model, x, y, epochs=10, batch_size=64)
    return sources.nearest(model(x), y, model(xt), yt)


@fault(
    cause="The distances of the triplets are means over the embedding, not "
    "sums, so that no distance of unit vectors ever reaches the margin.",
    source="keras-team/keras #9498",
    harmless=True,
)
def mean_for_a_sum(training):
    """A triplet loss that stays at about 1: K.mean where K.sum belongs. All
    triplets count for ever, which costs nothing here. Accuracy of the
    nearest neighbour .92 against .95."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(3)
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu", name="hidden")(inputs)
    out = layers.UnitNormalization()(layers.Dense(32, name="embedding")(h))
    tower = keras.Model(inputs, out)
    three = keras.Input((3, 64))
    parts = [
        tower(layers.Lambda(lambda t, i=i: t[:, i], (64,))(three))
        for i in range(3)
    ]
    model = keras.Model(three, layers.Concatenate()(parts))
    reduce = tf.reduce_mean if training.broken else tf.reduce_sum

    def loss(_, points):
        anchor, near, other = tf.split(points, 3, axis=1)
        good = reduce((anchor - near) ** 2, -1)
        bad = reduce((anchor - other) ** 2, -1)
        return tf.maximum(1 + good - bad, 0)

    rows = [np.flatnonzero(y == k) for k in range(10)]
    anchor = r.integers(0, len(x), 3000)
    near = np.array([r.choice(rows[k]) for k in y[anchor]])
    shift = (y[anchor] + r.integers(1, 10, 3000)) % 10
    other = np.array([r.choice(rows[k]) for k in shift])
    triples = np.stack([x[anchor], x[near], x[other]], 1)
    model.compile(keras.optimizers.Adam(0.003), loss)
    training.fit(model, triples, np.zeros((3000, 1)), epochs=6, batch_size=32)
    return sources.nearest(tower(x), y, tower(xt), yt)
