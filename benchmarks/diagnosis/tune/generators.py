"""Data that this set generates, and batches for loops of its own."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf


@functools.cache
def rings(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Return points float32 `[N, 2]`, and 1 for those of the inner ring."""
    random = np.random.default_rng(0)
    inner = random.integers(0, 2, count)
    radius = np.where(inner == 1, 0.5, 1.0) + random.normal(0, 0.06, count)
    angle = random.uniform(0, 2 * np.pi, count)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return x.astype("float32"), inner


@functools.cache
def sine(count: int = 800) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and their sine, float32 `[N, 1]` each."""
    random = np.random.default_rng(0)
    x = random.uniform(-3, 3, [count, 1])
    y = np.sin(2 * x) + random.normal(0, 0.05, [count, 1])
    return x.astype("float32"), y.astype("float32")


@functools.cache
def houses(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised features `[N, 8]` and prices near 300000."""
    random = np.random.default_rng(0)
    x = random.normal(size=[count, 8])
    price = 3e5 + x @ random.normal(0, 4e4, 8) + 3e4 * x[:, 0] * x[:, 1]
    price += random.normal(0, 1e4, count)
    return x.astype("float32"), price.astype("float32")


@functools.cache
def reviews(
    count: int = 1000, length: int = 30, words: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Return word numbers `[N, length]`, and whether good words prevail.

    Words 1 to 20 are good, 21 to 40 are bad, and 0 fills up at the end.
    """
    random = np.random.default_rng(0)
    label = random.integers(0, 2, count)
    x = random.integers(41, words, [count, length])
    telling = random.random([count, length]) < 0.3
    good = random.random([count, length]) < np.where(label, 0.75, 0.25)[:, None]
    word = random.integers(1, 21, [count, length]) + np.where(good, 0, 20)
    x = np.where(telling, word, x)
    end = random.integers(length // 2, length + 1, count)
    x[np.arange(length) >= end[:, None]] = 0
    return x, label


@functools.cache
def bags() -> tuple[np.ndarray, np.ndarray]:
    """Return how often each of 500 words occurs in a review, and labels."""
    x, label = reviews()
    counts = np.stack([np.bincount(row, minlength=500) for row in x])
    counts[:, 0] = 0
    return counts.astype("float32"), label


@functools.cache
def waves(count: int = 900, length: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Return waves `[N, length, 1]`: sine 0, square 1, sawtooth 2."""
    random = np.random.default_rng(0)
    label = random.integers(0, 3, count)
    phase = random.uniform(0, 1, [count, 1])
    rate = random.uniform(0.06, 0.1, [count, 1])
    turn = (phase + rate * np.arange(length)) % 1
    shapes = [np.sin(2 * np.pi * turn), np.sign(turn - 0.5), 2 * turn - 1]
    x = np.choose(label[:, None], shapes)
    x = x + random.normal(0, 0.1, x.shape)
    return x[..., None].astype("float32"), label


@functools.cache
def tagged(count: int = 800, length: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return words `[N, length]` and a tag 0, 1 or 2 for each.

    The tag is the word's own, but for the word after a 0, which has tag 2.
    """
    random = np.random.default_rng(0)
    x = random.integers(0, 30, [count, length])
    y = x % 2
    y[:, 1:][x[:, :-1] == 0] = 2
    return x, y


def batches(x, y, size: int, epochs: int) -> tf.data.Dataset:
    """Return shuffled batches for a loop of its own."""
    data = tf.data.Dataset.from_tensor_slices((x, y))
    return data.shuffle(len(x), seed=0).repeat(epochs).batch(size, True)
