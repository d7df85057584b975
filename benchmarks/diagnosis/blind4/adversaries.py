"""Networks that make things, and networks that judge them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


def _leaky(inputs, units, outputs, name):
    model = keras.Sequential([keras.Input((inputs,))], name=name)
    for i, width in enumerate(units, 1):
        model.add(layers.Dense(width, name=f"{name}_{i}"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    model.add(layers.Dense(outputs, name=f"{name}_out"))
    return model


def compete(training, real, generator, judge, rounds, fake_label=0.0):
    """Train two networks in turns, and return the distance of what is made
    in the end.

    Args:
        fake_label: What the judge is told about what is made.
    """
    r = np.random.default_rng(0)
    inner = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=judge)
    outer = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=generator)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    ones, fakes = tf.ones((64, 1)), fake_label * tf.ones((64, 1))

    @tf.function
    def step(x, z):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(entropy(ones, judge(x)))
            loss += tf.reduce_mean(entropy(fakes, judge(generator(z))))
        sources.descend(inner, tape, loss, judge.trainable_variables)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(entropy(ones, judge(generator(z))))
        sources.descend(outer, tape, loss, generator.trainable_variables)

    for _ in range(rounds):
        x = real[r.integers(0, len(real), 64)]
        step(x, r.normal(size=(64, 8)).astype("float32"))
    test = r.normal(size=(400, 8)).astype("float32")
    return sources.distance(real[:400], generator(test))


@fault(
    cause="The judge is told that what is made is real, too, so it calls "
    "everything real and the generator gets no direction.",
    layers=["code", "judge_out"],
    source="https://github.com/eriklindernoren/Keras-GAN/issues/5",
)
def all_of_it_is_valid(training):
    """A GAN of points whose fake batches get the labels of real ones. Energy
    distance 4.34 against .02."""
    real = sources.ring()
    generator = _leaky(8, [48, 48], 2, "generator")
    judge = _leaky(2, [48, 48], 1, "judge")
    label = 1.0 if training.broken else 0.0
    return compete(training, real, generator, judge, 900, label)
