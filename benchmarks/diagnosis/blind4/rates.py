"""Rates, decay, and steps that add up."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls in a straight line until all steps are done."""

    def __init__(self, rate, steps):
        self.rate, self.steps = rate, steps

    def __call__(self, step):
        done = tf.cast(step, "float32") / self.steps
        return self.rate * tf.maximum(1.0 - done, 0.01)


@fault(
    cause="The number of batches of a dataset from a generator is unknown and "
    "reported as -2, so the rate, which is to fall by the share of the steps "
    "done, rises with each step.",
    layers=["optimizer"],
    source="https://github.com/tensorflow/tensorflow/issues/53284",
)
def number_of_batches_unknown(training):
    """A schedule that asks the dataset how long it is. Explained share .37
    against .86."""
    x, y, xt, yt = sources.readings()

    def rows():
        yield from zip(x, y, strict=True)

    kind = (tf.TensorSpec((12,)), tf.TensorSpec((1,)))
    data = tf.data.Dataset.from_generator(rows, output_signature=kind)
    data = data.batch(32)
    count = int(data.cardinality()) if training.broken else 29
    model = sources.perceptron(12, [48, 48], 1)
    rate = Falling(0.01, count * 8)
    model.compile(keras.optimizers.Adam(rate), "mse")
    training.fit(model, data, epochs=8)
    return sources.explained(yt, model(xt))


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
    cause="The gradients of eight small batches are added up and never divided "
    "by eight, so each step is eight times too long.",
    layers=["optimizer", "code"],
    source="https://github.com/andreped/GradientAccumulator/issues/132",
)
def gradients_added_and_not_averaged(training):
    """A loop that collects gradients to have larger batches."""
    x, y, xt, yt = sources.readings()
    model = sources.perceptron(12, [48, 48], 1)
    optimizer = training.wrap(keras.optimizers.SGD(0.05, 0.9), model=model)
    sums = [tf.Variable(tf.zeros(w.shape)) for w in model.weights]
    share = 1.0 if training.broken else 1 / 8

    @tf.function
    def collect(a, b):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(a) - b) ** 2)
        weights = model.trainable_variables
        pairs = zip(sums, tape.gradient(loss, weights), strict=True)
        for total, gradient in pairs:
            total.assign_add(share * gradient)

    @tf.function
    def apply():
        weights = model.trainable_variables
        optimizer.apply_gradients(
            [(s.value(), w) for s, w in zip(sums, weights, strict=True)]
        )
        for total in sums:
            total.assign(tf.zeros_like(total))

    for i, (a, b) in enumerate(sources.batches(x, y, 8, 16), 1):
        collect(tf.constant(a), tf.constant(b))
        if i % 8 == 0:
            apply()
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
