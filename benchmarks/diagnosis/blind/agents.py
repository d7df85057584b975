"""Reinforcement learning."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


class Corridor:
    """States in a row, an exit with a reward at each end.

    Actions are 0, to the left, and 1, to the right.
    """

    def __init__(self, length, start, left, right, slip=0.0, discount=0.95):
        self.length, self.start = length, start
        self.rewards = {0: left, length - 1: right}
        self.slip, self.discount = slip, discount

    def step(self, state, action, random):
        """Returns the next state, the reward and whether it is an exit."""
        if random.random() < self.slip:
            action = 1 - action
        after = state + 2 * action - 1
        ends = after in self.rewards
        return after, self.rewards.get(after, 0.0), ends

    def collect(self, n, seed=0):
        """Returns arrays of a random walk: state, action, reward, next
        state (the first one of the next episode, at an exit), done."""
        random = np.random.default_rng(seed)
        state, rows = self.start, []
        for _ in range(n):
            action = int(random.integers(2))
            after, reward, ends = self.step(state, action, random)
            after = self.start if ends else after
            rows.append((state, action, reward, after, float(ends)))
            state = after
        return [np.array(column) for column in zip(*rows, strict=True)]

    def code(self, states):
        """Returns states as one-hot rows."""
        return np.eye(self.length, dtype="float32")[states]

    def discounted(self, network):
        """Returns the discounted return of the greedy policy."""
        q = np.asarray(network(self.code(np.arange(self.length))))
        random = np.random.default_rng(5)
        total = 0.0
        for _ in range(50):
            state, gain = self.start, 1.0
            for _ in range(60):
                action = int(q[state].argmax())
                state, reward, ends = self.step(state, action, random)
                total += gain * reward / 50
                gain *= self.discount
                if ends:
                    break
        return {"return": round(total, 3)}

    def values(self):
        """Returns the true values of the random walk, by iteration."""
        v = np.zeros(self.length)
        for _ in range(2000):
            for s in range(1, self.length - 1):
                sides = [
                    self.rewards[t]
                    if t in self.rewards
                    else self.discount * v[t]
                    for t in (s - 1, s + 1)
                ]
                v[s] = np.mean(sides)
        return v[1:-1]


def _network(world, outputs):
    return keras.Sequential(
        [
            keras.Input((world.length,)),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(outputs, name="values"),
        ]
    )


def q_learning(training, world, *, updates, masks=True, copies=True):
    """Returns a network of action values; `masks` and `copies` are what
    the two faults leave out."""
    state, action, reward, after, done = world.collect(4000)
    online, target = _network(world, 2), _network(world, 2)
    target.set_weights(online.get_weights())
    online.compile(
        training.wrap(keras.optimizers.Adam(0.003), model=online), "mse"
    )
    random = np.random.default_rng(1)
    for step in range(updates):
        rows = random.integers(0, len(state), 64)
        best = np.asarray(target(world.code(after[rows]))).max(1)
        alive = 1 - done[rows] if masks else 1.0
        x = world.code(state[rows])
        y = np.array(online(x))
        goal = reward[rows] + world.discount * alive * best
        y[np.arange(64), action[rows]] = goal
        online.train_on_batch(x, y)
        if copies and step % 25 == 0:
            target.set_weights(online.get_weights())
    return online


@fault(
    cause="The Q target adds the value of the next state even where the "
    "episode has ended, since the memory holds no flag of it.",
    source="MorvanZhou/Reinforcement-learning-with-tensorflow #200",
)
def bootstrap_beyond_the_end(training):
    """DQN whose returns stay below the best: an early exit with a small
    reward is taken again and again. The end of an episode does not cut the
    target. Return of the greedy policy .52 against .81."""
    world = Corridor(8, 2, 0.55, 1.0)
    network = q_learning(
        training, world, updates=700, masks=not training.broken
    )
    return world.discounted(network)


@fault(
    cause="The target network is never copied from the online network, "
    "because the condition compares two counters that are never equal.",
    source="shakedzy/tic_tac_toe #1",
)
def target_is_never_copied(training):
    """The agent learns the last move of the game alone: targets come from a
    network that keeps its first weights. Return .01 against .79."""
    world = Corridor(10, 2, -0.1, 1.0, slip=0.1, discount=0.97)
    network = q_learning(
        training, world, updates=900, copies=not training.broken
    )
    return world.discounted(network)


@fault(
    cause="The value of the next state is computed inside of the tape, so "
    "the gradient flows through the target too.",
    source="tensorlayer/TensorLayer #1071",
)
def target_inside_of_the_tape(training):
    """ "When I place v_ in the with context, the model is not convergent":
    temporal differences with a gradient through the target. Explained share
    of the true values .33 against .99."""
    world = Corridor(13, 6, -0.2, 1.0, discount=0.97)
    state, _, reward, after, done = world.collect(6000)
    critic = _network(world, 1)
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=critic)

    @tf.function
    def step(x, r, x_, alive):
        v_ = critic(x_)[:, 0]
        with tf.GradientTape() as tape:
            if training.broken:
                v_ = critic(x_)[:, 0]
            error = r + world.discount * alive * v_ - critic(x)[:, 0]
            loss = tf.reduce_mean(error**2)
        weights = critic.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    random = np.random.default_rng(1)
    for _ in range(1200):
        rows = random.integers(0, len(state), 64)
        step(
            world.code(state[rows]),
            reward[rows].astype("float32"),
            world.code(after[rows]),
            (1 - done[rows]).astype("float32"),
        )
    guess = critic(world.code(np.arange(1, world.length - 1)))
    return sources.explained(world.values(), np.asarray(guess)[:, 0])
