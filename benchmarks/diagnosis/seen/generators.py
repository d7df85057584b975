"""Data of this set: generated, or scikit-learn's in another form."""

from __future__ import annotations

import functools

import numpy as np
from sklearn import datasets

from benchmarks.diagnosis import data


def split(x, y, share=0.8):
    """Shuffle, and return `x, y, (x, y)`: to train and to validate."""
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    n = int(share * len(x))
    return x[:n], y[:n], (x[n:], y[n:])


@functools.cache
def large_digits():
    """Return images float32 `[1797, 28, 28, 1]` from 0 to 1, and labels."""
    images, labels = data.digit_images()
    large = images.repeat(3, axis=1).repeat(3, axis=2)
    return np.pad(large, [(0, 0), (2, 2), (2, 2), (0, 0)]), labels


@functools.cache
def wine():
    """Return float32 `[178, 13]`, raw (.1 to 1680), and labels 0 to 2."""
    x, y = datasets.load_wine(return_X_y=True)
    return x.astype("float32"), y


@functools.cache
def houses(n=1200):
    """Return area, rooms, year, distance, floor and garden of houses, raw,
    and their prices (about 60,000 to 900,000)."""
    random = np.random.default_rng(1)
    area = random.uniform(35, 240, n)
    rooms = np.clip(np.round(area / 28 + random.normal(0, 0.8, n)), 1, 9)
    year = random.integers(1900, 2024, n)
    distance = random.exponential(9, n)
    floor = random.integers(0, 6, n)
    garden = random.integers(0, 2, n) * random.uniform(50, 900, n)
    price = area * 2600 * (0.55 + 0.45 * np.exp(-distance / 8))
    price += 6000 * rooms + 900 * (year - 1950) + 90 * garden + 4000 * floor
    price = np.maximum(price + random.normal(0, 9000, n), 60000)
    x = np.stack([area, rooms, year, distance, floor, garden], axis=1)
    return x.astype("float32"), price.astype("float32")


@functools.cache
def prices(n=900, steps=20):
    """Return windows `[n, steps, 1]` of a price near 4000, and the next."""
    random = np.random.default_rng(2)
    time = np.arange(n + steps)
    wave = 500 * np.sin(time / 9) + 250 * np.sin(time / 31)
    price = 4000 + wave + random.normal(0, 15, n + steps)
    windows = np.lib.stride_tricks.sliding_window_view(price, steps)[:n]
    return windows[..., None].astype("float32"), price[steps:].astype("float32")


@functools.cache
def reviews(n=1200, length=30, words=400):
    """Return word ids `[n, length]`, and whether good words outweigh."""
    random = np.random.default_rng(3)
    ids = random.integers(40, words, [n, length])
    y = random.integers(0, 2, n)
    for row, label in zip(ids, y, strict=True):
        count = random.integers(4, 9)
        at = random.choice(length, count, replace=False)
        row[at] = random.integers(0, 20, count) + 20 * label
    return ids, y


@functools.cache
def shapes(n=1000, size=16):
    """Return noisy images of squares, discs, crosses and stripes."""
    random = np.random.default_rng(4)
    y = random.integers(0, 4, n)
    images = random.normal(0, 0.15, [n, size, size, 1])
    down, right = np.mgrid[:size, :size]
    for image, label in zip(images, y, strict=True):
        a, b = random.integers(5, size - 5, 2)
        r = random.integers(3, 5)
        u, v = abs(down - a), abs(right - b)
        image[..., 0] += [
            np.maximum(u, v) <= r,
            u**2 + v**2 <= r**2,
            (np.minimum(u, v) == 0) & (np.maximum(u, v) <= r),
            (np.maximum(u, v) <= r) & (u % 2 == 0),
        ][label]
    return images.astype("float32"), y


@functools.cache
def marked(n=1500, length=12, classes=6):
    """Return sequences of digits, one of them marked, and its digit:
    float32 `[n, length, classes + 1]`, int64 `[n]`."""
    random = np.random.default_rng(5)
    digits = random.integers(0, classes, [n, length])
    at = random.integers(0, length, n)
    x = np.zeros([n, length, classes + 1], "float32")
    x[..., :classes] = np.eye(classes)[digits]
    x[np.arange(n), at, classes] = 1
    return x, digits[np.arange(n), at]


@functools.cache
def circles(n=800):
    """Return points of two circles, one within the other, and which."""
    x, y = datasets.make_circles(n, noise=0.06, factor=0.5, random_state=0)
    return x.astype("float32"), y


@functools.cache
def sine(n=600):
    """Return x from -3 to 3 `[n, 1]` and sin(2x) with a little noise."""
    random = np.random.default_rng(6)
    x = random.uniform(-3, 3, [n, 1])
    y = np.sin(2 * x) + random.normal(0, 0.05, [n, 1])
    return x.astype("float32"), y.astype("float32")


@functools.cache
def first_token(n=1000, length=40, classes=4):
    """Return one-hot sequences of noise and the class of the first item."""
    random = np.random.default_rng(7)
    ids = random.integers(0, classes, [n, length])
    return np.eye(classes, dtype="float32")[ids], ids[:, 0]


@functools.cache
def blobs(n=900, classes=3, features=8, share=None, seed=8):
    """Return Gaussian clouds `[n, features]`, and which; `share` of each."""
    random = np.random.default_rng(seed)
    y = random.choice(classes, n, p=share)
    centres = random.normal(0, 1.6, [classes, features])
    x = centres[y] + random.normal(0, 1, [n, features])
    return x.astype("float32"), y
