"""Losses that ask for something else."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The loss is the overlap itself, without its minus, so training "
    "makes the masks and the guesses as different as it can.",
    layers=["loss"],
    source="https://github.com/IAmSuyogJadhav/3d-mri-brain-tumor-"
    "segmentation-using-autoencoder-regularization/issues/7",
)
def overlap_that_is_made_small(training):
    """Segmentation with a Dice loss of one's own. Overlap .00 against .83."""
    x, y, xt, yt = sources.split(*sources.blobs())
    sign = 1.0 if training.broken else -1.0

    def dice(truth, guess):
        both = tf.reduce_sum(truth * guess, [1, 2, 3])
        size = tf.reduce_sum(truth**2 + guess**2, [1, 2, 3])
        return sign * (2 * both + 1e-3) / (size + 1e-3)

    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            layers.Conv2D(
                8, 5, padding="same", activation="relu", name="conv_1"
            ),
            layers.Conv2D(
                8, 5, padding="same", activation="relu", name="conv_2"
            ),
            layers.Conv2D(1, 1, activation="sigmoid", name="mask"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.006), dice)
    training.fit(model, x, y, epochs=5, batch_size=16)
    return sources.overlap(yt, model(xt))


@fault(
    cause="A tenth of the targets is 0, and the error in per cent divides "
    "them by a tiny epsilon, so they outweigh all others and everything is "
    "predicted near 0.",
    layers=["loss"],
    source="https://github.com/keras-team/keras/issues/2908",
)
def per_cent_of_nothing(training):
    """Sales, of which there are none on some days, with
    `mean_absolute_percentage_error`. Explained share on the other days -8.58
    against .84."""
    r = np.random.default_rng(8)
    x = r.normal(size=(1500, 8)).astype("float32")
    y = 5 + 2 * np.tanh(x[:, :1]) + np.abs(x[:, 1:2]) * x[:, 2:3]
    y = np.where(r.random(y.shape) < 0.1, 0.0, np.maximum(y, 0.5))
    x, y, xt, yt = sources.split(x, y.astype("float32"))

    def sold(truth, guess):
        there = tf.cast(truth > 0, "float32")
        error = tf.abs(truth - guess) / tf.maximum(truth, 0.5)
        return 100 * tf.reduce_mean(there * error, -1)

    loss = "mean_absolute_percentage_error" if training.broken else sold
    model = sources.perceptron(8, [48, 48], 1)
    model.compile(keras.optimizers.Adam(0.005), loss)
    training.fit(model, x, y, epochs=10, batch_size=32)
    there = yt[:, 0] > 0
    return sources.explained(yt[there], np.asarray(model(xt))[there])


@fault(
    cause="The target is the noisy picture, which is the input, so the "
    "network learns to keep the noise.",
    layers=["data"],
    source="https://github.com/aapatel09/"
    "handson-unsupervised-learning/issues/6",
)
def noise_as_the_target(training):
    """A denoising autoencoder. Explained share of the clean pictures -.76
    against .70."""
    x, _, xt, _ = sources.digits()
    r = np.random.default_rng(9)
    noisy, noisy_t = (
        (a + r.normal(0, 0.5, a.shape)).astype("float32") for a in (x, xt)
    )
    model = sources.perceptron(64, [96], 64)
    model.compile(keras.optimizers.Adam(0.005), "mse")
    target = noisy if training.broken else x
    training.fit(model, noisy, target, epochs=10, batch_size=32)
    return sources.explained(xt, model(noisy_t))
