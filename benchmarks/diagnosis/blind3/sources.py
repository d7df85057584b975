"""Data and measures of this set."""

from __future__ import annotations

import functools

import keras
import numpy as np

from benchmarks.diagnosis.blind.sources import blobs, by_class, overlap
from benchmarks.diagnosis.blind2.sources import (
    SPARSE,
    accuracy,
    batches,
    cancer,
    descend,
    diabetes,
    digit_images,
    digits,
    distance,
    explained,
    houses,
    nearest,
    one_hot,
    perceptron,
    policy,
    reviews,
    ring,
    split,
    wine,
)

__all__ = [
    "SPARSE",
    "accuracy",
    "batches",
    "blobs",
    "by_class",
    "cancer",
    "classifier",
    "descend",
    "diabetes",
    "digit_images",
    "digits",
    "distance",
    "explained",
    "houses",
    "nearest",
    "one_hot",
    "overlap",
    "perceptron",
    "policy",
    "readings",
    "reviews",
    "ring",
    "split",
    "wine",
]


def classifier(model, rate=0.003):
    """Compile a network for whole numbers as labels."""
    model.compile(keras.optimizers.Adam(rate), SPARSE, metrics=["accuracy"])
    return model


@functools.cache
def readings(n=1200, size=12, seed=31):
    """Make columns that depend on each other and a number to predict from
    them, with some noise."""
    r = np.random.default_rng(seed)
    hidden = r.normal(size=(n, 4))
    x = hidden @ r.normal(size=(4, size)) + 0.3 * r.normal(size=(n, size))
    y = np.sin(hidden[:, :1]) + hidden[:, 1:2] * hidden[:, 2:3]
    y = y + 0.1 * r.normal(size=y.shape)
    return split((x / x.std(0)).astype("float32"), y.astype("float32"))
