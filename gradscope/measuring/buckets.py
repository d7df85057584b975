"""The buckets of gradscope's histograms. numpy only.

A float32 says its own bucket: sign, exponent and the first bit of the mantissa
are its top ten bits. So a bucket is half an octave, [2^e, 1.5 * 2^e) or
[1.5 * 2^e, 2^(e+1)), the edges are exact, no minimum or maximum is needed
first, and counts of steps or replicas can be added.

A histogram is COUNT = 258 counts from left to right: 128 of negative values
(-2^16 to -2^-48), zero, 128 of positive values, not finite. What is smaller
or larger than the range is counted in the outermost bucket of its sign;
denormals (below 2^-126, which TensorFlow flushes to zero) count as zero.
"""

from __future__ import annotations

import numpy as np

LOWEST_EXPONENT = -48
OCTAVES = 64
PER_SIGN = 2 * OCTAVES
COUNT = 2 * PER_SIGN + 2
ZERO = PER_SIGN

_EXPONENT_BIAS = 127
#: Index of the lowest bucket among a float32's top ten bits.
FIRST_BITS = 2 * (LOWEST_EXPONENT + _EXPONENT_BIAS)


def edges() -> np.ndarray:
    """Returns the 258 edges of the 257 finite buckets, float64, ascending."""
    exponents = LOWEST_EXPONENT + np.arange(PER_SIGN + 1) // 2
    mantissas = 1 + 0.5 * (np.arange(PER_SIGN + 1) % 2)
    positive = mantissas * 2.0**exponents
    return np.concatenate([-positive[::-1], positive])


def tensorboard_rows(counts: np.ndarray) -> np.ndarray:
    """Returns a histogram as TensorBoard's tabs want it.

    Args:
        counts: The COUNT counts of one histogram.

    Returns:
        float64 `[k, 3]` of left edge, right edge, count, from the first used
        bucket to the last; values that are not finite are left out. One empty
        row when there is no other value.
    """
    finite = np.asarray(counts, np.float64)[:-1]
    used = np.flatnonzero(finite)
    first, last = (used[0], used[-1]) if len(used) else (ZERO, ZERO)
    rows = np.stack([edges()[:-1], edges()[1:], finite], axis=1)
    return rows[first : last + 1]
