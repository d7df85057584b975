"""Policy gradients."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault


def states(r, n):
    """Returns states of four numbers from 0 to 1."""
    return r.uniform(0, 1, (n, 4)).astype("float32")


def best(states, actions=6):
    """Returns the action that is rewarded in each state."""
    plan = np.random.default_rng(3).normal(size=(4, actions))
    return ((states - 0.5) @ plan).argmax(1)


@fault(
    "zero-gradient",
    "nothing-learned",
    "disconnected-variable",
    cause="The action is sampled inside of the tape by mean plus noise "
    "without stop_gradient, so the log-probability does not depend on the "
    "mean and its gradient is 0.",
    source="HorizonRobotics/alf #34",
)
def action_that_is_no_constant(training):
    """Policy of continuous actions that never improves: the gradient of
    log_prob(action) through the action cancels that of the mean. Reward
    -.29 against -.09."""
    r = np.random.default_rng(0)
    inputs = keras.Input((4,))
    h = layers.Dense(32, activation="tanh", name="hidden")(inputs)
    mean = layers.Dense(1, name="mean")(h)
    policy = keras.Model(inputs, mean)
    spread = 0.3
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=policy)

    def goal(s):
        return tf.sin(3 * s[:, :1]) - s[:, 1:2]

    @tf.function
    def step(s):
        with tf.GradientTape() as tape:
            m = policy(s)
            action = m + spread * tf.random.normal(tf.shape(m))
            if not training.broken:
                action = tf.stop_gradient(action)
            reward = tf.stop_gradient(-((action - goal(s)) ** 2))
            log = -(((action - m) / spread) ** 2) / 2
            gain = reward - tf.reduce_mean(reward)
            loss = -tf.reduce_mean(log * gain)
        weights = policy.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    for _ in range(500):
        step(states(r, 64))
    s = states(r, 500)
    return {"reward": -float(tf.reduce_mean((policy(s) - goal(s)) ** 2))}


@fault(
    "update-too-large",
    "exploding-gradient",
    cause="The advantage of the actor's loss is not cut off from the "
    "gradient, so the actor's loss drives the critic's values upwards.",
    layers=["critic"],
    source="keras-team/keras-io #194",
)
def actor_moves_the_critic(training):
    """Actor and critic with a common trunk, as in the example: many more
    episodes than needed. The values run away and the advantages with them.
    Reward of the greedy policy .80 against .88."""
    r = np.random.default_rng(0)
    inputs = keras.Input((4,))
    h = layers.Dense(64, activation="relu", name="common")(inputs)
    action = layers.Dense(6, activation="softmax", name="actor")(h)
    value = layers.Dense(1, name="critic")(h)
    agent = keras.Model(inputs, [action, value])
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=agent)
    huber = keras.losses.Huber()

    @tf.function
    def step(s, right):
        with tf.GradientTape() as tape:
            p, v = agent(s)
            a = tf.random.categorical(tf.math.log(p), 1)[:, 0]
            reward = tf.cast(a == right, "float32")
            log = tf.math.log(tf.gather(p, a, batch_dims=1) + 1e-8)
            difference = reward - v[:, 0]
            if not training.broken:
                difference = tf.stop_gradient(difference)
            loss = tf.reduce_mean(-log * difference)
            loss += huber(reward[:, None], v)
        weights = agent.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    for _ in range(700):
        s = states(r, 32)
        step(s, best(s))
    s = states(r, 1000)
    right = np.asarray(agent(s)[0]).argmax(1) == best(s)
    return {"reward": float(right.mean())}


@fault(
    "nothing-learned",
    "zero-gradient",
    cause="Observations are stored in a buffer of dtype uint8, which cuts "
    "numbers from 0 to 1 down to 0.",
    source="openai/baselines #362",
)
def observations_as_bytes(training):
    """A2C, written for pixels, does not learn on numbers from 0 to 1: its
    batch is an array of uint8. Reward .35 against .88."""
    r = np.random.default_rng(0)
    inputs = keras.Input((4,))
    h = layers.Dense(64, activation="relu", name="common")(inputs)
    action = layers.Dense(6, name="logits")(h)
    value = layers.Dense(1, name="value")(h)
    agent = keras.Model(inputs, [action, value])
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=agent)

    @tf.function
    def step(s, a, reward):
        with tf.GradientTape() as tape:
            logits, v = agent(s)
            log = -tf.nn.sparse_softmax_cross_entropy_with_logits(a, logits)
            gain = reward - v[:, 0]
            loss = tf.reduce_mean(-log * tf.stop_gradient(gain))
            loss += 0.5 * tf.reduce_mean(gain**2)
        weights = agent.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    kind = np.uint8 if training.broken else np.float32
    for _ in range(700):
        s = states(r, 32)
        a = np.asarray(tf.random.categorical(agent(s)[0], 1))[:, 0]
        reward = (a == best(s)).astype("float32")
        memory = np.asarray(s, dtype=kind)
        step(memory.astype("float32"), a, reward)
    s = states(r, 1000)
    right = np.asarray(agent(s)[0]).argmax(1) == best(s)
    return {"reward": float(right.mean())}
