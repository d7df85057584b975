"""Data of this set, each with a real task in it, and what is measured."""

from __future__ import annotations

import functools

import numpy as np
from sklearn import datasets

from benchmarks.diagnosis import data


def halves(*arrays, share: float = 0.75, seed: int = 0):
    """Return arrays of training, then of testing, in one shuffled order."""
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    cut = int(share * len(order))
    return [a[order[:cut]] for a in arrays] + [a[order[cut:]] for a in arrays]


def digits():
    """Return digits `[n, 64]` from 0 to 1: x, y, and those of the test."""
    return halves(*data.digits())


def images():
    """Return digits `[n, 8, 8, 1]` from 0 to 1: x, y, and the test's."""
    return halves(*data.digit_images())


def cancer(scaled: bool = True):
    """Return tumours `[n, 30]` with labels 0 and 1, and the test's."""
    x, y = data.cancer()
    return halves(data.standardised(x) if scaled else x, y.astype("float32"))


def wine(scaled: bool = True):
    """Return wines `[n, 13]` with labels 0, 1, 2, and the test's."""
    x, y = datasets.load_wine(return_X_y=True)
    x = x.astype("float32")
    return halves(data.standardised(x) if scaled else x, y)


def iris():
    """Return standardised flowers `[n, 4]`, labels 0 to 2, and the test's."""
    x, y = datasets.load_iris(return_X_y=True)
    return halves(data.standardised(x), y)


def diabetes():
    """Return patients `[n, 10]`, targets 25 to 346, and the test's."""
    return halves(*data.diabetes())


@functools.cache
def _houses():
    random = np.random.default_rng(1)
    count = 1600
    area = random.uniform(30, 250, count)
    rooms = np.clip(np.round(area / 28 + random.normal(0, 1, count)), 1, 9)
    year = random.integers(1900, 2021, count)
    away = random.uniform(100, 20000, count)
    price = 2600 * area * np.exp(-away / 9000) * (1 + (year - 1900) / 150)
    price += 9000 * rooms + random.normal(0, 8000, count)
    x = np.stack([area, rooms, year, away], 1).astype("float32")
    return x, price.astype("float32")


def houses(scaled: bool = True):
    """Return houses `[n, 4]` and prices up to 10^6, and the test's.

    The columns are square metres, rooms, year, metres to the centre.
    """
    x, y = _houses()
    return halves(data.standardised(x) if scaled else x, y)


@functools.cache
def _waves(count: int, length: int):
    random = np.random.default_rng(2)
    kind = random.integers(0, 4, count)
    time = np.arange(length) / length * 2 * np.pi
    phase = random.uniform(0, 2 * np.pi, (count, 1))
    x = np.sin((2 + 2 * kind[:, None]) * time + phase)
    x = x + random.normal(0, 0.3, x.shape)
    return x[..., None].astype("float32"), kind


def waves(count: int = 1000, length: int = 40):
    """Return noisy sines `[n, length, 1]` of four pitches, and the test's."""
    return halves(*_waves(count, length))


