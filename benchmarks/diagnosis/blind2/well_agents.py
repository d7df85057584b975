"""Agents, distances and equations that train as they should."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import agents, policies, sources
from benchmarks.diagnosis.case import healthy


@healthy(seed=[0])
def reinforce_with_a_baseline(training):
    """A policy gradient: the loss says nothing, the gradients are noise.
    Reward .88; by chance .13."""
    r = np.random.default_rng(0)
    policy = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(6, name="logits"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=policy)

    @tf.function
    def step(s, best, baseline):
        with tf.GradientTape() as tape:
            logits = policy(s)
            a = tf.random.categorical(logits, 1)[:, 0]
            reward = tf.cast(a == best, "float32")
            log = -tf.nn.sparse_softmax_cross_entropy_with_logits(a, logits)
            loss = -tf.reduce_mean(log * (reward - baseline))
        weights = policy.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        return tf.reduce_mean(reward)

    baseline, test = 0.0, policies.states(np.random.default_rng(9), 1000)
    best = policies.best(test)
    first = float(np.mean(np.asarray(policy(test)).argmax(1) == best))
    for _ in range(800):
        s = policies.states(r, 32)
        reward = step(s, policies.best(s), tf.constant(baseline, "float32"))
        baseline += 0.1 * (float(reward) - baseline)
    right = np.asarray(policy(test)).argmax(1) == best
    return {"first": first, "reward": float(right.mean())}


@healthy(seed=[0])
def values_with_a_target_network(training):
    """A DQN with a target network: its error rises after each copy. Return of
    the greedy policy .83; the best is 1.00 times .97 to the 6th."""
    world = agents.Corridor(10, 2, -0.1, 1.0, discount=0.97)
    network = agents.q_learning(training, world, updates=900)
    return world.discounted(network)


@healthy(loss=["contrastive", "triplet"], seed=[0])
def towers_and_distances(training):
    """Distances of digits, in pairs and in triples, of unit vectors: the
    losses are 0 for most examples in the end. Accuracy of the nearest
    neighbour .96."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(3)
    tower = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(16, name="embedding"),
            layers.UnitNormalization(),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=tower)
    pairs = training.options["loss"] == "contrastive"

    def far(a, b):
        return tf.reduce_sum((a - b) ** 2, -1)

    @tf.function
    def step(anchor, near, other):
        with tf.GradientTape() as tape:
            a, b, c = tower(anchor), tower(near), tower(other)
            if pairs:
                gap = tf.maximum(0.8 - tf.sqrt(far(a, c) + 1e-9), 0)
                loss = tf.reduce_mean(far(a, b) + gap**2)
            else:
                gap = tf.maximum(far(a, b) - far(a, c) + 0.3, 0)
                loss = tf.reduce_mean(gap)
        weights = tower.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    rows = [np.flatnonzero(y == k) for k in range(10)]
    for _ in range(500):
        i = r.integers(0, len(x), 32)
        near = [r.choice(rows[k]) for k in y[i]]
        shift = (y[i] + r.integers(1, 10, 32)) % 10
        step(x[i], x[near], x[[r.choice(rows[k]) for k in shift]])
    return sources.nearest(tower(x), y, tower(xt), yt)


@healthy(seed=[0])
def equation_of_a_spring(training):
    """A network that solves u'' = -9 u with u(0) = 0 and u'(0) = 3: it has no
    data, and gradients of gradients. Explained share of sin 3t 1.00."""
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(32, activation="tanh", name="hidden_1"),
            layers.Dense(32, activation="tanh", name="hidden_2"),
            layers.Dense(1, name="u"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(0.005), model=model)
    times = tf.linspace([0.0], [1.5], 64)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            with tf.GradientTape() as second:
                second.watch(times)
                with tf.GradientTape() as first:
                    first.watch(times)
                    u = model(times)
                slope = first.gradient(u, times)
            bend = second.gradient(slope, times)
            loss = tf.reduce_mean((bend + 9 * u) ** 2)
            loss += 10 * (u[0, 0] ** 2 + (slope[0, 0] - 3) ** 2)
        weights = model.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    for _ in range(1500):
        step()
    return sources.explained(np.sin(3 * np.asarray(times)), model(times))
