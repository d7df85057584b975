"""Rates, decay, and steps that add up."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The schedule adds the number of the epoch to the rate it has set "
    "itself before, so the rate grows faster and faster and never restarts.",
    layers=["optimizer", "callbacks"],
    source="https://github.com/rstudio/keras3/issues/462",
)
def rate_that_is_added_to(training):
    """`LearningRateScheduler`, for restarts, with a function of the epoch and
    of the present rate, as in an answer."""
    x, y, xt, yt = sources.readings()

    def rate(epoch, current):
        if training.broken:
            return current + 0.01 * epoch
        return 0.02 * 0.5 ** (epoch % 8)

    model = sources.perceptron(12, [48, 48], 1)
    model.compile(keras.optimizers.SGD(0.02, 0.9), "mse")
    varied = keras.callbacks.LearningRateScheduler(rate)
    training.fit(model, x, y, epochs=16, batch_size=32, callbacks=[varied])
    return sources.explained(yt, model(xt))


@fault(
    cause="`fit` is called for each epoch and counts epochs from 0 each time, "
    "so the schedule never gets past its first, large rate.",
    layers=["optimizer", "callbacks"],
    source="https://github.com/costapt/vess2ret/issues/10",
)
def schedule_that_starts_anew(training):
    """A loop of `fit`, one epoch each, and a `LearningRateScheduler`."""
    x, y, xt, yt = sources.readings()

    def rate(epoch, current):
        return 0.08 * 0.5 ** (epoch // 2)

    model = sources.perceptron(12, [48, 48], 1)
    model.compile(keras.optimizers.Adam(0.08), "mse")
    done = 0
    falling = keras.callbacks.LearningRateScheduler(rate)
    while done < 12:
        first, last = (0, 1) if training.broken else (done, done + 12)
        training.fit(
            model,
            x,
            y,
            initial_epoch=first,
            epochs=last,
            batch_size=32,
            callbacks=[falling],
        )
        done += last - first
    return sources.explained(yt, model(xt))


@fault(
    cause="The weight decay of the optimizer takes two per cent of each "
    "weight in each step, whatever the rate, so the network says 0 for all "
    "noise.",
    layers=["optimizer"],
    source="https://github.com/keras-team/keras-io/issues/989",
)
def decay_that_eats_the_weights(training):
    """A diffusion model of points that predicts the noise as 0. Explained
    share of the noise."""
    x, r = sources.ring(), np.random.default_rng(0)
    model = sources.perceptron(4, [64, 64], 2)
    decay = 0.02 / 0.002 if training.broken else 0.01
    rule = keras.optimizers.AdamW(0.002, weight_decay=decay)
    optimizer = training.wrap(rule, model=model)

    def noised(count):
        a = r.uniform(0, np.pi / 2, (count, 1))
        e = r.normal(size=(count, 2))
        seen = np.cos(a) * x[r.integers(0, len(x), count)] + np.sin(a) * e
        given = np.concatenate([seen, np.cos(a), np.sin(a)], 1)
        return given.astype("float32"), e.astype("float32")

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(model(a) - b))
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for _ in range(700):
        a, b = noised(64)
        step(tf.constant(a), tf.constant(b))
    a, b = noised(1000)
    return sources.explained(b, model(a))
