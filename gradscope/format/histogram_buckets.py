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

# All exponents of a float32 would be four times as many counts, which the ring
# of histograms holds for each tensor.
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
        from the first used bucket to the last. Empty buckets between two used
        ones are one row: most of a histogram's buckets are next to zero, and
        empty. Values that are not finite are left out; a histogram without any
        other value has one empty row.

    Examples:
        >>> counts = np.zeros([1, COUNT])
        >>> at = edges().tolist().index(1.0)
        >>> counts[0, [at, at + 6]] = 7, 3
        >>> tensorboard_rows(counts)[0].tolist()
        [[1.0, 1.5, 7.0], [1.5, 8.0, 0.0], [8.0, 12.0, 3.0]]
    """
    finite = np.asarray(counts)[:, :-1]
    used = finite != 0
    used[~used.any(axis=1), ZERO] = True
    # A row begins at each used bucket, and behind it.
    begins = used.copy()
    begins[:, 1:] |= used[:, :-1]
    number, place = np.nonzero(begins)
    is_last = np.append(np.diff(number) > 0, True)
    end = np.where(is_last, len(edges()) - 1, np.append(place[1:], 0))
    table = np.empty([len(number), 3], np.float32)
    table[:, 0] = edges()[place]
    table[:, 1] = edges()[end]
    table[:, 2] = finite[number, place]
    # The row behind the last used bucket is no part of the histogram.
    is_inside = ~is_last | used[number, place]
    lengths = np.bincount(number[is_inside], minlength=len(finite))
    ends = np.cumsum(lengths)
    table = table[is_inside]
    starts = ends - lengths
    return [table[a:b] for a, b in zip(starts, ends, strict=True)]
