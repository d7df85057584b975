"""Differences of the gradients of two runs, estimated from their sketches.

Two gradients of the same norm may point in different directions. So in steps
with histograms a record also has a sketch, sixteen sums of each gradient; see
`gradscope.measuring.gradient_sketch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradscope.comparing.matching import Matching
    from gradscope.reading.record import Record


def sketches(
    a: Record, b: Record, matching: Matching
) -> tuple[np.ndarray, np.ndarray]:
    """Read the sketches of two runs in the M steps in which both have them.

    Args:
        a: Record of the first run.
        b: Record of the second run.
        matching: The pairs of the V variables that both runs have.

    Returns:
        The steps, int64 `[M]`, and squared norms, float64 `[2, M, V]`: of the
        estimated difference of the two gradients, and of the longer gradient.
        NaN where a run has no sketch, as of a sparse gradient.
    """
    (steps_a, sums_a), (steps_b, sums_b) = (
        record.occasional("sketch") for record in (a, b)
    )
    steps, at_a, at_b = np.intersect1d(steps_a, steps_b, return_indices=True)
    rows = np.array(matching.pairs, int).reshape(-1, 2)
    sums_a = sums_a[at_a][:, rows[:, 0]].astype(np.float64)
    sums_b = sums_b[at_b][:, rows[:, 1]].astype(np.float64)
    difference, squares_a, squares_b = (
        np.sum(sums**2, axis=2) for sums in (sums_a - sums_b, sums_a, sums_b)
    )
    # Missing and sparse gradients have zeros in place of a sketch.
    both_sketched = (squares_a > 0) & (squares_b > 0)
    squares = np.stack([difference, np.maximum(squares_a, squares_b)])
    return steps, np.where(both_sketched, squares, np.nan)


def relative(
    squares: np.ndarray, owners: Sequence[int] | None = None
) -> np.ndarray:
    """Compute `|a - b| / max(|a|, |b|)` of gradients, float64 `[M, V]`.

    At most 2; NaN where a run has no sketch.

    Args:
        squares: The squared norms that `sketches` returns.
        owners: The index of each variable's layer, which adds up the variables
            of a layer; the result is then `[M, L]`.
    """
    if owners is not None:
        count = max(owners, default=-1) + 1
        sums = np.zeros((*squares.shape[:-1], count))
        sketched = np.zeros(sums.shape[1:], bool)
        # In place, since the product with a matrix of layers and variables
        # would need gigabytes for 20,000 of each.
        owners = np.asarray(owners, int)
        np.add.at(sums, (..., owners), np.nan_to_num(squares))
        np.logical_or.at(sketched, (..., owners), np.isfinite(squares[1]))
        squares = np.where(sketched, sums, np.nan)
    with np.errstate(all="ignore"):
        # Two gradients cannot differ by more, but an estimate can.
        return np.minimum(np.sqrt(squares[0] / squares[1]), 2.0)
