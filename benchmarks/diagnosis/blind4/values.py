"""Networks that say what an action is worth."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


def _learner(training, model, rate):
    """Make a step that moves what the actions taken are worth to targets."""
    optimizer = training.wrap(keras.optimizers.Adam(rate), model=model)

    @tf.function
    def step(states, actions, targets):
        with tf.GradientTape() as tape:
            worth = tf.gather(model(states), actions, batch_dims=1)
            loss = tf.reduce_mean((targets - worth) ** 2)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    def learn(states, actions, targets):
        step(
            tf.constant(states, "float32"),
            tf.constant(actions, "int32"),
            tf.constant(targets, "float32"),
        )

    return learn


@fault(
    cause="The soft update mixes the target network with itself and not with "
    "the online one, so it keeps its random weights for ever and rewards "
    "are not handed on from state to state.",
    layers=["code", "target"],
    source="https://github.com/ageron/handson-ml2/issues/89",
)
def target_network_that_stays(training):
    """A row of states with a small reward at the left end and a large one at
    the right end. Discounted return .00 against .53."""
    length, r = 12, np.random.default_rng(0)
    at = r.integers(1, length - 1, 3000)
    act = r.integers(0, 2, 3000)
    after = at + 2 * act - 1
    gain = np.where(after == length - 1, 1.0, np.where(after == 0, 0.2, 0.0))
    code = np.eye(length, dtype="float32")
    online = sources.perceptron(length, [32], 2, name="online")
    target = sources.perceptron(length, [32], 2, name="target")
    target.set_weights(online.get_weights())
    learn = _learner(training, online, 0.01)
    guess = tf.function(lambda s: tf.reduce_max(target(s), 1))
    for _ in range(1200):
        rows = r.integers(0, 3000, 64)
        ends = (after[rows] % (length - 1)) == 0
        later = guess(code[after[rows]]).numpy() * ~ends
        learn(code[at[rows]], act[rows], gain[rows] + 0.9 * later)
        mixed = zip(target.weights, online.weights, strict=True)
        for old, new in mixed:
            other = old if training.broken else new
            old.assign(0.95 * old + 0.05 * other)
    best = np.asarray(online(code)).argmax(1)
    place, total = 4, 0.0
    for t in range(30):
        place = place + 2 * best[place] - 1
        if place in (0, length - 1):
            total = 0.9**t * (1.0 if place else 0.2)
            break
    return {"return": total}


@fault(
    cause="The newest picture overwrites the previous one in the stack and "
    "the older ones never move on, so the network sees where things are and "
    "not how they move.",
    layers=["data", "code"],
    source="https://github.com/floodsung/DQN-Atari-Tensorflow/issues/3",
)
def pictures_that_never_leave(training):
    """A ball that turns round now and then is to be followed: the state is a
    stack of the last three pictures. Mean reward .55 against 1.00."""
    r, width = np.random.default_rng(2), 10

    def play(steps, seed):
        r = np.random.default_rng(seed)
        place, way = 5, 1
        frame = np.eye(width)[place]
        stack = np.stack([frame, frame, frame], 1)
        for _ in range(steps):
            if r.random() < 0.15 or not 0 <= place + way < width:
                way = -way
            place = min(max(place + way, 0), width - 1)
            frame = np.eye(width)[place][:, None]
            if training.broken:
                stack = np.append(frame, stack[:, 1:], 1)
            else:
                stack = np.append(frame, stack[:, :-1], 1)
            yield stack.reshape(-1), way

    seen, ways = (np.array(c) for c in zip(*play(3000, 5), strict=True))
    model = sources.perceptron(3 * width, [48], 2, name="worth")
    learn = _learner(training, model, 0.003)
    for _ in range(600):
        rows = r.integers(0, len(seen), 32)
        act = r.integers(0, 2, 32)
        learn(seen[rows], act, (2 * act - 1) == ways[rows])
    seen, ways = (np.array(c) for c in zip(*play(1000, 6), strict=True))
    best = np.asarray(model(seen.astype("float32"))).argmax(1)
    return {"reward": float(np.mean(2 * best - 1 == ways))}
