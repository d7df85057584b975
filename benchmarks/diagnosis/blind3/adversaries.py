"""Generators and those who judge them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind2 import adversaries
from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The judge ends in a sigmoid and the loss takes its outputs for "
    "logits, so a judge can never be surer than .73 of anything.",
    layers=["judge_out"],
    source="https://github.com/tensorflow/tensorflow/issues/36340",
)
def probabilities_taken_for_logits(training):
    """A GAN of points, written again with a tape, does not get there: sigmoid,
    and a loss with `from_logits=True`. Energy distance .34 against .01."""
    r = np.random.default_rng(0)
    place = r.uniform(-1, 1, (1000, 1))
    real = np.concatenate([place, 2 * place**2], 1).astype("float32")
    last = "sigmoid" if training.broken else None
    judge = sources.perceptron(2, [25], 1, last, name="judge")
    generator = sources.perceptron(5, [32, 32], 2, name="generator")
    inner = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=judge)
    outer = training.wrap(keras.optimizers.Adam(0.002, 0.5), model=generator)
    ones, zeros = tf.ones((64, 1)), tf.zeros((64, 1))

    def entropy(truth, logits):
        loss = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
        return tf.reduce_mean(loss)

    @tf.function
    def step(x, z):
        with tf.GradientTape() as tape:
            loss = entropy(ones, judge(x))
            loss += entropy(zeros, judge(generator(z)))
        sources.descend(inner, tape, loss, judge.trainable_variables)
        with tf.GradientTape() as tape:
            loss = entropy(ones, judge(generator(z)))
        sources.descend(outer, tape, loss, generator.trainable_variables)

    for _ in range(1800):
        x = real[r.integers(0, len(real), 64)]
        step(x, r.normal(size=(64, 5)).astype("float32"))
    test = r.normal(size=(500, 5)).astype("float32")
    return sources.distance(real[:500], generator(test))


def _penalised(training, squash, rounds=300):
    """Train a WGAN-GP of digits whose penalty is taken of the score, or of
    its sigmoid."""
    x, _, _, _ = sources.digits()
    r = np.random.default_rng(0)
    critic = adversaries.leaky(64, [64, 64], 1, "critic")
    generator = sources.perceptron(8, [64], 64, "sigmoid", "generator")
    rules = [
        training.wrap(keras.optimizers.Adam(0.002, 0.5, 0.9), model=m)
        for m in (critic, generator)
    ]

    @tf.function
    def judge(x, z):
        fake = generator(z)
        middle = x + tf.random.uniform((64, 1)) * (fake - x)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(middle)
                score = critic(middle)
                score = tf.sigmoid(score) if squash else score
            slope = adversaries.length(inner.gradient(score, middle))
            loss = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(x))
            loss += 10 * tf.reduce_mean((slope - 1) ** 2)
        sources.descend(rules[0], tape, loss, critic.trainable_variables)

    @tf.function
    def make(z):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(generator(z)))
        sources.descend(rules[1], tape, loss, generator.trainable_variables)

    for _ in range(rounds):
        for _ in range(4):
            rows = r.integers(0, len(x), 64)
            judge(x[rows], r.normal(size=(64, 8)).astype("float32"))
        make(r.normal(size=(64, 8)).astype("float32"))
    test = r.normal(size=(500, 8)).astype("float32")
    return sources.distance(x[:500], generator(test))


@fault(
    cause="The gradient penalty is taken of the sigmoid of the score, which "
    "is flat where the score is large, so the score itself has no bound.",
    layers=["critic_out"],
    source="https://github.com/hwalsuklee/"
    "tensorflow-generative-model-collections/issues/14",
)
def penalty_of_a_sigmoid(training):
    """WGAN-GP whose critic returns a probability and a score, and the penalty
    takes the former. Energy distance .44 against .03."""
    return _penalised(training, training.broken)


@fault(
    cause="The identity loss compares a picture with its translation and not "
    "with what its own domain's generator makes of it, so nothing is to be "
    "translated.",
    layers=["loss"],
    source="https://github.com/LynnHo/CycleGAN-Tensorflow-2/issues/19",
)
def identity_of_the_translation(training):
    """CycleGAN whose identity loss forbids the change: light digits are to
    become dark ones. Energy distance to the dark ones .49 against .15."""
    x, y, _, _ = sources.digits()
    r = np.random.default_rng(1)
    light, dark = x[y < 5], 1 - x[y >= 5]
    size = {"last": "sigmoid", "inputs": 64, "units": [64], "outputs": 64}
    there = sources.perceptron(**size, name="there")
    back = sources.perceptron(**size, name="back")
    judges = [
        adversaries.leaky(64, [48], 1, name) for name in ("light", "dark")
    ]
    outer = training.wrap(keras.optimizers.Adam(0.003, 0.5))
    inner = training.wrap(keras.optimizers.Adam(0.003, 0.5))

    def apart(a, b):
        return tf.reduce_mean(tf.abs(a - b))

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            b2, a2 = there(a), back(b)
            same = apart(back(a), a) + apart(there(b), b)
            if training.broken:
                same = apart(b2, a) + apart(a2, b)
            cycle = apart(back(b2), a) + apart(there(a2), b)
            fool = tf.reduce_mean((judges[0](a2) - 1) ** 2)
            fool += tf.reduce_mean((judges[1](b2) - 1) ** 2)
            loss = fool + 10 * cycle + 5 * same
        weights = there.trainable_variables + back.trainable_variables
        sources.descend(outer, tape, loss, weights)
        with tf.GradientTape() as tape:
            loss = 0.0
            for judge, real, fake in zip(judges, (a, b), (a2, b2), strict=True):
                loss += tf.reduce_mean((judge(real) - 1) ** 2)
                loss += tf.reduce_mean(judge(fake) ** 2)
        weights = [v for j in judges for v in j.trainable_variables]
        sources.descend(inner, tape, loss, weights)

    for _ in range(900):
        step(
            light[r.integers(0, len(light), 32)],
            dark[r.integers(0, len(dark), 32)],
        )
    return sources.distance(dark[:300], there(light[:300]))
