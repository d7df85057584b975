"""Healthy trainings with rates, averages and orders that are unusual."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import healthy


def _digits(optimizer, units=(64,)):
    model = sources.perceptron(64, units, 10, "softmax")
    model.compile(optimizer, sources.SPARSE, metrics=["accuracy"])
    return model


@healthy(seed=[0])
def from_easy_to_hard(training):
    """A curriculum: the easy digits first, then all of them, so that the loss
    jumps. Accuracy .91."""
    x, y, xt, yt = sources.digits()
    judge = _digits(keras.optimizers.Adam(0.003))
    judge.fit(x, y, epochs=3, verbose=0)
    p = np.asarray(judge(x))[np.arange(len(y)), y]
    order = np.argsort(-p)
    random = np.random.default_rng(1)
    rows = []
    for share in np.linspace(0.3, 1, 8):
        rows.append(random.permutation(order[: int(share * len(x))]))
    rows = np.concatenate(rows)
    model = _digits(keras.optimizers.Adam(0.003))
    training.fit(
        model, x[rows], y[rows], epochs=1, batch_size=32, shuffle=False
    )
    return sources.accuracy(model, xt, yt)


class Cycle(keras.optimizers.schedules.LearningRateSchedule):
    """Goes up and down between two rates."""

    def __call__(self, step):
        place = tf.cast(step % 80, "float32") / 40
        return 1e-4 + 0.012 * tf.maximum(0.0, 1 - tf.abs(place - 1))


@healthy(seed=[0])
def rates_in_cycles(training):
    """Cyclic rates: updates swing between next to nothing and much. Accuracy
    .94."""
    x, y, xt, yt = sources.digits()
    model = _digits(keras.optimizers.Adam(Cycle()))
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def restarts_down_to_zero(training):
    """Cosine restarts whose rate is 0 at the end of each period. Accuracy
    .93."""
    x, y, xt, yt = sources.digits()
    rate = keras.optimizers.schedules.CosineDecayRestarts(0.1, 84, 1.0)
    model = _digits(keras.optimizers.SGD(rate, momentum=0.9))
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(decay=[0.02, 0.3], seed=[0])
def decoupled_decay(training):
    """AdamW with a strong weight decay: the norms of the kernels fall.
    Accuracy .95 and .94."""
    x, y, xt, yt = sources.digits()
    decay = training.options["decay"]
    model = _digits(keras.optimizers.AdamW(0.005, weight_decay=decay))
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def averaged_weights(training):
    """A moving average of the weights is put in their place every fifty steps.
    Accuracy .94."""
    x, y, xt, yt = sources.digits()
    optimizer = keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.95, ema_overwrite_frequency=50
    )
    model = _digits(optimizer)
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def last_epochs_averaged(training):
    """SWA: a high constant rate, and the mean of the weights after each of the
    last epochs. Accuracy .96."""
    x, y, xt, yt = sources.digits()
    model = _digits(keras.optimizers.SGD(0.3))
    kept = []

    def keep(epoch, logs):
        if epoch >= 6:
            kept.append(model.get_weights())

    training.fit(
        model,
        x,
        y,
        epochs=14,
        batch_size=32,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=keep)],
    )
    model.set_weights([np.mean(w, 0) for w in zip(*kept, strict=True)])
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def clipped_and_accumulated(training):
    """Gradients of four batches of eight, clipped to a small norm at all
    steps. Accuracy .91."""
    x, y, xt, yt = sources.digits()
    optimizer = keras.optimizers.SGD(
        0.5, momentum=0.9, global_clipnorm=0.1, gradient_accumulation_steps=4
    )
    model = _digits(optimizer)
    training.fit(model, x, y, epochs=8, batch_size=8)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def spectral_norms(training):
    """Kernels divided by their largest singular value: all of them have the
    norm 1 for ever. Accuracy .91."""
    x, y, xt, yt = sources.digits()
    x, xt = 4 * x, 4 * xt
    model = keras.Sequential([keras.Input((64,))])
    for i in (1, 2):
        dense = layers.Dense(64, activation="relu", name=f"dense_{i}")
        model.add(layers.SpectralNormalization(dense, name=f"norm_{i}"))
    model.add(layers.Dense(10, activation="softmax", name="out"))
    model.compile(
        keras.optimizers.Adam(0.01), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)
