"""Data of the benchmark: scikit-learn's, or generated."""

from __future__ import annotations

import functools

import numpy as np
from sklearn import datasets


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return images float32 `[1797, 64]` from 0 to 1, labels int64."""
    images, labels = datasets.load_digits(return_X_y=True)
    return (images / 16).astype("float32"), labels


@functools.cache
def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """Return images float32 `[1797, 8, 8, 1]` from 0 to 1, labels int64."""
    images, labels = digits()
    return images.reshape(-1, 8, 8, 1), labels


@functools.cache
def cancer() -> tuple[np.ndarray, np.ndarray]:
    """Return float32 `[569, 30]`, raw (up to 4254), and labels 0 or 1."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return x.astype("float32"), y


@functools.cache
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Return float32 `[442, 10]`, standardised, and targets 25 to 346."""
    x, y = datasets.load_diabetes(return_X_y=True)
    return (x / x.std(axis=0)).astype("float32"), y.astype("float32")


def standardised(x: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and standard deviation 1."""
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
