"""Generative networks and codes that train as they should."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import adversaries, codes, sources
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
    """A GAN whose losses go up and down. Energy distance .34 at first, .02 in
    the end."""
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
    activation. Energy distance .08; of the untrained generator .34."""
    return adversaries.wasserstein(
        training,
        sources.ring(),
        adversaries.leaky(2, [32, 32], 1, "critic"),
        adversaries.leaky(8, [32, 32], 2, "generator"),
        tf.random.uniform,
        adversaries.length,
        800,
    )


@healthy(seed=[0])
def divergence_that_warms_up(training):
    """A variational autoencoder whose divergence counts more with each step,
    from nothing: the loss rises. Explained share .76."""
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


@healthy(seed=[0])
def nearest_codes(training):
    """A VQ autoencoder: most rows of its table rest at any step. Explained
    share .67; of the mean image .49."""
    x, _, xt, _ = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="encoder"),
            layers.Dense(8, name="to_code"),
            codes.Codebook(False, name="codes"),
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
    for most images. Explained share .96; of the mean image .49."""
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
