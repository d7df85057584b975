"""Networks that make things, and networks that judge them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


def _leaky(inputs, units, outputs, name):
    model = keras.Sequential([keras.Input((inputs,))], name=name)
    for i, width in enumerate(units, 1):
        model.add(layers.Dense(width, name=f"{name}_{i}"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    model.add(layers.Dense(outputs, name=f"{name}_out"))
    return model


def compete(training, real, generator, judge, rounds, fake_label=0.0):
    """Train two networks in turns, and return the distance of what is made
    in the end.

    Args:
        fake_label: What the judge is told about what is made.
    """
    r = np.random.default_rng(0)
    inner = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=judge)
    outer = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=generator)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    ones, fakes = tf.ones((64, 1)), fake_label * tf.ones((64, 1))

    @tf.function
    def step(x, z):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(entropy(ones, judge(x)))
            loss += tf.reduce_mean(entropy(fakes, judge(generator(z))))
        sources.descend(inner, tape, loss, judge.trainable_variables)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(entropy(ones, judge(generator(z))))
        sources.descend(outer, tape, loss, generator.trainable_variables)

    for _ in range(rounds):
        x = real[r.integers(0, len(real), 64)]
        step(x, r.normal(size=(64, 8)).astype("float32"))
    test = r.normal(size=(400, 8)).astype("float32")
    return sources.distance(real[:400], generator(test))


@fault(
    cause="Real pictures are scaled twice and lie just above -1, while what "
    "is made goes from -1 to 1, so the generator learns to make dark ones.",
    layers=["data"],
    source="https://github.com/keras-team/keras-io/issues/998",
)
def scaled_a_second_time(training):
    """A GAN with tanh, of digits. Distance of what it makes from the digits
    between -1 and 1."""
    x, _, _, _ = sources.digits()
    real = 2 * x - 1
    given = 2 * (x / 16) - 1 if training.broken else real
    generator = _leaky(8, [64], 64, "generator")
    generator.add(layers.Activation("tanh", name="tanh"))
    judge = _leaky(64, [64], 1, "judge")
    compete(training, given, generator, judge, 500)
    z = np.random.default_rng(5).normal(size=(400, 8)).astype("float32")
    return sources.distance(real[:400], generator(z))


@fault(
    cause="`trainable = False` for the combined network also holds when the "
    "judge itself is trained, so the judge stays as it was made and the "
    "generator fools a random network.",
    layers=["judge", "code"],
    source="https://github.com/eriklindernoren/Keras-GAN/issues/208",
)
def judge_that_stays_frozen(training):
    """The classic loop of Keras with two compiled networks, which relied on
    a flag that was read when a network was compiled."""
    real, r = sources.ring(), np.random.default_rng(0)
    generator = _leaky(8, [48, 48], 2, "generator")
    judge = _leaky(2, [48, 48], 1, "judge")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    judge.compile(
        training.wrap(keras.optimizers.Adam(0.002, 0.5), model=judge), loss
    )
    inputs = keras.Input((8,))
    both = keras.Model(inputs, judge(generator(inputs)))
    judge.trainable = False
    both.compile(
        training.wrap(keras.optimizers.Adam(0.002, 0.5), model=both), loss
    )
    both.train_on_batch(np.zeros((64, 8), "float32"), np.ones((64, 1)))
    if not training.broken:
        judge.trainable = True
    labels = np.repeat([1.0, 0.0], 64)[:, None]
    for _ in range(400):
        z = r.normal(size=(64, 8)).astype("float32")
        x = real[r.integers(0, len(real), 64)]
        judge.train_on_batch(np.concatenate([x, generator(z)]), labels)
        both.train_on_batch(z, np.ones((64, 1)))
    test = r.normal(size=(400, 8)).astype("float32")
    return sources.distance(real[:400], generator(test))


@fault(
    cause="The weights of the critic are not clipped, so its scores, of which "
    "the difference is maximised, grow without end and so do its gradients.",
    layers=["critic", "code"],
    source="https://github.com/archsyscall/GANs-TensorFlow2/issues/2",
)
def critic_without_clipping(training):
    """A Wasserstein GAN of points."""
    real, r = sources.ring(), np.random.default_rng(0)
    generator = _leaky(8, [48, 48], 2, "generator")
    critic = _leaky(2, [48, 48], 1, "critic")
    inner = training.wrap(keras.optimizers.RMSprop(0.002), model=critic)
    outer = training.wrap(keras.optimizers.RMSprop(0.002), model=generator)

    @tf.function
    def judge(x, z):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(critic(generator(z)) - critic(x))
        sources.descend(inner, tape, loss, critic.trainable_variables)
        if not training.broken:
            for weight in critic.trainable_variables:
                weight.assign(tf.clip_by_value(weight, -0.15, 0.15))

    @tf.function
    def make(z):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(generator(z)))
        sources.descend(outer, tape, loss, generator.trainable_variables)

    for _ in range(250):
        for _ in range(4):
            x = real[r.integers(0, len(real), 64)]
            judge(x, r.normal(size=(64, 8)).astype("float32"))
        make(r.normal(size=(64, 8)).astype("float32"))
    test = r.normal(size=(400, 8)).astype("float32")
    return sources.distance(real[:400], generator(test))


class Varied(layers.Layer):
    """Draws codes around their means, or shifts all of them alike."""

    def __init__(self, broken, **options):
        super().__init__(**options)
        self.broken = broken
        self.noise = keras.random.SeedGenerator(4)

    def call(self, inputs):
        mean, log = inputs
        drawn = 1.0
        if not self.broken:
            drawn = keras.random.normal(tf.shape(mean), seed=self.noise)
        kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log) - log - 1, -1)
        self.add_loss(0.15 * tf.reduce_mean(kl))
        return mean + tf.exp(0.5 * log) * drawn


@fault(
    cause="The code is moved by a fixed number and not by random noise, so "
    "the network is a plain autoencoder, and codes that are drawn decode to "
    "things that do not exist.",
    layers=["varied"],
    source="https://github.com/twairball/keras_lstm_vae/issues/1",
)
def codes_without_noise(training):
    """A VAE of the points of a ring. Distance of what drawn codes give."""
    x = sources.ring()
    inputs = keras.Input((2,))
    h = layers.Dense(64, activation="relu", name="encoder")(inputs)
    mean = layers.Dense(3, name="mean")(h)
    log = layers.Dense(3, name="log")(h)
    code = Varied(training.broken, name="varied")([mean, log])
    decoder = sources.perceptron(3, [64, 64], 2, name="decoder")
    model = keras.Model(inputs, decoder(code))

    def near(truth, guess):
        return 5 * tf.reduce_sum((truth - guess) ** 2, -1)

    model.compile(keras.optimizers.Adam(0.005), near)
    training.fit(model, x, x, epochs=15, batch_size=32)
    z = np.random.default_rng(5).normal(size=(400, 3)).astype("float32")
    return sources.distance(x[:400], decoder(z))
