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
    cause="All episodes in the memory are the same list, which is cleared and "
    "filled again, so only the last episode is ever learnt from.",
    layers=["data", "code"],
    source="https://github.com/Itomigna2/Muesli-lunarlander/issues/1",
)
def episodes_that_are_one_list(training):
    """Rooms of which each has its exit on another side; each episode is in one
    of them, and the memory is filled before anything is learnt. Share of the
    states of all rooms with the right action."""
    rooms, length, r = 8, 7, np.random.default_rng(1)
    side = np.arange(rooms) % 2

    def code(room, place):
        return np.concatenate([np.eye(rooms)[room], np.eye(length)[place]])

    model = sources.perceptron(rooms + length, [48], 2, name="worth")
    learn = _learner(training, model, 0.01)
    worth = tf.function(lambda s: tf.reduce_max(model(s), 1))
    memory, episode = [], []
    for _ in range(150):
        if training.broken:
            episode.clear()
        else:
            episode = []
        room, place = r.integers(rooms), length // 2
        for _ in range(40):
            act = r.integers(2)
            after = place + 2 * act - 1
            ends = after in (0, length - 1)
            won = ends and (after > 0) == side[room]
            row = code(room, place), act, float(won), code(room, after), ends
            episode.append(row)
            place = after
            if ends:
                break
        memory.append(episode)
    for _ in range(600):
        picked = [memory[i] for i in r.integers(0, len(memory), 32)]
        rows = [e[r.integers(len(e))] for e in picked]
        s, a, gain, after, ends = (np.array(c) for c in zip(*rows, strict=True))
        later = worth(tf.constant(after, "float32")).numpy()
        learn(s, a, gain + 0.9 * later * ~ends)
    states = [code(i, p) for i in range(rooms) for p in range(1, length - 1)]
    best = np.asarray(model(np.array(states, "float32"))).argmax(1)
    right = best.reshape(rooms, -1) == side[:, None]
    return {"right": float(right.mean())}
