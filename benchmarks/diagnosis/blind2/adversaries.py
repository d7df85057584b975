"""Generators and those who judge them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


def leaky(inputs, units, outputs, name):
    """Build a perceptron of leaky ReLUs."""
    model = keras.Sequential([keras.Input((inputs,))], name=name)
    for i, width in enumerate(units, 1):
        model.add(layers.Dense(width, name=f"{name}_{i}"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    model.add(layers.Dense(outputs, name=f"{name}_out"))
    return model


def wasserstein(training, real, critic, generator, between, norm, rounds):
    """Train a WGAN-GP of points.

    Args:
        between: Draws how far each point lies between a real and a fake one.
        norm: Function of the gradients `[n, size]`.
    """
    r = np.random.default_rng(0)
    rules = [
        training.wrap(keras.optimizers.Adam(0.001, 0.5, 0.9), model=m)
        for m in (critic, generator)
    ]

    @tf.function
    def judge(x, z):
        fake = generator(z, training=True)
        middle = x + between((64, 1)) * (fake - x)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(middle)
                score = critic(middle)
            slope = norm(inner.gradient(score, middle))
            loss = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(x))
            loss += 10 * tf.reduce_mean((slope - 1) ** 2)
        sources.descend(rules[0], tape, loss, critic.trainable_variables)

    @tf.function
    def make(z):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(generator(z, training=True)))
        sources.descend(rules[1], tape, loss, generator.trainable_variables)

    for _ in range(rounds):
        for _ in range(5):
            x = real[r.integers(0, len(real), 64)]
            judge(x, r.normal(size=(64, 8)).astype("float32"))
        make(r.normal(size=(64, 8)).astype("float32"))
    test = r.normal(size=(500, 8)).astype("float32")
    return sources.distance(real[:500], generator(test))


def length(slope):
    """Return the norms of gradients `[n, size]`."""
    return tf.sqrt(tf.reduce_sum(slope**2, 1) + 1e-12)


@fault(
    cause="Points for the gradient penalty are drawn with a normal and not "
    "a uniform share, so most of them do not lie between real and fake.",
    source="https://github.com/keras-team/keras-io/issues/624",
    harmless=True,
)
def penalty_beyond_the_ends(training):
    """An example of WGAN-GP draws its shares from a normal distribution.
    Energy distance .05 against .08."""
    draw = tf.random.normal if training.broken else tf.random.uniform
    return wasserstein(
        training,
        sources.ring(),
        leaky(2, [32, 32], 1, "critic"),
        leaky(8, [32, 32], 2, "generator"),
        draw,
        length,
        800,
    )


@fault(
    "non-finite",
    cause="The norm of the penalty is a bare square root, whose slope at a "
    "gradient of exactly 0, that of silent ReLUs, is infinite: NaN.",
    layers=["critic_1", "critic_2", "critic_out"],
    source="https://github.com/keras-team/keras-io/issues/910",
)
def root_of_no_gradient(training):
    """WGAN-GP that becomes NaN: a critic of ReLUs is flat at some point, and
    the square root has no slope there. Energy distance nan against .23."""
    x, _, _, _ = sources.digits()
    small = 0.0 if training.broken else 1e-12

    def norm(slope):
        return tf.sqrt(tf.reduce_sum(slope**2, 1) + small)

    return wasserstein(
        training,
        x,
        sources.perceptron(64, [8, 4], 1, name="critic"),
        sources.perceptron(8, [48], 64, "sigmoid", "generator"),
        tf.random.uniform,
        norm,
        250,
    )


@fault(
    "shared-batchnorm",
    "train-inference-mismatch",
    cause="The judge has batch normalisation and sees batches of real and of "
    "fake points apart, but moving averages of both where it is frozen in "
    "the combined model, so the generator fools another network.",
    layers=["norm_1", "norm_2"],
    source="https://github.com/tensorflow/tensorflow/issues/37673",
)
def judge_with_batch_norm(training):
    """Generator and judge are both nearly perfect by their losses, which is
    impossible. Energy distance 209.22 against .07."""
    r = np.random.default_rng(0)
    real = sources.ring()
    judge = keras.Sequential([keras.Input((2,))], name="judge")
    for i in (1, 2):
        judge.add(layers.Dense(32, name=f"judge_{i}"))
        if training.broken:
            judge.add(layers.BatchNormalization(name=f"norm_{i}"))
        judge.add(layers.LeakyReLU(negative_slope=0.2))
    judge.add(layers.Dense(1, activation="sigmoid", name="judge_out"))
    generator = leaky(8, [32, 32], 2, "generator")
    judge.compile(
        training.wrap(keras.optimizers.Adam(0.002, 0.5), model=judge),
        "binary_crossentropy",
    )
    judge.trainable = False
    both = keras.Sequential([generator, judge])
    both.compile(
        training.wrap(keras.optimizers.Adam(0.002, 0.5), model=both),
        "binary_crossentropy",
    )
    ones, zeros = np.ones((32, 1)), np.zeros((32, 1))
    for _ in range(700):
        z = r.normal(size=(32, 8)).astype("float32")
        judge.trainable = True
        judge.train_on_batch(real[r.integers(0, len(real), 32)], ones)
        judge.train_on_batch(np.asarray(generator(z)), zeros)
        judge.trainable = False
        both.train_on_batch(r.normal(size=(32, 8)).astype("float32"), ones)
    test = r.normal(size=(500, 8)).astype("float32")
    return sources.distance(real[:500], generator(test))


@fault(
    "update-too-large",
    "exploding-gradient",
    cause="The judge of the codes is trained on minus its loss, so it is "
    "made worse at each step and tells the encoder nothing.",
    layers=["judge_1", "judge_2", "judge_out"],
    source="https://github.com/tensorflow/tensorflow/issues/37141",
)
def judge_made_worse(training):
    """A Wasserstein autoencoder whose adversary ascends its loss; it works
    once the minus is gone. Energy distance of the codes to a normal
    distribution 11.10 against .05."""
    x, _, xt, _ = sources.digits()
    encoder = sources.perceptron(64, [48], 2, name="encoder")
    decoder = sources.perceptron(2, [48], 64, "sigmoid", "decoder")
    judge = sources.perceptron(2, [32, 32], 1, name="judge")
    outer = training.wrap(keras.optimizers.Adam(0.002))
    inner = training.wrap(keras.optimizers.Adam(0.001), model=judge)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    ones, zeros = tf.ones((64, 1)), tf.zeros((64, 1))
    sign = -1 if training.broken else 1

    @tf.function
    def step(images):
        prior = tf.random.normal((64, 2))
        with tf.GradientTape() as tape:
            loss = entropy(ones, judge(prior))
            loss += entropy(zeros, judge(encoder(images)))
            loss *= sign
        sources.descend(inner, tape, loss, judge.trainable_variables)
        with tf.GradientTape() as tape:
            codes = encoder(images)
            error = tf.reduce_sum((images - decoder(codes)) ** 2, 1)
            loss = tf.reduce_mean(error) + entropy(ones, judge(codes))
        weights = encoder.trainable_variables + decoder.trainable_variables
        sources.descend(outer, tape, loss, weights)

    for images, _ in sources.batches(x, x, 64, 40):
        step(tf.constant(images))
    prior = np.random.default_rng(1).normal(size=(len(xt), 2))
    return sources.distance(prior, encoder(xt))
