"""Policy gradients."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


class Carts:
    """Carts on a line that are pushed, weakly or strongly, to either side,
    and are to stay in the middle."""

    forces = np.array([0.1, -0.4, 0.0, 0.4, -0.1])

    def __init__(self, count, seed, sparse=False):
        self.count, self.random = count, np.random.default_rng(seed)
        self.sparse = sparse

    def starts(self):
        """Draw states `[count, 2]`: places and speeds."""
        return self.random.uniform(-1, 1, (self.count, 2)).astype("float32")

    def push(self, states, actions):
        """Return the next states and the rewards."""
        speed = states[:, 1] + self.forces[actions]
        place = states[:, 0] + 0.3 * speed
        after = np.stack([place, speed], 1).astype("float32")
        if self.sparse:
            return after, (np.abs(place) < 0.15).astype("float32")
        return after, np.maximum(-(place**2), -4).astype("float32")

    def play(self, logits, steps=20, discount=0.9, greedy=False):
        """Play, and return states, actions and discounted rewards to come,
        each `[count, steps, ...]`, and the mean reward."""
        s, rows = self.starts(), []
        for _ in range(steps):
            z = np.asarray(logits(s))
            noise = 0 if greedy else self.random.gumbel(size=z.shape)
            a = (z + noise).argmax(1)
            after, reward = self.push(s, a)
            rows.append((s, a, reward))
            s = after
        s, a, reward = (np.stack(c, 1) for c in zip(*rows, strict=True))
        come, total = np.zeros_like(reward), 0.0
        for t in reversed(range(steps)):
            total = reward[:, t] + discount * total
            come[:, t] = total
        return s, a, come.astype("float32"), float(reward.mean())


def _actor_critic():
    inputs = keras.Input((2,))
    h = layers.Dense(32, activation="tanh", name="hidden")(inputs)
    logits = layers.Dense(5, name="logits")(h)
    v = layers.Dense(32, activation="tanh", name="value_hidden")(inputs)
    value = layers.Dense(1, name="value")(v)
    return keras.Model(inputs, [logits, value])


def improve(training, rounds, count, objective, rate=0.005, sparse=False):
    """Train an actor and a critic, and return the mean reward in the end.

    Args:
        objective: Function of the logarithms of the probabilities of what
            was done, the returns, the values, all `[count, steps]`, and the
            entropy, that is to become large.
        sparse: Whether a cart has a reward near the middle only.
    """
    model = _actor_critic()
    optimizer = training.wrap(keras.optimizers.Adam(rate), model=model)
    carts = Carts(count, 1, sparse)
    act = tf.function(lambda s: model(s)[0])

    @tf.function
    def step(s, a, come):
        with tf.GradientTape() as tape:
            logits, value = model(tf.reshape(s, (-1, 2)))
            value = tf.reshape(value, come.shape)
            log = tf.nn.log_softmax(logits)
            entropy = -tf.reduce_mean(tf.reduce_sum(tf.exp(log) * log, 1))
            log = tf.reshape(log, (*come.shape, 5))
            taken = tf.reduce_sum(log * tf.one_hot(a, 5), -1)
            fixed = tf.stop_gradient(value)
            loss = -objective(taken, come, fixed, entropy)
            loss += 0.5 * tf.reduce_mean((come - value) ** 2)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for _ in range(rounds):
        s, a, come, _ = carts.play(act)
        step(tf.constant(s), tf.constant(a), tf.constant(come))
    reward = Carts(200, 9, sparse).play(act, 40, greedy=True)[3]
    return {"reward": round(reward, 3)}


@fault(
    "loss-metric-disagree",
    cause="Returns of shape (n, 1) minus values of shape (n,) make a matrix "
    "of advantages (n, n), so no action is told what it earned itself.",
    source="https://github.com/pythonlessons/Reinforcement_Learning/issues/6",
)
def advantages_of_all_pairs(training):
    """PPO's returns are stacked as a column before the values are taken off:
    each action gets the mean of all returns. Mean reward -3.60 against
    -.03."""

    def objective(taken, come, value, entropy):
        taken, value = tf.reshape(taken, [-1]), tf.reshape(value, [-1])
        come = tf.reshape(come, (-1, 1))
        gain = come - value if training.broken else come[:, 0] - value
        return tf.reduce_mean(taken * gain) + 0.01 * entropy

    return improve(training, 150, 16, objective)


@fault(
    "zero-gradient",
    "update-too-small",
    cause="Advantages are normalised over the axis of the episodes, of which "
    "a batch has one, so all of them become 0 and the actor is never trained.",
    layers=["hidden", "logits"],
    source="https://github.com/tensorflow/agents/issues/651",
)
def normalised_over_one_episode(training):
    """PPO with one episode in a batch does not learn: each advantage minus the
    mean of itself. Mean reward -2.72 against -.02."""

    def objective(taken, come, value, entropy):
        axes = [0] if training.broken else [0, 1]
        mean, variance = tf.nn.moments(come - value, axes, keepdims=True)
        gain = (come - value - mean) / tf.sqrt(variance + 1e-8)
        return tf.reduce_mean(taken * gain) + 0.001 * entropy

    return improve(training, 400, 1, objective)


@fault(
    cause="The entropy of the policy is added to the loss and not taken off, "
    "so it is made small and the policy stops trying things at once.",
    layers=["hidden", "logits"],
    source="https://github.com/tensorflow/models/pull/5058",
)
def entropy_with_the_wrong_sign(training):
    """A3C whose bonus for exploration has the wrong sign: after some steps
    only one action is ever taken. Mean reward .03 against .74."""
    sign = -1 if training.broken else 1

    def objective(taken, come, value, entropy):
        gain = tf.reduce_mean(taken * (come - value))
        return gain + sign * 1.0 * entropy

    return improve(training, 300, 16, objective, sparse=True)


@fault(
    "unscaled-input",
    "non-finite",
    cause="Observations of some thousands go into the actor unnormalised, "
    "and the logarithm of the spread that it gives is exponentiated to inf.",
    source="https://github.com/tensorflow/agents/issues/622",
)
def spread_of_raw_observations(training):
    """SAC in an environment of one's own: the loss is NaN from the first
    steps, until observations are normalised. Reward nan against -.10."""
    r = np.random.default_rng(2)
    scale = np.array([9000, 40, 3000, 1], "float32")
    inputs = keras.Input((4,))
    h = layers.Dense(32, activation="relu", name="hidden")(inputs)
    actor = keras.Model(inputs, layers.Dense(2, name="moments")(h))
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=actor)

    def observe(n):
        x = r.normal(size=(n, 4)).astype("float32")
        best = np.tanh(x[:, 0] - x[:, 1])
        return (x * scale if training.broken else x), best

    @tf.function
    def step(x, best):
        noise = tf.random.normal(best.shape)
        with tf.GradientTape() as tape:
            mean, log = tf.unstack(actor(x), axis=1)
            spread = tf.exp(log)
            action = tf.stop_gradient(mean + spread * noise)
            reward = -((action - best) ** 2)
            gain = reward - tf.reduce_mean(reward)
            chance = -0.5 * ((action - mean) / spread) ** 2 - log
            loss = -tf.reduce_mean(chance * gain)
        sources.descend(optimizer, tape, loss, actor.trainable_variables)

    for _ in range(800):
        x, best = observe(64)
        step(tf.constant(x), sources.constant(best))
    x, best = observe(1000)
    mean = np.asarray(actor(x))[:, 0]
    return {"reward": float(-np.mean((mean - best) ** 2))}
