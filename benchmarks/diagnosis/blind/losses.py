"""Losses of one's own."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The loss takes its arguments in the wrong order, so the mask of "
    "missing targets is made from the predictions.",
    layers=["targets"],
    source="tensorflow/tensorflow #38067",
)
def mask_from_the_predictions(training):
    """A masked squared error (0 means missing) of arguments (predicted,
    target), as in the tutorial, in `compile`: it makes no difference for
    other losses. Explained share -1.08 against .88."""
    r = np.random.default_rng(1)
    x = r.normal(size=(1500, 8)).astype("float32")
    truth = np.tanh(x @ r.normal(size=(8, 6)) * 0.6) * 2 + 3
    x, truth, xt, yt = sources.split(x, truth.astype("float32"))
    y = np.where(r.random(truth.shape) < 0.6, 0, truth).astype("float32")

    def masked(a, b):
        target, guess = (b, a) if training.broken else (a, b)
        there = tf.cast(tf.not_equal(target, 0), "float32")
        return tf.reduce_sum(there * (guess - target) ** 2) / (
            tf.reduce_sum(there) + 1
        )

    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(6, name="targets"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), masked)
    training.fit(model, x, y, epochs=20, batch_size=32)
    return sources.explained(yt, model(xt))


@fault(
    "output-range",
    cause="A variable made inside of the loss function is not a weight of "
    "the model, so the optimizer never gets it.",
    source="keras-team/keras #12503",
)
def scale_inside_of_the_loss(training):
    """ "The values of the variables are not changing but I have non zero
    loss": the scale of a cosine classifier belongs to the loss. Mean log
    probability of the right class -1.73 against -.15."""
    x, y, xt, yt = sources.digits()

    class Scale(layers.Layer):
        def build(self, shape):
            self.log = self.add_weight(shape=(), initializer="zeros")

        def call(self, cosine):
            return cosine * tf.exp(self.log)

    outside = tf.Variable(0.0)
    inputs = keras.Input((64,))
    h = layers.Dense(48, activation="relu", name="hidden")(inputs)
    h = layers.UnitNormalization()(h)
    out = layers.Dense(
        10,
        use_bias=False,
        kernel_constraint=keras.constraints.UnitNorm(),
        name="cosine",
    )(h)
    if not training.broken:
        out = Scale(name="scale")(out)
    model = keras.Model(inputs, out)
    crossed = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss(truth, cosine):
        return crossed(truth, cosine * tf.exp(outside))

    model.compile(keras.optimizers.Adam(0.005), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    logits = model(xt) * tf.exp(outside)
    return {"log": -float(crossed(yt, logits))}


@fault(
    cause="The focal loss multiplies by gamma where it should raise to the "
    "power of gamma.",
    source="fudannlp16/focal-loss #8",
    harmless=True,
)
def times_gamma(training):
    """ "** and * are they the same?": a focal loss with a product for its
    power still weighs hard examples more and learns as well. Accuracy .97
    against .97."""
    x, y, xt, yt = sources.cancer()

    def focal(truth, p):
        p = tf.clip_by_value(p, 1e-6, 1 - 1e-6)
        hard = tf.where(truth > 0.5, 1 - p, p)
        weight = hard * 2.0 if training.broken else hard**2.0
        log = tf.where(truth > 0.5, tf.math.log(p), tf.math.log(1 - p))
        return -tf.reduce_mean(weight * log, -1)

    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), focal, metrics=["accuracy"])
    training.fit(model, x, y, epochs=25, batch_size=16)
    return sources.accuracy(model, xt, yt)
