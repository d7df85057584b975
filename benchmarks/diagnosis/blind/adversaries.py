"""Generators and their adversaries."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


def _generator(outputs=2):
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(32, activation="relu", name="g_1"),
            layers.Dense(32, activation="relu", name="g_2"),
            layers.Dense(outputs, name="g_out"),
        ],
        name="generator",
    )


def _discriminator(activation=None):
    return keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(32, name="d_1"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(32, name="d_2"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Dense(1, activation=activation, name="d_out"),
        ],
        name="discriminator",
    )


@fault(
    "stale-trainable",
    "nothing-learned",
    cause="The discriminator is frozen for the combined model before it was "
    "ever trained, so its own training step has no weights to train either.",
    source="eriklindernoren/Keras-GAN #22",
)
def frozen_for_ever(training):
    """The loss of the discriminator stays where it was: `trainable = False`
    is set once after its compilation, as all examples for Keras 2 do.
    Energy distance 34.32 against .04."""
    r = np.random.default_rng(0)
    real = sources.ring()
    g, d = _generator(), _discriminator("sigmoid")
    d.compile(
        training.wrap(keras.optimizers.Adam(0.002, beta_1=0.5), model=d),
        "binary_crossentropy",
    )
    d.trainable = False
    both = keras.Sequential([g, d])
    both.compile(
        training.wrap(keras.optimizers.Adam(0.002, beta_1=0.5), model=both),
        "binary_crossentropy",
    )
    for _ in range(600):
        z = r.normal(size=(64, 8)).astype("float32")
        x = np.concatenate([real[r.integers(0, len(real), 64)], g(z)])
        y = np.concatenate([np.ones((64, 1)), np.zeros((64, 1))])
        if not training.broken:
            d.trainable = True
        d.train_on_batch(x, y)
        d.trainable = False
        z = r.normal(size=(64, 8)).astype("float32")
        both.train_on_batch(z, np.ones((64, 1)))
    z = r.normal(size=(500, 8)).astype("float32")
    return sources.distance(real[:500], g(z))


@fault(
    cause="The generator is trained with the label that means fake, so it "
    "learns to be found out.",
    source="keras-team/keras-io #284",
)
def generator_with_ones(training):
    """The guide's zeros for the generator were replaced by ones, as in other
    GANs, though here ones mean fake: the losses both fall to 0 and the
    samples are nonsense. Energy distance 18.80 against .03."""
    r = np.random.default_rng(0)
    real = sources.ring()
    g, d = _generator(), _discriminator()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    d_optimizer, g_optimizer = (
        training.wrap(keras.optimizers.Adam(0.002, beta_1=0.5), model=model)
        for model in (d, g)
    )

    @tf.function
    def step(x, z):
        fakes = g(z)
        with tf.GradientTape() as tape:
            wrong = loss(tf.ones((64, 1)), d(fakes))
            wrong += loss(tf.zeros((64, 1)), d(x))
        weights = d.trainable_variables
        d_optimizer.apply_gradients(
            zip(tape.gradient(wrong, weights), weights, strict=True)
        )
        labels = tf.ones if training.broken else tf.zeros
        with tf.GradientTape() as tape:
            wrong = loss(labels((64, 1)), d(g(z)))
        weights = g.trainable_variables
        g_optimizer.apply_gradients(
            zip(tape.gradient(wrong, weights), weights, strict=True)
        )

    for _ in range(1000):
        x = real[r.integers(0, len(real), 64)]
        step(x, r.normal(size=(64, 8)).astype("float32"))
    z = r.normal(size=(500, 8)).astype("float32")
    return sources.distance(real[:500], g(z))


@fault(
    cause="The norm of the gradient penalty is taken over one axis of the "
    "image, as for vectors, and not over all of them.",
    source="hwalsuklee/tensorflow-generative-model-collections #22",
)
def penalty_over_rows(training):
    """ "This is a shameful bug": the penalty of a WGAN is copied from code
    that flattens its images. The critic is steeper than it should be, and
    the samples are worse. Energy distance .76 against .27."""
    r = np.random.default_rng(0)
    real, _, test, _ = sources.digit_images()
    g = keras.Sequential(
        [
            keras.Input((16,)),
            layers.Dense(64, activation="relu", name="g_1"),
            layers.Dense(64, activation="sigmoid", name="g_out"),
            layers.Reshape((8, 8, 1)),
        ]
    )
    d = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, strides=2, padding="same", name="d_1"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dense(1, name="d_out"),
        ]
    )
    d_optimizer = training.wrap(
        keras.optimizers.Adam(0.001, beta_1=0.0), model=d
    )
    g_optimizer = training.wrap(
        keras.optimizers.Adam(0.001, beta_1=0.0), model=g
    )
    axes = [1] if training.broken else [1, 2, 3]

    @tf.function
    def criticise(x, z):
        fakes = g(z)
        share = tf.random.uniform((32, 1, 1, 1))
        middle = x + share * (fakes - x)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(middle)
                score = d(middle)
            slope = inner.gradient(score, middle)
            norm = tf.sqrt(tf.reduce_sum(slope**2, axes) + 1e-12)
            loss = tf.reduce_mean(d(fakes)) - tf.reduce_mean(d(x))
            loss += 10 * tf.reduce_mean((norm - 1) ** 2)
        weights = d.trainable_variables
        d_optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    @tf.function
    def generate(z):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(d(g(z)))
        weights = g.trainable_variables
        g_optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    for _ in range(500):
        for _ in range(3):
            x = real[r.integers(0, len(real), 32)]
            criticise(x, r.normal(size=(32, 16)).astype("float32"))
        generate(r.normal(size=(32, 16)).astype("float32"))
    z = r.normal(size=(len(test), 16)).astype("float32")
    return sources.distance(test, g(z))
