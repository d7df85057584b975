"""Well-made networks of other kinds, many in loops of their own."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.report import norms, sources


def _train(optimizer, variables, loss_of):
    """Return a compiled step that minimises `loss_of` of its arguments."""

    @tf.function
    def step(*batch):
        with tf.GradientTape() as tape:
            loss = loss_of(*batch)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step


@healthy(norm=[False, True], seed=[0])
def own_loop(training):
    """Logits, the loss of tf.nn and a loop of one's own."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64)])
    if training.options["norm"]:
        model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.Activation("relu"))
    model.add(layers.Dense(10))
    optimizer = training.wrap(keras.optimizers.Adam(0.002), model=model)

    def loss_of(images, labels):
        logits = model(images, training=True)
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        )

    step = _train(optimizer, model.trainable_variables, loss_of)
    for images, labels in sources.batches(x, y, 32, 7):
        step(images, labels)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def gan(training):
    """A generator of points on a ring; its discriminator is watched."""
    r = np.random.default_rng(0)
    angle = r.uniform(0, 2 * np.pi, 4000)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    ring = (ring + r.normal(0, 0.05, ring.shape)).astype("float32")
    maker = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(2),
        ]
    )
    judge = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(32),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(32),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(1),
        ]
    )
    cross = keras.losses.BinaryCrossentropy(from_logits=True)
    first = training.wrap(keras.optimizers.Adam(0.002, beta_1=0.5), model=judge)
    second = keras.optimizers.Adam(0.001, beta_1=0.5)

    def judged(real, noise):
        true, false = judge(real), judge(maker(noise))
        one, zero = tf.ones_like(true), tf.zeros_like(false)
        return cross(one, true) + cross(zero, false)

    def fooled(noise):
        false = judge(maker(noise))
        return cross(tf.ones_like(false), false)

    judge_step = _train(first, judge.trainable_variables, judged)
    maker_step = _train(second, maker.trainable_variables, fooled)
    for real, _ in sources.batches(ring, ring, 64, 8):
        judge_step(real, r.normal(size=(64, 4)).astype("float32"))
        maker_step(r.normal(size=(64, 4)).astype("float32"))
    made = np.asarray(maker(r.normal(size=(500, 4)).astype("float32")))
    return {"radius": float(np.linalg.norm(made, axis=1).mean())}


@healthy(seed=[0])
def vae(training):
    """A variational autoencoder with a balanced loss."""
    x, _, xt, _ = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(48, activation="relu")(inputs)
    code = norms.Sampling(1 / 64)([layers.Dense(6)(h), layers.Dense(6)(h)])
    h = layers.Dense(48, activation="relu")(code)
    model = keras.Model(inputs, layers.Dense(64, activation="sigmoid")(h))
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    training.fit(model, x, x, epochs=12, batch_size=32)
    error = np.asarray(model(xt, training=False)) - xt
    return {"r2": float(1 - np.mean(error**2) / np.mean(xt.var(axis=0)))}


@healthy(seed=[0])
def siamese(training):
    """One encoder for both sides, with batch norm, and contrastive loss."""
    x, y, _, _ = sources.digits()
    r = np.random.default_rng(0)
    i = r.integers(0, len(x), 2400)
    mates = {c: np.flatnonzero(y == c) for c in range(10)}
    j = np.array([r.choice(mates[c]) for c in y[i]])
    j = np.where(r.integers(0, 2, 2400) == 1, j, r.integers(0, len(x), 2400))
    truth = (y[i] == y[j]).astype("float32")[:, None]
    encoder = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.Dense(16),
        ]
    )
    a, b = keras.Input((64,)), keras.Input((64,))
    gap = layers.Subtract()([encoder(a), encoder(b)])
    square = layers.Lambda(
        lambda d: tf.reduce_sum(d**2, 1, keepdims=True), output_shape=(1,)
    )(gap)

    def contrastive(same, d2):
        d = tf.sqrt(d2 + 1e-6)
        return same * d2 + (1 - same) * tf.maximum(2 - d, 0) ** 2

    model = keras.Model([a, b], square)
    model.compile(keras.optimizers.Adam(0.002), contrastive)
    training.fit(model, [x[i], x[j]], truth, epochs=8, batch_size=64)
    near = np.asarray(model([x[i], x[j]])) < 1
    return {"accuracy": float(np.mean(near == (truth > 0.5)))}


