"""Losses of one's own for pairs, triplets and two views.

Sources, one for each case:
keras-team/keras #16935 (a contrastive loss with the labels turned round);
omoindrot/tensorflow-triplet-loss #51 (labels of another shape);
keras-team/keras #9498 (a mean for a sum under a margin);
tensorflow/similarity #237 (a norm over the whole batch);
PatrickHua/SimSiam #39 (no gradient is stopped).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import tools


def pairs(x, y, n, seed):
    """Returns two images of each pair, and 1 where the classes differ."""
    r = np.random.default_rng(seed)
    first, second = r.integers(0, len(x), (2, n))
    for i in range(0, n, 2):
        second[i] = r.choice(np.flatnonzero(y == y[first[i]]))
    unlike = (y[first] != y[second]).astype("float32")
    return x[first], x[second], unlike[:, None]


@fault(
    "loss-metric-disagree",
    "nothing-learned",
    cause="the loss takes 0 for like and 1 for unlike pairs and the data "
    "says the opposite, so like ones are pushed apart",
    layers=["embed_1", "embed_2", "out"],
    source="keras-team/keras #16935",
)
def contrast_turned_round(training):
    """As posted: "Similar pair = 1, dissimilar pair = 0, and the equation is
    still used": the paper's loss on labels of the other convention pushes like
    ones apart. Accuracy .50 against .94."""
    x, y, xt, yt = sources.digits()
    embed = tools.perceptron(64, [64, 32], 8, name="embed")
    a, b, unlike = pairs(x, y, 4000, 0)
    one, two = keras.Input((64,)), keras.Input((64,))
    distance = keras.ops.norm(embed(one) - embed(two) + 1e-6, axis=1)
    model = keras.Model([one, two], distance[:, None])

    def contrastive(unlike, distance):
        far = keras.ops.maximum(1 - distance, 0)
        return (1 - unlike) * distance**2 + unlike * far**2

    model.compile(keras.optimizers.Adam(0.002), contrastive)
    labels = 1 - unlike if training.broken else unlike
    training.fit(model, [a, b], labels, epochs=10, batch_size=64)
    a, b, unlike = pairs(xt, yt, 1000, 1)
    guess = model([a, b]).numpy() > 0.5
    return {"accuracy": float(np.mean(guess == (unlike > 0)))}


def triplets(labels, distance, margin=0.3):
    """Returns the loss of all triplets `[anchor, positive, negative]`."""
    same = tf.equal(tf.expand_dims(labels, 0), tf.expand_dims(labels, 1))
    same = tf.cast(same, tf.float32)
    loss = distance[:, :, None] - distance[:, None, :] + margin
    valid = tf.expand_dims(same, 2) * (1 - tf.expand_dims(same, 1))
    loss = tf.maximum(loss * valid, 0)
    hard = tf.reduce_sum(tf.cast(loss > 1e-12, tf.float32))
    return tf.reduce_sum(loss) / (hard + 1e-12)


@fault(
    "loss-metric-disagree",
    "nothing-learned",
    cause="labels [batch, 1] make masks of one axis more, which broadcast "
    "to triplets that have nothing to do with the classes",
    layers=["out"],
    source="omoindrot/tensorflow-triplet-loss #51",
)
def labels_of_another_shape(training):
    """As posted: "The loss oscillates around the margin, but the fraction of
    positive triplets does not decrease": labels [batch, 1], whose masks
    broadcast to wrong triplets. Accuracy .32 against .95."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, [64], 8)
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=model)

    def loss(labels, embedding):
        e = tf.math.l2_normalize(embedding, axis=1)
        distance = 2 - 2 * tf.matmul(e, e, transpose_b=True)
        return triplets(labels, distance)

    step = tools.minimise(model, optimizer, loss)
    labels = y[:, None] if training.broken else y
    for a, b in sources.batches(x, labels, 24, 6):
        step(tf.constant(a), tf.constant(b))
    return tools.neighbours(model, x, y, xt, yt)


