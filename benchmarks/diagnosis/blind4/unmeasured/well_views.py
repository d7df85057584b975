"""Representations, generators and agents that look odd and learn."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.blind4.unmeasured import poles
from benchmarks.diagnosis.case import healthy


@healthy(seed=[0])
def two_views_and_a_temperature(training):
    """A contrastive loss of the upper and the lower half of digits, with a
    temperature that is learnt: the loss starts at the logarithm of the
    batch."""
    x, y, xt, _ = sources.digits()
    upper = sources.perceptron(32, [64], 16, name="upper")
    lower = sources.perceptron(32, [64], 16, name="lower")
    inputs = keras.Input((64,))

    class Warm(layers.Layer):
        """Multiplies by a number that is learnt as its logarithm."""

        def build(self, shape):
            self.log = self.add_weight(shape=(), initializer="ones")

        def call(self, z):
            return tf.math.l2_normalize(z, -1) * tf.exp(self.log)

    a = Warm(name="warm")(upper(inputs[:, :32]))
    b = layers.UnitNormalization()(lower(inputs[:, 32:]))
    model = keras.Model(inputs, [a, b])
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=model)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            a, b = model(images)
            logits = tf.matmul(a, b, transpose_b=True)
            own = tf.range(64)
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
            loss = entropy(own, logits) + entropy(own, tf.transpose(logits))
            loss = tf.reduce_mean(loss)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for images, _ in sources.batches(x, y, 64, 14):
        if len(images) == 64:
            step(tf.constant(images))
    a, b = model(xt[:100])
    guess = np.argmax(np.asarray(a) @ np.asarray(b).T, 1)
    return {"matched": float(np.mean(guess == np.arange(100)))}


@healthy(seed=[0])
def short_ones_first(training):
    """A curriculum: sums of two numbers, then of four, then of eight; the
    loss rises each time."""
    r = np.random.default_rng(6)
    x = r.integers(0, 5, (3000, 8))
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(6, 12, mask_zero=True, name="numbers"),
            layers.GRU(32, name="gru"),
            layers.Dense(1, name="sum"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")

    def rows(length, part):
        some = x[part].copy()
        some[:, length:] = -1
        total = np.where(some >= 0, some, 0).sum(1)
        return some + 1, total[:, None].astype("float32")

    steps = []
    for length in (2, 4, 8):
        a, b = rows(length, slice(0, 1500))
        order = r.permutation(1500)
        steps += [
            (a[order[i : i + 32]], b[order[i : i + 32]])
            for _ in range(2)
            for i in range(0, 1500, 32)
        ]
    stream = (pair for pair in steps)
    training.fit(model, stream, epochs=1, steps_per_epoch=len(steps))
    a, b = rows(8, slice(1500, 3000))
    return sources.explained(b, model(a))


@healthy(seed=[0])
def judge_with_soft_labels(training):
    """A GAN whose judge is told .8 for real points: its loss stays near 1.3
    and the generator's near .7."""
    real, r = sources.ring(), np.random.default_rng(0)
    generator = sources.perceptron(8, [48, 48], 2, name="generator")
    judge = sources.perceptron(2, [48, 48], 1, name="judge", hidden="gelu")
    inner = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=judge)
    outer = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=generator)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    ones = tf.ones((64, 1))

    @tf.function
    def step(x, z):
        with tf.GradientTape() as tape:
            loss = entropy(0.8 * ones, judge(x))
            loss += entropy(0 * ones, judge(generator(z)))
            loss = tf.reduce_mean(loss)
        sources.descend(inner, tape, loss, judge.trainable_variables)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(entropy(ones, judge(generator(z))))
        sources.descend(outer, tape, loss, generator.trainable_variables)

    for _ in range(900):
        x = real[r.integers(0, len(real), 64)]
        step(x, r.normal(size=(64, 8)).astype("float32"))
    test = r.normal(size=(400, 8)).astype("float32")
    return sources.distance(real[:400], generator(test))


@healthy(seed=[0])
def reward_in_the_end_alone(training):
    """A policy that is rewarded only if a pole still stands in the end: most
    first batches have no reward and no gradient but the entropy's."""
    r = np.random.default_rng(0)
    model = sources.perceptron(2, [24], 2, None, "policy", "tanh")
    optimizer = training.wrap(keras.optimizers.Adam(0.02), model=model)

    @tf.function
    def step(s, act, credit):
        with tf.GradientTape() as tape:
            z = model(s)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(act, z)
            logs = tf.nn.log_softmax(z)
            sure = tf.reduce_sum(tf.exp(logs) * logs, -1)
            loss = tf.reduce_mean(credit * loss + 0.002 * sure)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    policy = tf.function(lambda s: model(s))
    for _ in range(40):
        s, act, up = poles.play(policy, r, 48, 40)
        won = up[:, -1:] - up[:, -1:].mean()
        credit = up * won
        step(
            tf.constant(s.reshape(-1, 2)),
            tf.constant(act.reshape(-1)),
            tf.constant(credit.reshape(-1).astype("float32")),
        )
    return {"standing": float(poles.play(policy, r, 100, 40)[2][:, -1].mean())}
