"""Words, rows of tables, and classes that come as numbers."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="`Normalization` is used without `adapt`, so it does nothing, and "
    "columns from 0.1 to 1680 go into the network as they are.",
    layers=["normalisation", "data"],
    source="https://github.com/ageron/handson-ml3/pull/198",
)
def normalisation_not_adapted(training):
    """A table of wines with a preprocessing layer in front."""
    x, y, xt, yt = sources.split(*sources.wine())
    first = layers.Normalization(name="normalisation")
    if training.broken:
        first.build((None, 13))
    else:
        first.adapt(x)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            first,
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    training.fit(
        sources.classifier(model, 0.003), x, y, epochs=30, batch_size=16
    )
    return sources.accuracy(model, xt, yt)


class Bent(layers.Layer):
    """A plain object of Python holds a number that is to be learnt."""

    class Holder:
        """What no layer looks into."""

    def __init__(self, hidden, **options):
        super().__init__(**options)
        width = keras.Variable(0.0, name="width")
        if hidden:
            holder = Bent.Holder()
            holder.width = width
            self.holder = holder
        else:
            self.holder = None
            self.width = width

    def call(self, mean):
        holder = self.holder or self
        width = tf.convert_to_tensor(holder.width)
        return tf.concat([mean, width + 0 * mean], -1)


@fault(
    cause="The width of the distribution is a variable inside of an object "
    "that Keras does not search, so it is not among the trainable variables "
    "and stays at its first value.",
    layers=["bent", "code"],
    source="https://github.com/tensorflow/probability/issues/946",
)
def width_that_is_not_found(training):
    """Regression with a learnt width of the errors. Log-likelihood."""
    x, y, xt, yt = sources.readings()
    y, yt = 0.2 * y, 0.2 * yt
    inputs = keras.Input((12,))
    h = layers.Dense(48, activation="relu", name="hidden")(inputs)
    mean = layers.Dense(1, name="mean")(h)
    out = Bent(training.broken, name="bent")(mean)
    model = keras.Model(inputs, out)

    def likely(truth, guess):
        mean, log = guess[:, :1], guess[:, 1:]
        return 0.5 * ((truth - mean) / tf.exp(log)) ** 2 + log

    model.compile(keras.optimizers.Adam(0.01), likely)
    training.fit(model, x, y, epochs=12, batch_size=32)
    loss = likely(yt, np.asarray(model(xt)))
    return {"loss": float(np.mean(loss))}
