"""Data and measures of this set."""

from __future__ import annotations

import contextlib
import functools

import keras
import numpy as np

from benchmarks.diagnosis import data
from benchmarks.diagnosis.report.sources import (
    accuracy,
    batches,
    cancer,
    digit_images,
    digits,
    houses,
    one_hot,
    r2,
    ratings,
    sine,
    split,
    wine,
)

__all__ = [
    "accuracy",
    "batches",
    "cancer",
    "digit_images",
    "digits",
    "houses",
    "one_hot",
    "r2",
    "ratings",
    "sine",
    "split",
    "wine",
]

SPARSE = "sparse_categorical_crossentropy"


@contextlib.contextmanager
def policy(name):
    """Makes all layers compute in another type."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def explained(truth, guess) -> dict:
    """Returns the explained share of the variance of arrays of any shape."""
    truth = np.asarray(truth, "float64")
    wrong = np.mean((truth - np.asarray(guess, "float64")) ** 2)
    return {"r2": float(1 - wrong / truth.var())}


def overlap(masks, guess) -> dict:
    """Returns the intersection over the union of masks."""
    a, b = np.asarray(masks) > 0.5, np.asarray(guess, "float32") > 0.5
    return {"iou": float((a & b).sum() / max((a | b).sum(), 1))}


def distance(real, fake) -> dict:
    """Returns the energy distance of two sets of points: 0 if alike."""
    real, fake = np.asarray(real, "float64"), np.asarray(fake, "float64")
    real, fake = real.reshape(len(real), -1), fake.reshape(len(fake), -1)

    def mean(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).mean()

    return {
        "distance": float(
            2 * mean(real, fake) - mean(real, real) - mean(fake, fake)
        )
    }


def nearest(x, y, xt, yt) -> dict:
    """Returns the share of points whose nearest neighbour is of their
    class."""
    x, xt = np.asarray(x, "float64"), np.asarray(xt, "float64")
    far = ((xt[:, None] - x[None]) ** 2).sum(-1)
    return {"accuracy": float(np.mean(y[far.argmin(1)] == yt))}


@functools.cache
def blobs(n=500, size=16, seed=11):
    """Returns noisy images with a bright disc left of the middle, and its
    mask: float32 `[n, size, size, 1]` both."""
    r = np.random.default_rng(seed)
    row, column = np.mgrid[:size, :size]
    middle = r.uniform(3, size - 3, (n, 2))
    middle[:, 1] = r.uniform(2, size / 2, n)
    radius = r.uniform(2, 4, n)
    far = (row - middle[:, 0, None, None]) ** 2
    far = far + (column - middle[:, 1, None, None]) ** 2
    masks = (far < radius[:, None, None] ** 2).astype("float32")
    images = masks * 0.6 + r.normal(0, 0.35, masks.shape)
    return images[..., None].astype("float32"), masks[..., None]


@functools.cache
def ring(n=1000):
    """Returns points of eight clusters on a circle."""
    r = np.random.default_rng(12)
    angle = r.integers(0, 8, n) * np.pi / 4
    points = np.stack([np.cos(angle), np.sin(angle)], 1)
    return (points + r.normal(0, 0.05, (n, 2))).astype("float32")


@functools.cache
def by_class():
    """Returns the training digits sorted by class, and those to test on."""
    x, y, xt, yt = digits()
    order = np.argsort(y, kind="stable")
    return x[order], y[order], xt, yt


@functools.cache
def bright_digits():
    """Returns the digits from 0 to 16, split."""
    images, labels = data.digits()
    return split(images * 16, labels)
