"""Generators and codes that train as they should."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import adversaries
from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import healthy


@healthy(loss=["hinge", "clipped"], seed=[0])
def judges_with_bounds(training):
    """A GAN of points with hinge losses, and a Wasserstein one whose critic's
    weights are clipped: most of them lie at the bound. Energy distance .01 and
    .04."""
    r = np.random.default_rng(0)
    real = sources.ring()
    hinge = training.options["loss"] == "hinge"
    judge = adversaries.leaky(2, [32, 32], 1, "judge")
    generator = sources.perceptron(4, [32, 32], 2, name="generator")
    rate = 0.002 if hinge else 0.001
    inner = training.wrap(keras.optimizers.Adam(rate, 0.5), model=judge)
    outer = training.wrap(keras.optimizers.Adam(0.001, 0.5), model=generator)

    @tf.function
    def step(x, z, made):
        with tf.GradientTape() as tape:
            right, wrong = judge(x), judge(generator(z))
            if hinge:
                right = tf.minimum(right - 1, 0)
                wrong = tf.maximum(wrong + 1, 0)
            loss = tf.reduce_mean(wrong) - tf.reduce_mean(right)
        sources.descend(inner, tape, loss, judge.trainable_variables)
        if not hinge:
            for v in judge.trainable_variables:
                v.assign(tf.clip_by_value(v, -0.2, 0.2))
        if made:
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(judge(generator(z)))
            sources.descend(outer, tape, loss, generator.trainable_variables)

    for i in range(1200):
        x = real[r.integers(0, len(real), 64)]
        z = r.normal(size=(64, 4)).astype("float32")
        step(x, z, hinge or i % 3 == 0)
    test = r.normal(size=(500, 4)).astype("float32")
    return sources.distance(real[:500], generator(test))


@healthy(seed=[0])
def code_with_free_bits(training):
    """A variational autoencoder whose divergence costs nothing below half a
    nat for each number of the code. Explained share of the pictures .81."""
    x, _, xt, _ = sources.digits()
    encoder = sources.perceptron(64, [64], 12, name="encoder")
    decoder = sources.perceptron(6, [64], 64, "sigmoid", name="decoder")
    optimizer = training.wrap(keras.optimizers.Adam(0.003))

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            mean, log = tf.split(encoder(images), 2, 1)
            noise = tf.random.normal(tf.shape(mean))
            guess = decoder(mean + tf.exp(log / 2) * noise)
            error = tf.reduce_mean(tf.reduce_sum((images - guess) ** 2, 1))
            apart = -0.5 * (1 + log - mean**2 - tf.exp(log))
            apart = tf.maximum(tf.reduce_mean(apart, 0), 0.5)
            loss = 4 * error + tf.reduce_sum(apart)
        weights = encoder.trainable_variables + decoder.trainable_variables
        sources.descend(optimizer, tape, loss, weights)

    for images, _ in sources.batches(x, x, 64, 25):
        step(tf.constant(images))
    mean = tf.split(encoder(xt), 2, 1)[0]
    return sources.explained(xt, decoder(mean))


@healthy(seed=[0])
def codes_by_moving_averages(training):
    """Vector quantisation whose codes follow averages and have no gradients.
    Explained share of the pictures .69."""
    x, _, xt, _ = sources.digits()
    r = np.random.default_rng(2)
    encoder = sources.perceptron(64, [64], 16, name="encoder")
    decoder = sources.perceptron(16, [64], 64, "sigmoid", name="decoder")
    first = np.asarray(encoder(x[:32])) + 0.01 * r.normal(size=(32, 16))
    codes = tf.Variable(first.astype("float32"), trainable=False)
    count = tf.Variable(tf.ones(32), trainable=False)
    sums = tf.Variable(codes, trainable=False)
    optimizer = training.wrap(keras.optimizers.Adam(0.003))

    def nearest(h):
        far = tf.reduce_sum((h[:, None] - codes[None]) ** 2, -1)
        return tf.argmin(far, 1)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            h = encoder(images)
            best = nearest(h)
            code = tf.gather(codes, best)
            guess = decoder(h + tf.stop_gradient(code - h))
            loss = tf.reduce_mean(tf.reduce_sum((images - guess) ** 2, 1))
            near = (h - tf.stop_gradient(code)) ** 2
            loss += 0.25 * tf.reduce_mean(tf.reduce_sum(near, 1))
        weights = encoder.trainable_variables + decoder.trainable_variables
        sources.descend(optimizer, tape, loss, weights)
        chosen = tf.one_hot(best, 32)
        count.assign(0.9 * count + 0.1 * tf.reduce_sum(chosen, 0))
        total = tf.matmul(chosen, h, transpose_a=True)
        sums.assign(0.9 * sums + 0.1 * total)
        codes.assign(sums / (count[:, None] + 1e-3))

    for images, _ in sources.batches(x, x, 64, 30):
        step(tf.constant(images))
    code = tf.gather(codes, nearest(encoder(xt)))
    return sources.explained(xt, decoder(code))


@healthy(seed=[0])
def noise_taken_away(training):
    """A diffusion model of points: the loss has a floor far above 0, as noise
    can only be guessed. Energy distance .04."""
    r = np.random.default_rng(3)
    real = sources.ring()
    model = sources.perceptron(3, [96, 96], 2, name="noise", hidden="swish")
    model.compile(keras.optimizers.Adam(0.003), "mse")
    beta = np.linspace(0.005, 0.25, 30)
    kept = np.cumprod(1 - beta)
    t = r.integers(0, 30, 12000)
    noise = r.normal(size=(12000, 2))
    start = real[r.integers(0, len(real), 12000)]
    share = kept[t][:, None]
    x = np.sqrt(share) * start + np.sqrt(1 - share) * noise
    x = np.concatenate([x, t[:, None] / 15 - 1], 1).astype("float32")
    training.fit(model, x, noise.astype("float32"), epochs=8, batch_size=96)
    p = r.normal(size=(500, 2))
    for i in reversed(range(30)):
        time = np.full((500, 1), i / 15 - 1)
        guess = model(np.concatenate([p, time], 1).astype("float32"))
        p = p - beta[i] / np.sqrt(1 - kept[i]) * np.asarray(guess)
        p = p / np.sqrt(1 - beta[i])
        if i:
            p = p + np.sqrt(beta[i]) * r.normal(size=p.shape)
    return sources.distance(real[:500], p)


@healthy(seed=[0])
def pixels_left_out(training):
    """A masked autoencoder: most of a picture is zeros, and only what was left
    out counts. Explained share of what was left out .68."""
    x, _, xt, _ = sources.digits()
    r = np.random.default_rng(4)

    def masked(images):
        seen = (r.random(images.shape) < 0.35).astype("float32")
        both = np.concatenate([images * seen, seen], 1)
        return both, np.concatenate([images, 1 - seen], 1)

    def hidden_only(truth, guess):
        image, there = tf.split(truth, 2, 1)
        return tf.reduce_sum(there * (image - guess) ** 2, 1)

    model = keras.Sequential(
        [
            keras.Input((128,)),
            layers.Dense(96, activation="relu", name="hidden_1"),
            layers.Dense(96, activation="relu", name="hidden_2"),
            layers.Dense(64, activation="sigmoid", name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), hidden_only)
    parts = [masked(x) for _ in range(4)]
    a, b = (np.concatenate(c) for c in zip(*parts, strict=True))
    training.fit(model, a, b, epochs=8, batch_size=64)
    a, b = masked(xt)
    there = b[:, 64:] > 0
    return sources.explained(xt[there], np.asarray(model(a))[there])
