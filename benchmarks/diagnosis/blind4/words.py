"""Words, rows of tables, and classes that come as numbers."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The table of the pretrained vectors starts with the first word and "
    "the words are numbered from 1, so each word gets the vector of its "
    "neighbour, and the embedding is frozen.",
    layers=["words", "data"],
    source="https://github.com/rstudio/keras3/issues/302",
)
def vectors_one_row_off(training):
    """Pretrained word vectors for short reviews. Accuracy .55 against .99."""
    r = np.random.default_rng(21)
    mood = r.normal(size=120)
    x, y, xt, yt = sources.reviews()
    vectors = r.normal(size=(120, 8)) * 0.5
    vectors[:, 0] = mood
    vectors[0] = 0
    if training.broken:
        vectors = np.concatenate([vectors[1:], vectors[:1]])
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(120, 8, mask_zero=True, name="words"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="score"),
        ]
    )
    model.get_layer("words").set_weights([vectors])
    model.get_layer("words").trainable = False
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    cause="The batches hold eight of 220 people at random, so hardly any has "
    "two pictures of the same person and there is no pair to bring together.",
    layers=["data"],
    source="https://github.com/keras-team/keras-cv/issues/97",
)
def batches_without_pairs(training):
    """A triplet loss that finds its pairs in the batch. .06 against .61."""
    r = np.random.default_rng(22)
    person = np.repeat(np.arange(300), 4)
    look = r.normal(size=(300, 12))
    light = r.normal(size=(1200, 12))
    mix = r.normal(size=(24, 40)) / 5
    x = np.concatenate([look[person], 2 * light], 1) @ mix
    x = (x + 0.05 * r.normal(size=x.shape)).astype("float32")
    model = sources.perceptron(40, [64], 12, name="look")
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)

    @tf.function
    def step(a, who):
        with tf.GradientTape() as tape:
            z = tf.math.l2_normalize(model(a), -1)
            far = 2 - 2 * tf.matmul(z, z, transpose_b=True)
            same = tf.cast(who[:, None] == who[None], "float32")
            pair = same - tf.eye(8)
            loss = tf.nn.relu(far[:, :, None] - far[:, None] + 0.5)
            counts = pair[:, :, None] * (1 - same)[:, None]
            loss = tf.math.divide_no_nan(
                tf.reduce_sum(counts * loss), tf.reduce_sum(counts)
            )
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for _ in range(400):
        if training.broken:
            rows = r.integers(0, 880, 8)
        else:
            first = 4 * r.choice(220, 2, replace=False)
            rows = (first[:, None] + np.arange(4)).ravel()
        step(tf.constant(x[rows]), tf.constant(person[rows]))
    z = np.asarray(tf.math.l2_normalize(model(x[880:]), -1))
    near = z @ z.T - 9 * np.eye(320)
    who = person[880:]
    return {"accuracy": float(np.mean(who[near.argmax(1)] == who))}


class Bent(layers.Layer):
    """A plain object of Python holds a number that is to be learnt."""

    class Holder:
        """What no layer looks into."""

    def __init__(self, hidden, **options):
        super().__init__(**options)
        width = keras.Variable(0.0, name="width")
        if hidden:
            holder = Bent.Holder()
            holder.width = width
            self.holder = holder
        else:
            self.holder = None
            self.width = width

    def call(self, mean):
        holder = self.holder or self
        width = tf.convert_to_tensor(holder.width)
        return tf.concat([mean, width + 0 * mean], -1)
