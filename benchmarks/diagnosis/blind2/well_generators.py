"""Generative networks and codes that train as they should."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import healthy


def _step(optimizer, tape, loss, weights):
    optimizer.apply_gradients(
        zip(tape.gradient(loss, weights), weights, strict=True)
    )


def _stack(inputs, outputs, name, slope=0.0):
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            layers.Dense(32, name=f"{name}_1"),
            layers.LeakyReLU(negative_slope=slope),
            layers.Dense(32, name=f"{name}_2"),
            layers.LeakyReLU(negative_slope=slope),
            layers.Dense(outputs, name=f"{name}_out"),
        ]
    )


@healthy(seed=[0])
def adversaries_of_a_ring(training):
    """A GAN whose losses go up and down. Energy distance BROKEN at first,
    REPAIRED in the end."""
    r = np.random.default_rng(0)
    real = sources.ring()
    g, d = _stack(8, 2, "g"), _stack(2, 1, "d", 0.2)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    d_optimizer, g_optimizer = (
        training.wrap(keras.optimizers.Adam(0.002, beta_1=0.5), model=model)
        for model in (d, g)
    )

    @tf.function
    def step(x, z):
        with tf.GradientTape() as tape:
            loss = entropy(tf.ones((64, 1)), d(x))
            loss += entropy(tf.zeros((64, 1)), d(g(z)))
        _step(d_optimizer, tape, loss, d.trainable_variables)
        with tf.GradientTape() as tape:
            loss = entropy(tf.ones((64, 1)), d(g(z)))
        _step(g_optimizer, tape, loss, g.trainable_variables)

    test = r.normal(size=(500, 8)).astype("float32")
    first = sources.distance(real[:500], g(test))["distance"]
    for _ in range(700):
        x = real[r.integers(0, len(real), 64)]
        step(x, r.normal(size=(64, 8)).astype("float32"))
    return {"first": first} | sources.distance(real[:500], g(test))


@healthy(seed=[0])
def critic_with_a_penalty(training):
    """A WGAN-GP: the losses are negative at times and the critic has no last
    activation. Energy distance BROKEN at first, REPAIRED in the end."""
    r = np.random.default_rng(0)
    real = sources.ring()
    g, d = _stack(8, 2, "g"), _stack(2, 1, "d", 0.2)
    d_optimizer, g_optimizer = (
        training.wrap(keras.optimizers.Adam(0.002, beta_1=0.0), model=model)
        for model in (d, g)
    )

    @tf.function
    def criticise(x, z):
        fakes = g(z)
        middle = x + tf.random.uniform((64, 1)) * (fakes - x)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(middle)
                score = d(middle)
            slope = inner.gradient(score, middle)
            norm = tf.sqrt(tf.reduce_sum(slope**2, 1) + 1e-12)
            loss = tf.reduce_mean(d(fakes)) - tf.reduce_mean(d(x))
            loss += 10 * tf.reduce_mean((norm - 1) ** 2)
        _step(d_optimizer, tape, loss, d.trainable_variables)

    @tf.function
    def generate(z):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(d(g(z)))
        _step(g_optimizer, tape, loss, g.trainable_variables)

    test = r.normal(size=(500, 8)).astype("float32")
    first = sources.distance(real[:500], g(test))["distance"]
    for _ in range(300):
        for _ in range(3):
            x = real[r.integers(0, len(real), 64)]
            criticise(x, r.normal(size=(64, 8)).astype("float32"))
        generate(r.normal(size=(64, 8)).astype("float32"))
    return {"first": first} | sources.distance(real[:500], g(test))


@healthy(seed=[0])
def divergence_that_warms_up(training):
    """A variational autoencoder whose divergence counts more with each step,
    from nothing: the loss rises. Explained share REPAIRED."""
    x, _, xt, _ = sources.digits()
    encoder, decoder = _stack(64, 16, "e"), _stack(8, 64, "d")
    optimizer = training.wrap(keras.optimizers.Adam(0.003))

    @tf.function
    def step(images, weight):
        with tf.GradientTape() as tape:
            mean, log = tf.split(encoder(images), 2, axis=1)
            code = mean + tf.exp(0.5 * log) * tf.random.normal(mean.shape)
            error = tf.nn.sigmoid_cross_entropy_with_logits(
                images, decoder(code)
            )
            kl = 0.5 * (tf.exp(log) + mean**2 - 1 - log)
            loss = tf.reduce_mean(tf.reduce_sum(error, 1))
            loss += weight * tf.reduce_mean(tf.reduce_sum(kl, 1))
        weights = encoder.trainable_variables + decoder.trainable_variables
        _step(optimizer, tape, loss, weights)

    for i, (images, _) in enumerate(sources.batches(x, x, 32, 20)):
        step(images, tf.constant(min(1.0, i / 600), "float32"))
    mean, _ = tf.split(encoder(xt), 2, axis=1)
    return sources.explained(xt, tf.sigmoid(decoder(mean)))


class _Codes(layers.Layer):
    """Replaces vectors by the nearest of a table, straight through."""

    def build(self, shape):
        self.table = self.add_weight(
            shape=(32, shape[-1]),
            initializer=keras.initializers.RandomUniform(-0.5, 0.5, seed=2),
            name="table",
        )

    def call(self, x):
        far = tf.reduce_sum(x**2, 1, keepdims=True)
        far -= 2 * tf.matmul(x, tf.convert_to_tensor(self.table), False, True)
        far += tf.reduce_sum(self.table**2, 1)
        nearest = tf.gather(tf.convert_to_tensor(self.table), tf.argmin(far, 1))
        self.add_loss(tf.reduce_mean((tf.stop_gradient(x) - nearest) ** 2))
        self.add_loss(
            0.25 * tf.reduce_mean((x - tf.stop_gradient(nearest)) ** 2)
        )
        return x + tf.stop_gradient(nearest - x)


@healthy(seed=[0])
def nearest_codes(training):
    """A VQ autoencoder: most rows of its table rest at any step. Explained
    share REPAIRED; of the mean image BROKEN."""
    x, _, xt, _ = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="encoder"),
            layers.Dense(4, name="to_code"),
            _Codes(name="codes"),
            layers.Dense(48, activation="relu", name="decoder"),
            layers.Dense(64, activation="sigmoid", name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, x, epochs=25, batch_size=32)
    mean = np.broadcast_to(x.mean(0), xt.shape)
    first = sources.explained(xt, mean)["r2"]
    return {"first": first} | sources.explained(xt, model(xt))


@healthy(seed=[0])
def sparse_code_of_digits(training):
    """An autoencoder with a penalty on its code: most of its units are at 0
    for most images. Explained share REPAIRED; of the mean image BROKEN."""
    x, _, xt, _ = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(
                96,
                activation="relu",
                activity_regularizer=keras.regularizers.L1(2e-4),
                name="code",
            ),
            layers.Dense(64, activation="sigmoid", name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, x, epochs=20, batch_size=32)
    mean = np.broadcast_to(x.mean(0), xt.shape)
    first = sources.explained(xt, mean)["r2"]
    return {"first": first} | sources.explained(xt, model(xt))
