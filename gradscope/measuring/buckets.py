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

import functools

import numpy as np

LOWEST_EXPONENT = -48
OCTAVES = 64
PER_SIGN = 2 * OCTAVES
COUNT = 2 * PER_SIGN + 2
ZERO = PER_SIGN

_EXPONENT_BIAS = 127
#: Index of the lowest bucket among a float32's top ten bits.
FIRST_BITS = 2 * (LOWEST_EXPONENT + _EXPONENT_BIAS)


@functools.cache
def edges() -> np.ndarray:
    """Returns the 258 edges of the 257 finite buckets, float64, ascending;
    to be read only."""
    exponents = LOWEST_EXPONENT + np.arange(PER_SIGN + 1) // 2
    mantissas = 1 + 0.5 * (np.arange(PER_SIGN + 1) % 2)
    positive = mantissas * 2.0**exponents
    found = np.concatenate([-positive[::-1], positive])
    found.setflags(write=False)
    return found


def tensorboard_rows(counts: np.ndarray) -> np.ndarray:
    """Returns a histogram as TensorBoard's tabs want it.

    Args:
        counts: The COUNT counts of one histogram.

    Returns:
        float64 `[k, 3]` of left edge, right edge, count, from the first used
        bucket to the last; values that are not finite are left out. One empty
        row when there is no other value.
    """
    finite = np.asarray(counts)[:-1]
    used = finite.nonzero()[0]
    first, end = (used[0], used[-1] + 1) if len(used) else (ZERO, ZERO + 1)
    rows = np.empty([end - first, 3])
    rows[:, 0] = edges()[first:end]
    rows[:, 1] = edges()[first + 1 : end + 1]
    rows[:, 2] = finite[first:end]
    return rows