@functools.cache
def _topics(count: int, length: int, words: int):
    random = np.random.default_rng(3)
    topic = random.integers(0, 4, count)
    own = words // 8
    starts = words // 2 + own * topic
    x = random.integers(1, words // 2, (count, length))
    told = random.integers(0, own, x.shape) + starts[:, None]
    x = np.where(random.random(x.shape) < 0.25, told, x)
    return x.astype("int32"), topic


def topics(count: int = 1200, length: int = 24, words: int = 400):
    """Return texts `[n, length]` on four topics, and the test's.

    A quarter of the words are of the topic's own words.
    """
    return halves(*_topics(count, length, words))


@functools.cache
def _tags(count: int, length: int):
    random = np.random.default_rng(4)
    x = random.integers(1, 12, (count, length))
    before = np.roll(x, 1, axis=1)
    before[:, 0] = 0
    return x.astype("int32"), (x + before) % 3


def tags(count: int = 1000, length: int = 12):
    """Return words `[n, length]` with tags 0 to 2 of the same shape.

    A tag depends on the word and on the word before it.
    """
    return halves(*_tags(count, length))


@functools.cache
def _recall(count: int, length: int):
    random = np.random.default_rng(5)
    x = random.integers(4, 10, (count, length))
    x[:, 0] = random.integers(0, 4, count)
    return x.astype("int32"), x[:, 0].copy()


def recall(count: int = 1200, length: int = 40):
    """Return sequences whose label is their first word, and the test's."""
    return halves(*_recall(count, length))


@functools.cache
def _shapes(count: int):
    random = np.random.default_rng(6)
    x = random.normal(0, 0.25, (count, 16, 16, 1))
    mask = np.zeros((count, 16, 16), "int64")
    for one in mask:
        top, left = random.integers(0, 9, 2)
        height, width = random.integers(4, 8, 2)
        one[top : top + height, left : left + width] = random.integers(1, 3)
    x[..., 0] += np.array([0, 1.0, -1.0])[mask]
    return x.astype("float32"), mask


def shapes(count: int = 400):
    """Return images `[n, 16, 16, 1]` and the class 0 to 2 of each pixel."""
    return halves(*_shapes(count))


@functools.cache
def _spirals(count: int):
    random = np.random.default_rng(7)
    label = random.integers(0, 2, count)
    along = np.sqrt(random.uniform(0.02, 1, count))
    angle = along * 6 + np.pi * label
    x = np.stack([along * np.cos(angle), along * np.sin(angle)], 1) * 2
    x = x + random.normal(0, 0.05, x.shape)
    return x.astype("float32"), label.astype("float32")


def spirals(count: int = 1200):
    """Return points `[n, 2]` of two spirals, and the test's."""
    return halves(*_spirals(count))


@functools.cache
def _rings(count: int, columns: int):
    random = np.random.default_rng(8)
    x = random.normal(0, 1, (count, columns))
    size = (x**2).sum(1)
    return x.astype("float32"), (size > np.median(size)).astype("float32")


def rings(count: int = 1600, columns: int = 4):
    """Return points `[n, columns]` near to (0) or far from (1) the origin."""
    return halves(*_rings(count, columns))


@functools.cache
def _ratings(count: int):
    random = np.random.default_rng(9)
    tastes, styles = random.normal(0, 1, (2, 60, 3))
    user, item = random.integers(0, 60, (2, count))
    stars = (tastes[user] * styles[item]).sum(1)
    stars = stars + random.normal(0, 0.1, count)
    pairs = np.stack([user, item], 1).astype("int32")
    return pairs, stars.astype("float32")


def ratings(count: int = 4000):
    """Return pairs of user and item `[n, 2]` and their ratings."""
    return halves(*_ratings(count))


@functools.cache
def _friedman(count: int):
    x, y = datasets.make_friedman1(count, 8, noise=0.3, random_state=0)
    return data.standardised(x), data.standardised(y)


def friedman(count: int = 1200):
    """Return `[n, 8]` and a bent function of it, standardised."""
    return halves(*_friedman(count))


@functools.cache
def _sums(count: int, length: int):
    random = np.random.default_rng(10)
    x = random.uniform(0, 1, (count, length, 2))
    x[..., 1] = 0
    for one in x:
        one[random.choice(length, 2, replace=False), 1] = 1
    return x.astype("float32"), (x[..., 0] * x[..., 1]).sum(1).astype("float32")


def sums(count: int = 1600, length: int = 20):
    """Return sequences `[n, length, 2]` and the sum of their marked two."""
    return halves(*_sums(count, length))


def accuracy(model, x, y) -> float:
    """Return the share of right classes, of whatever outputs it has.

    One output a row is a probability of class 1.
    """
    out = np.asarray(model.predict(x, verbose=0))
    if out.shape[-1] == 1 and out.ndim > 1:
        return round(float(np.mean((out[..., 0] > 0.5) == (y > 0.5))), 3)
    return round(float(np.mean(out.argmax(-1) == y)), 3)


def unexplained(model, x, y) -> float:
    """Return the mean squared error in units of the targets' variance."""
    out = np.asarray(model.predict(x, verbose=0), "float64").reshape(y.shape)
    return round(float(np.mean((out - y) ** 2) / np.var(y)), 4)


def batches(count: int, size: int, steps: int, seed: int = 0):
    """Yield `steps` random selections of rows."""
    random = np.random.default_rng(seed)
    for _ in range(steps):
        yield random.choice(count, size, replace=False)