@fault(
    "nothing-learned",
    cause="distances are a mean over the axes of unit vectors, so they can "
    "never reach the margin of 1",
    layers=["out"],
    source="keras-team/keras #9498",
)
def margin_out_of_reach(training):
    """As posted: "Bad implementation of triplet loss: I change K.mean to K.sum
    to fix it": means of squares of unit vectors never reach the margin of 1,
    so the loss stays at 1. Accuracy .87 against .96."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, [64], 32)
    optimizer = training.wrap(
        keras.optimizers.SGD(0.1, momentum=0.9), model=model
    )
    r = np.random.default_rng(0)
    reduce = tf.reduce_mean if training.broken else tf.reduce_sum

    def loss(_, embedding):
        e = tf.math.l2_normalize(embedding, axis=1)
        anchor, like, unlike = tf.split(e, 3)
        gap = reduce((anchor - like) ** 2, axis=-1)
        gap -= reduce((anchor - unlike) ** 2, axis=-1)
        return tf.reduce_mean(tf.maximum(1 + gap, 0))

    step = tools.minimise(model, optimizer, loss)
    classes = [np.flatnonzero(y == c) for c in range(10)]
    for _ in range(300):
        c = r.integers(0, 10, 32)
        d = (c + r.integers(1, 10, 32)) % 10
        rows = [r.choice(classes[i]) for i in [*c, *c, *d]]
        step(tf.constant(x[rows]), tf.constant(y[rows]))
    return tools.neighbours(model, x, y, xt, yt)


def two_views(training, loss, model, optimizer, epochs=20, batch=64):
    """Trains on two shifted and noisy views of each picture."""
    images, _ = data.digit_images()
    images, *_ = sources.split(images, images)
    r = np.random.default_rng(0)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            value = loss(a, b)
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)

    for a, _ in sources.batches(images, images, batch, epochs):
        views = [tools.shifted(a, r) for _ in range(2)]
        views = [v + r.normal(0, 0.1, v.shape) for v in views]
        step(*(tf.constant(v.reshape(-1, 64), tf.float32) for v in views))


@fault(
    "nothing-learned",
    cause="tf.math.l2_normalize without an axis takes the norm of the whole "
    "batch, so all similarities are next to 0",
    layers=["out"],
    source="tensorflow/similarity #237",
)
def norm_of_the_batch(training):
    """As posted: "SimCLR training failed with loss stuck at an unreasonably
    high level": `l2_normalize` without an axis gives the batch a length of 1,
    and each vector next to none. Accuracy .74 against .90."""
    x, y, xt, yt = sources.digits()
    model = tools.perceptron(64, [128], 16)
    optimizer = training.wrap(
        keras.optimizers.SGD(0.3, momentum=0.9), model=model
    )
    axis = None if training.broken else -1

    def loss(a, b):
        a = tf.math.l2_normalize(model(a, training=True), axis=axis)
        b = tf.math.l2_normalize(model(b, training=True), axis=axis)
        likeness = tf.matmul(a, b, transpose_b=True) / 0.2
        labels = tf.range(tf.shape(a)[0])
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
        return tf.reduce_mean(entropy(labels, likeness))

    two_views(training, loss, model, optimizer, epochs=40)
    return tools.neighbours(model, x, y, xt, yt)


@fault(
    "nothing-learned",
    cause="the gradient is not stopped at the target's branch, so both "
    "branches agree by making all embeddings the same",
    layers=["project", "predict"],
    source="PatrickHua/SimSiam #39",
)
def nothing_is_stopped(training):
    """As posted: "The stop_gradient part of the network is absent": both
    branches of SimSiam are trained to agree, and the embeddings collapse.
    Accuracy .67 against .90."""
    x, y, xt, yt = sources.digits()
    encode = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(128, activation="relu", name="encode_1"),
            layers.Dense(64, name="project"),
            layers.BatchNormalization(name="norm"),
        ]
    )
    predict = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(16, activation="relu", name="narrow"),
            layers.Dense(64, name="predict"),
        ]
    )
    model = keras.Sequential([encode, predict])
    optimizer = training.wrap(
        keras.optimizers.SGD(0.05, momentum=0.9), model=model
    )
    stop = tf.identity if training.broken else tf.stop_gradient

    def unlikeness(p, z):
        p, z = (tf.math.l2_normalize(v, axis=1) for v in (p, stop(z)))
        return -tf.reduce_mean(tf.reduce_sum(p * z, axis=1))

    def loss(a, b):
        a, b = encode(a, training=True), encode(b, training=True)
        return unlikeness(predict(a), b) / 2 + unlikeness(predict(b), a) / 2

    two_views(training, loss, model, optimizer, epochs=30)
    return tools.neighbours(encode, x, y, xt, yt)
