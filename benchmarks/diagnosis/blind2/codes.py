"""Autoencoders and their codes."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


@fault(
    "relu-output",
    "output-range",
    cause="The last layer of the autoencoder is a ReLU while the columns are "
    "standardised, so half of what it is to give it cannot give.",
    layers=["decoder_out"],
    source="https://github.com/curiousily/Credit-Card-Fraud-Detection-using-"
    "Autoencoders-in-Keras/issues/1",
)
def no_negative_outputs(training):
    """An autoencoder of standardised transactions ends in a ReLU. Explained
    share .50 against .76."""
    x, _, xt, _ = sources.cancer()
    last = "relu" if training.broken else None
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(
                14,
                activation="tanh",
                activity_regularizer=keras.regularizers.L1(1e-5),
                name="encoder",
            ),
            layers.Dense(7, activation="relu", name="code"),
            layers.Dense(7, activation="tanh", name="decoder"),
            layers.Dense(30, activation=last, name="decoder_out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(
        model, x, x, epochs=40, batch_size=32, validation_data=(xt, xt)
    )
    return sources.explained(xt, model(xt))


def _variational(training, sample, divergence, epochs=25):
    """Train a variational autoencoder of digits.

    Args:
        sample: Function of the means and the logarithms of the encoder.
        divergence: Function of the same, per example.
    """
    x, _, _, _ = sources.digits()
    encoder = sources.perceptron(64, [48], 16, name="encoder")
    decoder = sources.perceptron(8, [48], 64, name="decoder")
    optimizer = training.wrap(keras.optimizers.Adam(0.003))

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            mean, log = tf.split(encoder(images), 2, axis=1)
            error = tf.nn.sigmoid_cross_entropy_with_logits(
                images, decoder(sample(mean, log))
            )
            loss = tf.reduce_mean(tf.reduce_sum(error, 1))
            loss += tf.reduce_mean(divergence(mean, log))
        weights = encoder.trainable_variables + decoder.trainable_variables
        sources.descend(optimizer, tape, loss, weights)

    for images, _ in sources.batches(x, x, 32, epochs):
        step(tf.constant(images))
    return encoder, decoder


def _made(decoder):
    """Compare digits that are made from random codes to real ones."""
    _, _, xt, _ = sources.digits()
    z = np.random.default_rng(3).normal(size=(450, 8)).astype("float32")
    return sources.distance(xt, tf.sigmoid(decoder(z)))


def _divergence(mean, log):
    return 0.5 * tf.reduce_sum(tf.exp(log) + mean**2 - 1 - log, 1)


@fault(
    cause="The sample is the mean plus exp(log variance) times noise, without "
    "the half, while the divergence takes it for a log variance.",
    layers=["encoder_out"],
    source="https://github.com/keras-team/keras/issues/3283",
    harmless=True,
)
def variance_for_deviation(training):
    """The example of the variational autoencoder exponentiates the log
    variance without halving it. Bound 26.3 against 24.9, energy distance of
    what it makes .06 against .17."""
    half = 1.0 if training.broken else 0.5

    def sample(mean, log):
        return mean + tf.exp(half * log) * tf.random.normal(tf.shape(mean))

    encoder, decoder = _variational(training, sample, _divergence)
    _, _, xt, _ = sources.digits()
    mean, log = tf.split(encoder(xt), 2, axis=1)
    error = tf.nn.sigmoid_cross_entropy_with_logits(
        xt, decoder(sample(mean, log))
    )
    bound = tf.reduce_sum(error, 1) + _divergence(mean, 2 * half * log)
    return {"bound": float(tf.reduce_mean(bound))} | _made(decoder)


@fault(
    cause="The divergence is a mean times 5e-4 and not half a sum, so it "
    "counts for nothing and the codes are not where the decoder is asked.",
    layers=["encoder_out"],
    source="https://github.com/fchollet/deep-learning-with-python-notebooks/"
    "issues/120",
)
def divergence_of_nothing(training):
    """A book's loss has -5e-4 * mean for the divergence: pictures are copied
    well and made badly. Energy distance of what it makes 1.07 against .17."""

    def sample(mean, log):
        return mean + tf.exp(0.5 * log) * tf.random.normal(tf.shape(mean))

    def little(mean, log):
        return -5e-4 * tf.reduce_mean(1 + log - mean**2 - tf.exp(log), 1)

    divergence = little if training.broken else _divergence
    _, decoder = _variational(training, sample, divergence)
    return _made(decoder)


class Codebook(layers.Layer):
    """Replaces vectors by the nearest of a table."""

    def __init__(self, late, **options):
        super().__init__(**options)
        self.late = late

    def build(self, shape):
        self.table = self.add_weight(
            shape=(64, shape[-1]),
            initializer=keras.initializers.RandomUniform(
                -1 / 64, 1 / 64, seed=4
            ),
            name="table",
        )

    def call(self, x):
        table = tf.convert_to_tensor(self.table)
        far = tf.reduce_sum((x[:, None] - table[None]) ** 2, -1)
        code = tf.gather(table, tf.argmin(far, 1))
        through = x + tf.stop_gradient(code - x)
        learnt = through if self.late else code
        fixed = tf.stop_gradient(x)
        self.add_loss(tf.reduce_mean((learnt - fixed) ** 2))
        self.add_loss(0.25 * tf.reduce_mean((x - tf.stop_gradient(code)) ** 2))
        return through


@fault(
    "disconnected-variable",
    "zero-gradient",
    cause="The loss of the codebook is taken of the straight-through output, "
    "in which the table stands behind stop_gradient, so it is never trained.",
    layers=["codes"],
    source="https://github.com/showlab/Olaf-World/issues/8",
)
def table_behind_the_stop(training):
    """A VQ model whose codebook stays at its initialisation, while the error
    of reconstruction still falls. Explained share .49 against .69."""
    images, _ = data.digits()
    x, _, xt, _ = sources.split(images, images)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="encoder"),
            layers.Dense(8, name="to_code"),
            Codebook(training.broken, name="codes"),
            layers.Dense(48, activation="relu", name="decoder"),
            layers.Dense(64, activation="sigmoid", name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, x, epochs=30, batch_size=32)
    return sources.explained(xt, model(xt))
