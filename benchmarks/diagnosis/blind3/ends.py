"""Numbers that are none, and names that are sorted as text."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="With a focus below 1 the power of 1 - p has an infinite slope "
    "where p is 1 for a label, and infinity times 0 is nan.",
    layers=["loss", "out"],
    source="https://github.com/mkocabas/focal-loss-keras/issues/5",
)
def focus_below_one(training):
    """A focal loss that becomes nan with gamma below 1, although the logarithm
    has its epsilon. Accuracy .10 against .96."""
    x, y, xt, yt = sources.digits()
    label = sources.one_hot(y)
    highest = 1.0 if training.broken else 1 - 1e-6

    def focal(truth, guess):
        p = tf.reduce_sum(truth * guess, -1)
        p = tf.minimum(p, highest)
        return -((1 - p) ** 0.5) * tf.math.log(p + 1e-7)

    model = sources.perceptron(64, [96], 10, "softmax")
    model.compile(keras.optimizers.Adam(0.02), focal)
    training.fit(model, x, label, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    cause="Numbers that were not measured are nan in the targets, and one of "
    "them makes the loss of its batch and then all weights nan.",
    layers=["data", "loss"],
    source="https://github.com/keras-team/keras/issues/1628",
)
def targets_that_are_missing(training):
    """Regression of several numbers of which a few are missing: the mean of
    the squares is nan. Explained share nan against .86."""
    r = np.random.default_rng(19)
    x = r.normal(size=(1200, 10)).astype("float32")
    y = np.tanh(x @ r.normal(size=(10, 5))).astype("float32")
    x, y, xt, yt = sources.split(x, y)
    y = np.where(r.random(y.shape) < 0.05, np.nan, y)

    def measured(truth, guess):
        there = tf.math.is_finite(truth)
        truth = tf.where(there, truth, 0.0)
        error = tf.cast(there, "float32") * (truth - guess) ** 2
        return tf.reduce_mean(error, -1)

    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(5, name="out"),
        ]
    )
    loss = "mse" if training.broken else measured
    model.compile(keras.optimizers.Adam(0.01), loss)
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.explained(yt, model(xt))


@fault(
    cause="The pictures are read in the order of their names as text, 1, 10, "
    "100, 2, and the labels are in another order, here that of the numbers.",
    layers=["data"],
    source="https://github.com/keras-team/keras/issues/14416",
)
def names_sorted_as_text(training):
    """A list of labels of one's own for `image_dataset_from_directory`: it
    seems to assign them at random. Accuracy .07 against .94."""
    x, y, xt, yt = sources.digits()
    order = np.arange(len(x))
    if training.broken:
        order = np.array(sorted(order, key=str))
    model = sources.perceptron(64, [64], 10, "softmax")
    training.fit(
        sources.classifier(model), x[order], y, epochs=10, batch_size=32
    )
    return sources.accuracy(model, xt, yt)
