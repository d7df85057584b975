"""Policies that keep poles upright."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


def play(policy, random, count=24, steps=80):
    """Let poles be pushed to a side or the other until they lie.

    Returns:
        States `[count, steps, 2]`, actions, and whether each still stood,
        1 or 0, `[count, steps]` both.
    """
    s = random.uniform(-0.1, 0.1, (count, 2)).astype("float32")
    up, rows = np.ones(count, bool), []
    for _ in range(steps):
        z = np.asarray(policy(tf.constant(s)))
        act = (z + random.gumbel(size=z.shape)).argmax(1)
        rows.append((s, act, up))
        speed = s[:, 1] + 0.12 * s[:, 0] + 0.05 * (2 * act - 1)
        speed = speed + random.normal(0, 0.01, count)
        s = np.stack([s[:, 0] + 0.2 * speed, speed], 1).astype("float32")
        up = up & (np.abs(s[:, 0]) < 0.4)
    s, act, up = (np.stack(c, 1) for c in zip(*rows, strict=True))
    return s, act, up.astype("float32")


def to_come(rewards, discount=0.97):
    """Return the discounted rewards from each step on."""
    total, out = 0.0, np.zeros_like(rewards)
    for t in reversed(range(rewards.shape[1])):
        total = rewards[:, t] + discount * total
        out[:, t] = total
    return out


def normalised(values, up):
    """Return values with mean 0 and deviation 1 where poles stood."""
    there = values[up > 0]
    return ((values - there.mean()) / (there.std() + 1e-6)).astype("float32")


@fault(
    cause="Each action is credited with the discounted reward of its own step "
    "and not with the sum of the rewards to come, so early actions are "
    "praised and late ones blamed whatever they do.",
    layers=["loss", "code"],
    source="https://github.com/hunkim/ReinforcementZeroToAll/issues/1",
)
def rewards_that_are_not_summed(training):
    """REINFORCE. Share of the steps that poles stand."""
    r = np.random.default_rng(0)
    model = sources.perceptron(2, [24], 2, None, "policy", "tanh")
    optimizer = training.wrap(keras.optimizers.Adam(0.02), model=model)

    @tf.function
    def step(s, act, credit):
        with tf.GradientTape() as tape:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(act, model(s))
            loss = tf.reduce_mean(credit * loss)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    policy = tf.function(lambda s: model(s))
    for _ in range(40):
        s, act, up = play(policy, r)
        if training.broken:
            credit = up * 0.97 ** np.arange(up.shape[1])
        else:
            credit = to_come(up)
        credit = up * normalised(credit, up)
        step(
            tf.constant(s.reshape(-1, 2)),
            tf.constant(act.reshape(-1)),
            tf.constant(credit.reshape(-1).astype("float32")),
        )
    return {"standing": float(play(policy, r, 100)[2].mean())}


@fault(
    cause="The old probabilities are computed with the network that is being "
    "changed, so the ratio is always 1, nothing is clipped, and each batch "
    "pushes the policy as far as its passes go.",
    layers=["loss", "code"],
    source="https://github.com/abhisheksuran/Reinforcement_Learning/issues/4",
)
def ratio_that_is_always_one(training):
    """PPO with many passes over each batch. Share of the steps that poles
    stand."""
    r = np.random.default_rng(0)
    model = sources.perceptron(2, [24], 2, None, "policy", "tanh")
    optimizer = training.wrap(keras.optimizers.Adam(0.02), model=model)

    def chance(s, act):
        logs = tf.nn.log_softmax(model(s))
        return tf.gather(logs, act, batch_dims=1)

    @tf.function
    def step(s, act, old, gain):
        with tf.GradientTape() as tape:
            new = chance(s, act)
            if training.broken:
                old = tf.stop_gradient(new)
            ratio = tf.exp(new - old)
            kept = tf.clip_by_value(ratio, 0.8, 1.2)
            loss = -tf.reduce_mean(tf.minimum(ratio * gain, kept * gain))
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    policy = tf.function(lambda s: model(s))
    for _ in range(25):
        s, act, up = play(policy, r, 16)
        gain = up * normalised(to_come(up), up)
        s, act = tf.constant(s.reshape(-1, 2)), tf.constant(act.reshape(-1))
        gain = tf.constant(gain.reshape(-1).astype("float32"))
        old = chance(s, act)
        for _ in range(40):
            step(s, act, old, gain)
    return {"standing": float(play(policy, r, 100)[2].mean())}
