"""Data and measures of this set."""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind.sources import (
    SPARSE,
    accuracy,
    batches,
    cancer,
    digit_images,
    digits,
    distance,
    explained,
    houses,
    nearest,
    one_hot,
    policy,
    r2,
    ring,
    sine,
    split,
    wine,
)
from benchmarks.diagnosis.data import diabetes

__all__ = [
    "SPARSE",
    "accuracy",
    "batches",
    "cancer",
    "descend",
    "diabetes",
    "digit_images",
    "digits",
    "distance",
    "explained",
    "houses",
    "nearest",
    "one_hot",
    "perceptron",
    "policy",
    "r2",
    "reviews",
    "ring",
    "sine",
    "split",
    "wine",
]


def perceptron(inputs, units, outputs, last=None, name="dense", hidden="relu"):
    """Build hidden layers `name_1`, `name_2`, ... and a layer `name_out`."""
    model = keras.Sequential([keras.Input((inputs,))], name=name)
    for i, width in enumerate(units, 1):
        model.add(layers.Dense(width, activation=hidden, name=f"{name}_{i}"))
    model.add(layers.Dense(outputs, activation=last, name=f"{name}_out"))
    return model


def descend(optimizer, tape, loss, weights):
    """Apply the gradients of a loss, leaving out variables without one."""
    pairs = zip(tape.gradient(loss, weights), weights, strict=True)
    optimizer.apply_gradients([(g, w) for g, w in pairs if g is not None])


@functools.cache
def reviews(n=1400, length=24, words=120, seed=21):
    """Make padded lists of word numbers from 1, and whether their moods,
    fixed numbers of the words, add up to more than 0."""
    r = np.random.default_rng(seed)
    mood = r.normal(size=words)
    size = r.integers(4, length + 1, n)
    x = r.integers(1, words, (n, length))
    x[np.arange(length) >= size[:, None]] = 0
    mood[0] = 0
    y = (mood[x].sum(1) > 0).astype("float32")[:, None]
    return split(x.astype("int32"), y)


def constant(values):
    """Return a float32 tensor."""
    return tf.constant(np.asarray(values, "float32"))
