"""How far the gradients themselves of two runs are apart, by their sketches.

Norms do not tell two gradients apart that are as long and point elsewhere. In
steps with histograms a record also has sixteen sums of each gradient; see
`gradscope.measuring.gradient_sketch`.
"""

from __future__ import annotations

import numpy as np

from gradscope.comparing.matching import Matching


def sketches(a, b, matching: Matching) -> tuple[np.ndarray, np.ndarray]:
    """Returns the steps in which both runs have sketches, int64 `[M]`, and
    squares, float64 `[2, M, V]`: of the estimated difference of the gradients
    of the V variables that both have, and of the longer one of the two.

    NaN where a run has no sketch, as of a sparse gradient.

    Args:
        a: Record of one run, b: of the other.
        matching: Which variables belong together.
    """
    (steps_a, of_a), (steps_b, of_b) = (r.occasional("sketch") for r in (a, b))
    steps, at_a, at_b = np.intersect1d(steps_a, steps_b, return_indices=True)
    rows = np.array(matching.pairs, int).reshape(-1, 2)
    one = of_a[at_a][:, rows[:, 0]].astype(np.float64)
    other = of_b[at_b][:, rows[:, 1]].astype(np.float64)
    squares = [np.sum(s**2, axis=2) for s in (one - other, one, other)]
    known = (squares[1] > 0) & (squares[2] > 0)
    far, longer = squares[0], np.maximum(squares[1], squares[2])
    return steps, np.where(known, np.stack([far, longer]), np.nan)


def relative(squares: np.ndarray, owners=None) -> np.ndarray:
    """Returns `|a - b| / max(|a|, |b|)` of gradients, float64 `[M, V]`, at
    most 2; NaN where it is not known.

    Args:
        squares: As of `sketches`.
        owners: For each variable the number of its layer, to put those of a
            layer together: `[M, L]`.
    """
    if owners is not None:
        count = max(owners, default=-1) + 1
        sums = np.zeros((*squares.shape[:-1], count))
        known = np.zeros(sums.shape[1:], bool)
        # (A table of layers and variables has 6 GB where there are 20,000.)
        owners = np.asarray(owners, int)
        np.add.at(sums, (..., owners), np.nan_to_num(squares))
        np.logical_or.at(known, (..., owners), np.isfinite(squares[1]))
        squares = np.where(known, sums, np.nan)
    with np.errstate(all="ignore"):
        return np.minimum(np.sqrt(squares[0] / squares[1]), 2.0)
