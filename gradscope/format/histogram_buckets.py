"""The buckets of gradscope's histograms.

The top ten bits of a float32 give its bucket: sign, exponent and the first bit
of the mantissa. So a bucket is half an octave, [2^e, 1.5 * 2^e) or
[1.5 * 2^e, 2^(e+1)). The edges are exact, no pass for minimum and maximum is
needed, and counts of steps or replicas can be added.

A histogram is COUNT = 258 counts from left to right: 128 of negative values
(-2^16 to -2^-48), zero, 128 of positive values, not finite. A value outside of
this range is counted in the outermost bucket of its sign; denormals (below
2^-126, which TensorFlow flushes to zero) count as zero.
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
    """Compute the 258 ascending edges of the 257 finite buckets, float64.

    The array is read-only, since all callers share it.

    Examples:
        >>> len(edges()), edges()[[0, -1]].tolist()  # 2^16 at both ends
        (258, [-65536.0, 65536.0])
        >>> at = edges().tolist().index(1.0)
        >>> edges()[at : at + 4].tolist()  # half octaves
        [1.0, 1.5, 2.0, 3.0]
    """
    exponents = LOWEST_EXPONENT + np.arange(PER_SIGN + 1) // 2
    mantissas = 1 + 0.5 * (np.arange(PER_SIGN + 1) % 2)
    positive = mantissas * 2.0**exponents
    ascending = np.concatenate([-positive[::-1], positive])
    ascending.setflags(write=False)
    return ascending


def tensorboard_rows(counts: np.ndarray) -> list[np.ndarray]:
    """Convert histograms to the rows that TensorBoard's tabs expect.

    Args:
        counts: `[n, COUNT]`, the counts of n histograms.

    Returns:
        For each histogram float32 `[k, 3]` of left edge, right edge and count,
        from the first used bucket to the last. Values that are not finite are
        left out; a histogram without any other value has one empty row.

    Examples:
        >>> counts = np.zeros([1, COUNT])
        >>> counts[0, edges().tolist().index(1.0)] = 7
        >>> tensorboard_rows(counts)[0].tolist()
        [[1.0, 1.5, 7.0]]
    """
    finite = np.asarray(counts)[:, :-1]
    used = finite != 0
    used[~used.any(axis=1), ZERO] = True
    first = used.argmax(axis=1)
    end = used.shape[1] - used[:, ::-1].argmax(axis=1)
    rows = np.empty([*finite.shape, 3], np.float32)
    rows[:, :, 0] = edges()[:-1]
    rows[:, :, 1] = edges()[1:]
    rows[:, :, 2] = finite
    return [r[a:b] for r, a, b in zip(rows, first, end, strict=True)]