@healthy(seed=[0])
def rare_class(training):
    """A class of one in twelve, weighted to balance."""
    r = np.random.default_rng(5)
    x = r.normal(size=(2000, 6)).astype("float32")
    score = x[:, 0] + x[:, 1] * x[:, 2] + r.normal(0, 0.3, 2000)
    y = (score > np.quantile(score, 0.92)).astype("float32")[:, None]
    x, y, xt, yt = sources.split(x, y)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(
        model, x, y, epochs=10, batch_size=32, class_weight={0: 1.0, 1: 6.0}
    )
    p = np.asarray(model(xt)) > 0.5
    rates = [np.mean(p[yt == c] == c) for c in (0, 1)]
    return {"balanced accuracy": float(np.mean(rates))}


@healthy(kind=["lstm", "conv"], seed=[0])
def forecast(training):
    """The passengers, scaled, one month ahead."""
    x, y, xt, yt = sources.split(*sources.passengers())
    x, xt = (x - 400) / 150, (xt - 400) / 150
    model = keras.Sequential([keras.Input((12, 1))])
    if training.options["kind"] == "lstm":
        model.add(layers.LSTM(32))
    else:
        model.add(layers.Conv1D(16, 3, activation="relu"))
        model.add(layers.Flatten())
    model.add(layers.Dense(1))
    model.compile(keras.optimizers.Adam(0.005), "huber")
    training.fit(model, x, (y - 400) / 150, epochs=25, batch_size=16)
    return sources.r2(model, xt, yt, 150, 400)


@healthy(seed=[0])
def padded(training):
    """Sequences of 3 to 10 steps, padded and masked; their largest value."""
    r = np.random.default_rng(2)
    x = r.uniform(0.1, 1, (1500, 10, 1)).astype("float32")
    x[np.arange(10) >= r.integers(3, 11, (1500, 1))] = 0
    y = x.max(axis=1)
    x, y, xt, yt = sources.split(x, y)
    model = keras.Sequential(
        [
            keras.Input((10, 1)),
            layers.Masking(0.0),
            layers.GRU(24),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.r2(model, xt, yt)


class Curve(keras.Model):
    """A subclassed regression."""

    def __init__(self):
        super().__init__()
        self.steps = [layers.Dense(32, activation="tanh") for _ in range(3)]
        self.out = layers.Dense(1)

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return self.out(x)


@healthy(optimizer=["adam", "rmsprop"], seed=[0])
def curve(training):
    """sin(2x) by a subclassed model."""
    x, y, xt, yt = sources.split(*sources.sine())
    model = Curve()
    optimizer = keras.optimizers.Adam(0.01)
    if training.options["optimizer"] == "rmsprop":
        optimizer = keras.optimizers.RMSprop(0.003)
    model.compile(optimizer, "mse")
    training.fit(model, x, y, epochs=30, batch_size=32)
    return sources.r2(model, xt, yt)


@healthy(seed=[0])
def q_values(training):
    """Q-learning of a walk to the right end, with a slow target network."""
    r = np.random.default_rng(0)
    places = np.eye(8, dtype="float32")

    def build():
        return keras.Sequential(
            [
                keras.Input((8,)),
                layers.Dense(24, activation="relu"),
                layers.Dense(2),
            ]
        )

    model, slow = build(), build()
    slow.set_weights(model.get_weights())
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=model)
    huber = keras.losses.Huber()

    def loss_of(state, action, aim):
        q = tf.gather(model(state, training=True), action, batch_dims=1)
        return huber(aim, q)

    step = _train(optimizer, model.trainable_variables, loss_of)
    for i in range(600):
        if i % 25 == 0:
            slow.set_weights(model.get_weights())
        here = r.integers(0, 7, 32)
        action = r.integers(0, 2, 32)
        there = np.clip(here + 2 * action - 1, 0, 7)
        done = there == 7
        best = np.asarray(slow(places[there])).max(1)
        aim = np.where(done, 1.0, 0.9 * best).astype("float32")
        step(tf.constant(places[here]), tf.constant(action), tf.constant(aim))
    go = np.asarray(model(places[:7])).argmax(1)
    return {"accuracy": float(np.mean(go == 1))}
