"""Data and measures of this set."""

from __future__ import annotations

import functools

import numpy as np

from benchmarks.diagnosis.blind3.sources import (
    SPARSE,
    accuracy,
    batches,
    blobs,
    cancer,
    classifier,
    descend,
    digit_images,
    digits,
    distance,
    explained,
    houses,
    nearest,
    one_hot,
    overlap,
    perceptron,
    policy,
    readings,
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
    "cancer",
    "classifier",
    "descend",
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
    "roads",
    "split",
    "wine",
]


@functools.cache
def roads(n=1200, size=12, seed=41):
    """Make noisy pictures float32 `[n, size, size, 1]` of a road that leaves
    to one side, and how far, from -1 to 1, split."""
    r = np.random.default_rng(seed)
    turn = r.uniform(-1, 1, (n, 1)).astype("float32")
    row, column = np.mgrid[:size, :size]
    middle = (size - 1) / 2
    lane = middle + turn[:, :, None] * (size - 1 - row) / 2.2
    pictures = np.exp(-((column - lane) ** 2) / 2)
    pictures = pictures + r.normal(0, 0.3, pictures.shape)
    return split(pictures[..., None].astype("float32"), turn)
