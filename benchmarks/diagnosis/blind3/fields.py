"""Agents that learn the values of what they may do."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault

MOVES = np.array([[0.15, 0], [-0.15, 0], [0, 0.15], [0, -0.15]])
GOAL = np.array([0.8, 0.8])


def move(states, actions):
    """Return the next places in a square field, whether they are at the goal,
    and the rewards."""
    after = np.clip(states + MOVES[actions], 0, 1).astype("float32")
    there = np.abs(after - GOAL).max(-1) < 0.1
    return after, there, there.astype("float32")


def wander(count, limit, seed=1, habit=(0.25, 0.25, 0.25, 0.25)):
    """Walk at random from random places, `limit` steps at most, with these
    shares of the four moves.

    Return states, actions, rewards, next states, whether the goal was
    reached and whether the time was up, each `[count * limit, ...]`.
    """
    r = np.random.default_rng(seed)
    s = r.uniform(0, 1, (count, 2)).astype("float32")
    rows, alive = [], np.ones(count, bool)
    for t in range(limit):
        a = r.choice(4, count, p=habit)
        after, there, reward = move(s, a)
        late = np.full(count, t == limit - 1)
        rows.append([c[alive] for c in (s, a, reward, after, there, late)])
        alive &= ~there
        s = after
    return [np.concatenate(c) for c in zip(*rows, strict=True)]


def q_learning(training, memory, updates=900, fill=None):
    """Learn values from a memory and return the network.

    Args:
        memory: States, actions, rewards, next states and ends.
        fill: What the actions that were not taken are to be worth, a function
            of the values; nothing is asked of them if there is none.
    """
    network = sources.perceptron(2, [64, 64], 4, name="values")
    old = keras.models.clone_model(network)
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=network)
    columns = [tf.constant(c) for c in memory]

    @tf.function
    def step(rows):
        s, a, reward, after, end = [tf.gather(c, rows) for c in columns]
        future = tf.reduce_max(old(after), 1) * (1 - tf.cast(end, "float32"))
        taken = tf.one_hot(a, 4)
        target = (reward + 0.9 * future)[:, None] * taken
        with tf.GradientTape() as tape:
            q = network(s)
            rest = q if fill is None else fill(q)
            target += tf.stop_gradient(rest) * (1 - taken)
            loss = tf.reduce_mean((q - target) ** 2)
        sources.descend(optimizer, tape, loss, network.trainable_variables)

    r = np.random.default_rng(2)
    for i in range(updates):
        if i % 50 == 0:
            old.set_weights(network.get_weights())
        step(tf.constant(r.integers(0, len(memory[0]), 128)))
    return network


def walk(network, count=400, steps=14):
    """Start at random places, do what is worth most, and return the share of
    walks that reach the goal."""
    s = np.random.default_rng(9).uniform(0, 1, (count, 2)).astype("float32")
    arrived = np.zeros(count, bool)
    for _ in range(steps):
        s, there, _ = move(s, np.asarray(network(s)).argmax(1))
        arrived |= there
    return {"arrived": float(arrived.mean())}


@fault(
    cause="The targets of the actions that were not taken are 0 and not the "
    "network's own values, so all values are pulled towards 0.",
    layers=["loss"],
    source="https://github.com/PacktPublishing/"
    "Tensorflow-2-Reinforcement-Learning-Cookbook/issues/32",
)
def zeros_for_what_was_not_done(training):
    """DQN with `fit`: the array of targets starts as zeros, and the loss is
    taken of all actions. Share of walks that arrive .12 against .82."""
    habit = (0.15, 0.35, 0.15, 0.35)
    s, a, reward, after, there, _ = wander(900, 12, habit=habit)
    fill = tf.zeros_like if training.broken else None
    memory = s, a, reward, after, there
    return walk(q_learning(training, memory, fill=fill))


def _episodes(copy, count=500, limit=12):
    """Play with a world that moves its place in memory, and remember."""
    r, memory = np.random.default_rng(3), []
    for _ in range(count):
        place = r.uniform(0, 1, 2).astype("float32")
        for _ in range(limit):
            before = place.copy() if copy else place
            a = int(r.integers(0, 4))
            after, there, reward = move(place, a)
            place[:] = after
            after = place.copy() if copy else place
            memory.append((before, a, reward, after, there))
            if there:
                break
    return [np.stack(c) for c in zip(*memory, strict=True)]


@fault(
    cause="The world gives out its own array as the state and changes it in "
    "place, so all remembered states of an episode are its last one.",
    layers=["data"],
    source="https://github.com/keras-rl/keras-rl/issues/51",
)
def states_that_change_in_the_memory(training):
    """An agent that cannot learn to catch: the environment returns a reference
    and no copy. Share of walks that arrive .15 against .87."""
    memory = _episodes(copy=not training.broken)
    return walk(q_learning(training, memory))


@fault(
    cause="An episode that is cut off at the limit of time is stored as one "
    "that ended, so its last states are learnt to be worth their reward only.",
    layers=["data"],
    source="https://github.com/openai/baselines/issues/436",
)
def end_of_the_time_as_an_end(training):
    """The wrapper of the time limit says done, and nothing is expected of the
    state it stopped in. Explained share of the values -8.00 against .67."""
    s, a, reward, after, there, late = wander(2500, 4)
    end = there | late if training.broken else there
    network = q_learning(training, (s, a, reward, after, end))
    start = np.random.default_rng(9).uniform(0, 1, (500, 2))
    far = np.ceil(np.maximum(np.abs(start - GOAL) - 0.1, 0) / 0.15).sum(1)
    worth = 0.9 ** np.maximum(far - 1, 0)
    guess = np.asarray(network(start.astype("float32"))).max(1)
    return sources.explained(worth, guess)
