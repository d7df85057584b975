"""Relative differences of numbers, and which norms are noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

#: A tensor whose norm is below this share of the largest is noise: the bias
#: before a norm layer has the true gradient 0, and its computed gradient is
#: rounding.
NOISE = 1e-4

#: Norms that are compared layer by layer.
NORMS = ("gradient_norm", "weight_norm", "update_norm")


def relative(a: npt.ArrayLike, b: npt.ArrayLike) -> np.ndarray:
    """Compute `|a - b| / max(|a|, |b|)` of each pair, float64.

    The result is 0 where both are equal (also two infinities), at most 1 where
    they have one sign and at most 2 where not. It is 1 where a single one is a
    finite number, and NaN where both are NaN.

    Examples:
        >>> relative([1.0, -1.0, np.inf], [2.0, 1.0, np.inf]).tolist()
        [0.5, 2.0, 0.0]
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(all="ignore"):
        values = np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))
    values = np.where(np.isfinite(a) & np.isfinite(b), values, 1.0)
    # This also covers two equal infinities, whose difference is NaN.
    values = np.where(a == b, 0.0, values)
    return np.where(np.isnan(a) & np.isnan(b), np.nan, values)


def same_bits(a: npt.ArrayLike, b: npt.ArrayLike) -> np.ndarray:
    """Mark where two float32 arrays are equal; NaN equals NaN."""
    a, b = np.asarray(a), np.asarray(b)
    return (a == b) | (np.isnan(a) & np.isnan(b))


def noise(
    a: npt.ArrayLike, b: npt.ArrayLike, limit: float = NOISE
) -> np.ndarray:
    """Mark norms that are below a share of the largest of their step.

    Args:
        a: Norms `[S, V]` of the first run; NaN where a variable has none.
        b: Norms of the second run, likewise.
        limit: The share.

    Returns:
        bool `[S, V]`: true only where it holds in both runs.

    Examples:
        >>> noise([[1.0, 5e-5, 2e-4]], [[1.0, 5e-5, 5e-5]]).tolist()
        [[False, True, False]]
    """
    # `fmax` ignores NaN, so a norm that one run lacks is judged by that of the
    # other. An infinite norm would make noise of all others.
    larger = np.fmax(np.asarray(a, np.float64), np.asarray(b, np.float64))
    finite = np.where(np.isfinite(larger), larger, 0.0)
    largest = finite.max(axis=1, keepdims=True, initial=0.0)
    return larger < limit * largest
