"""Rates, decay, and steps that add up."""

from __future__ import annotations

import keras
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
    cause="The gradients of eight small batches are added up and never divided "
    "by eight, so each step is eight times too long.",
    layers=["optimizer", "code"],
    source="https://github.com/andreped/GradientAccumulator/issues/132",
)
def gradients_added_and_not_averaged(training):
    """A loop that collects gradients to have larger batches. Explained share
    -.13 against .91."""
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
