"""Small data that the programs share."""

from __future__ import annotations

import numpy as np


def points(examples: int = 64, features: int = 4):
    """Return normal inputs, and targets of 0 or 1 that are a sum's sign."""
    x = np.random.default_rng(0).normal(size=(examples, features))
    x = x.astype("float32")
    return x, (x.sum(axis=1) > 0).astype("float32")


def images(examples: int = 48, size: int = 16, channels: int = 1):
    """Return images of noise with a bright half each, and which half it is:
    0 for the upper one."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, examples)
    x = random.normal(size=(examples, size, size, channels))
    half = size // 2
    for image, lower in zip(x, y, strict=True):
        image[half * lower : half * (lower + 1)] += 1
    return x.astype("float32"), y.astype("int32")
