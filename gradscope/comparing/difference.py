"""How far two numbers are apart, and which of them are noise."""

from __future__ import annotations

import numpy as np

#: A tensor whose norm is below this share of the largest is noise: the bias
#: before a norm has the true gradient 0, and what is left of it is rounding.
NOISE = 1e-4

#: Norms that are compared layer by layer.
NORMS = ("gradient_norm", "weight_norm", "update_norm")


def relative(a, b) -> np.ndarray:
    """Returns `|a - b| / max(|a|, |b|)` of each pair, float64.

    0 where they are equal (also two infinities), at most 1 where they have one
    sign and at most 2 else; 1 where only one of them is a finite number, and
    NaN where neither is a number.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(all="ignore"):
        found = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    found = np.where(np.isfinite(a) & np.isfinite(b), found, 1.0)
    found = np.where(a == b, 0.0, found)
    return np.where(np.isnan(a) & np.isnan(b), np.nan, found)


def same_bits(a, b) -> np.ndarray:
    """Returns where two float32 arrays are equal; NaN equals NaN."""
    a, b = np.asarray(a), np.asarray(b)
    return (a == b) | (np.isnan(a) & np.isnan(b))


def noise(a, b, limit: float = NOISE) -> np.ndarray:
    """Returns which norms are below a share of the largest of their step.

    Args:
        a: Norms `[S, V]` of one run; NaN where there is none.
        b: Those of the other.
        limit: The share.

    Returns:
        bool `[S, V]`: true only where it holds in both runs.
    """
    larger = np.fmax(np.asarray(a, np.float64), np.asarray(b, np.float64))
    finite = np.where(np.isfinite(larger), larger, 0.0)
    largest = finite.max(axis=1, keepdims=True, initial=0.0)
    return larger < limit * largest
