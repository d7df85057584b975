"""Autoencoders."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    "nothing-learned",
    "loss-metric-disagree",
    cause="The same shuffled dataset is zipped with itself, and each copy "
    "shuffles on its own, so that input and target are different images.",
    source="tensorflow/tensorflow #37581",
)
def zipped_with_itself(training):
    """Training by fit fails and yields the mean image, a loop of one's own
    succeeds: fit is given zip((data, data)). Explained share .48 against
    .89."""
    x, _, xt, _ = sources.digits()

    def read(seed):
        data = tf.data.Dataset.from_tensor_slices(x)
        return data.shuffle(len(x), seed=seed).batch(32)

    if training.broken:
        data = tf.data.Dataset.zip((read(1), read(2)))
    else:
        data = read(1).map(lambda images: (images, images))
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="encoder"),
            layers.Dense(16, activation="relu", name="code"),
            layers.Dense(48, activation="relu", name="decoder"),
            layers.Dense(64, activation="sigmoid", name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    training.fit(model, data, epochs=15)
    return sources.explained(xt, model(xt))


class _Sample(layers.Layer):
    def __init__(self, share, **options):
        super().__init__(**options)
        self.share = share
        self.noise = keras.random.SeedGenerator(3)

    def call(self, inputs):
        mean, log = inputs
        noise = keras.random.normal(tf.shape(mean), seed=self.noise)
        kl = 1 + log - mean**2 - tf.exp(log)
        self.add_loss(-0.5 * tf.reduce_mean(tf.reduce_sum(kl, -1)))
        return mean + tf.exp(self.share * log) * noise


@fault(
    cause="The code is sampled with the exponential of the logarithm of the "
    "variance where its half belongs.",
    layers=["sample"],
    source="keras-team/keras #9972",
    harmless=True,
)
def variance_for_deviation(training):
    """The example of a variational autoencoder samples with the variance,
    not with the deviation; it works as well, since the scale of that layer
    is free. Explained share .76 against .70."""
    x, _, xt, _ = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu", name="encoder")(inputs)
    mean = layers.Dense(8, name="mean")(h)
    log = layers.Dense(8, name="log_variance")(h)
    code = _Sample(1.0 if training.broken else 0.5, name="sample")([mean, log])
    h = layers.Dense(64, activation="relu", name="decoder")(code)
    out = layers.Dense(64, activation="sigmoid", name="pixels")(h)
    model = keras.Model(inputs, out)

    def error(truth, guess):
        return 64 * keras.losses.binary_crossentropy(truth, guess)

    model.compile(keras.optimizers.Adam(0.003), error)
    training.fit(model, x, x, epochs=20, batch_size=32)
    return sources.explained(xt, model(xt))


@fault(
    cause="The noise is drawn once, when the graph is built, and not anew in "
    "each call of the sampling function.",
    layers=["sample"],
    source="ericjang/draw #2",
)
def noise_of_the_first_day(training):
    """A variational autoencoder whose loss is lower than anything reported:
    the same noise is added to every code, so the decoder learns to undo it.
    Explained share with fresh noise -.24 against .70."""
    x, _, xt, _ = sources.digits()
    encoder = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="encoder"),
            layers.Dense(16, name="moments"),
        ],
        name="encoding",
    )
    decoder = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(64, activation="relu", name="decoder"),
            layers.Dense(64, name="pixels"),
        ],
        name="decoding",
    )
    optimizer = training.wrap(keras.optimizers.Adam(0.003))
    first = tf.random.normal((8,))

    def sample(mean, log):
        noise = first if training.broken else tf.random.normal(mean.shape)
        return mean + tf.exp(0.5 * log) * noise

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            mean, log = tf.split(encoder(images), 2, axis=1)
            logits = decoder(sample(mean, log))
            error = tf.nn.sigmoid_cross_entropy_with_logits(images, logits)
            kl = 0.5 * (tf.exp(log) + mean**2 - 1 - log)
            loss = tf.reduce_mean(tf.reduce_sum(error, 1))
            loss += tf.reduce_mean(tf.reduce_sum(kl, 1))
        weights = encoder.trainable_variables + decoder.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    for images, _ in sources.batches(x, x, 32, 20):
        step(images)
    mean, log = tf.split(encoder(xt), 2, axis=1)
    code = mean + tf.exp(0.5 * log) * np.random.default_rng(1).normal(
        size=mean.shape
    ).astype("float32")
    return sources.explained(xt, tf.sigmoid(decoder(code)))
