"""Data and measures of this set."""

from __future__ import annotations

import functools

import numpy as np
from sklearn import datasets

from benchmarks.diagnosis import data


def split(x, y, share=0.75):
    """Return x and y to train on, then x and y to test on."""
    order = np.random.default_rng(7).permutation(len(x))
    cut = int(share * len(x))
    first, last = order[:cut], order[cut:]
    return x[first], y[first], x[last], y[last]


def accuracy(model, x, y) -> dict:
    """Return the share of right classes, in inference mode."""
    p = np.asarray(model(x, training=False), "float32")
    guess = p[..., 0] > 0.5 if p.shape[-1] == 1 else p.argmax(-1)
    return {"accuracy": float(np.mean(guess == y.reshape(guess.shape)))}


def r2(model, x, y, scale=1.0, shift=0.0) -> dict:
    """Return the explained share of the variance, in inference mode."""
    p = np.asarray(model(x, training=False), "float32").reshape(-1)
    p = p * scale + shift
    y = np.reshape(y, -1)
    return {"r2": float(1 - np.mean((p - y) ** 2) / np.var(y))}


def one_hot(y, classes=10):
    """Return float32 `[n, classes]`."""
    return np.eye(classes, dtype="float32")[y]


def digits():
    """Return the digits as vectors, split."""
    return split(*data.digits())


def digit_images():
    """Return the digits as images, split."""
    return split(*data.digit_images())


def cancer(scaled=True):
    """Return the tumours, split; labels float32 `[n, 1]`."""
    x, y = data.cancer()
    x = data.standardised(x) if scaled else x
    return split(x, y.astype("float32")[:, None])


@functools.cache
def wine():
    """Return float32 `[178, 13]`, raw (up to 1680), and labels 0 to 2."""
    x, y = datasets.load_wine(return_X_y=True)
    return x.astype("float32"), y


@functools.cache
def iris():
    """Return float32 `[150, 4]`, standardised, and labels 0 to 2."""
    x, y = datasets.load_iris(return_X_y=True)
    return data.standardised(x), y


@functools.cache
def circles(n=800):
    """Return two rings of points, and labels float32 `[n, 1]`."""
    x, y = datasets.make_circles(n, noise=0.08, factor=0.5, random_state=1)
    return x.astype("float32"), y.astype("float32")[:, None]


@functools.cache
def houses(n=1500):
    """Return a table like California's, raw, and prices in dollars."""
    r = np.random.default_rng(3)
    income = r.gamma(4.0, 1.0, n)
    age = r.uniform(1, 52, n)
    rooms = r.normal(5.4, 1.2, n).clip(1)
    people = r.lognormal(7.0, 0.7, n)
    north = r.uniform(32, 42, n)
    east = r.uniform(-124, -114, n)
    price = 4e4 * income + 9e3 * rooms - 400 * age - 6e3 * (north - 37)
    price += 5e4 * np.sin(east) + 2e3 * income**2 + r.normal(0, 1e4, n)
    x = np.stack([income, age, rooms, people, north, east], 1)
    return x.astype("float32"), price.astype("float32")[:, None]


@functools.cache
def passengers(months=300, window=12):
    """Return windows of a monthly series (100 to 700), and the next month."""
    t = np.arange(months)
    r = np.random.default_rng(5)
    s = 110 + 1.4 * t + (20 + 0.25 * t) * np.sin(2 * np.pi * t / 12)
    s = (s + r.normal(0, 5, months)).astype("float32")
    x = np.stack([s[i : i + window] for i in range(months - window)])
    return x[..., None], s[window:, None]


@functools.cache
def sine(n=600):
    """Return x from -3 to 3 and sin(2x) with a little noise."""
    r = np.random.default_rng(2)
    x = r.uniform(-3, 3, (n, 1)).astype("float32")
    y = np.sin(2 * x) + r.normal(0, 0.05, (n, 1))
    return x, y.astype("float32")


@functools.cache
def sentences(n=1500, length=20, words=200):
    """Return tokens 1 to 199, and whether the kind ones prevail."""
    r = np.random.default_rng(4)
    share = 1 / np.arange(2, words + 1)
    x = r.choice(np.arange(1, words), (n, length), p=share / share.sum())
    mood = np.random.default_rng(8).normal(size=words)
    y = mood[x].sum(1)
    return x.astype("int32"), (y > np.median(y)).astype("float32")[:, None]


@functools.cache
def xor(copies=25):
    """Return the four points and their labels, several times."""
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    y = np.array([[0], [1], [1], [0]], "float32")
    return np.tile(x, (copies, 1)), np.tile(y, (copies, 1))


@functools.cache
def marked(n=1500, length=10):
    """Return sequences of (value, mark) with one mark; its value."""
    r = np.random.default_rng(6)
    value = r.normal(size=(n, length))
    place = r.integers(0, length, n)
    mark = np.zeros((n, length))
    mark[np.arange(n), place] = 1
    x = np.stack([value, mark], -1).astype("float32")
    return x, value[np.arange(n), place].astype("float32")[:, None]


@functools.cache
def ratings(n=4000, users=60, items=40):
    """Return pairs of user and item, and stars 1 to 5."""
    r = np.random.default_rng(9)
    u, i = r.integers(0, users, n), r.integers(0, items, n)
    a, b = r.normal(size=(users, 3)), r.normal(size=(items, 3))
    stars = 3 + (a[u] * b[i]).sum(1) * 0.7 + r.normal(0, 0.2, n)
    x = np.stack([u, i], 1).astype("int32")
    return x, stars.clip(1, 5).astype("float32")[:, None]


def batches(x, y, size, epochs, seed=0):
    """Yield shuffled batches for loops of one's own."""
    r = np.random.default_rng(seed)
    for _ in range(epochs):
        order = r.permutation(len(x))
        for i in range(0, len(x) - size + 1, size):
            rows = order[i : i + size]
            yield x[rows], y[rows]
