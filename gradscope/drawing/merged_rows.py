"""Chooses the cells that are drawn where many share a place, as the page does.

Of rows that share a line it is the same row from the first step to the last.
The most abnormal one of each step would jump between layers, and show a pattern
that no layer has.
"""

from __future__ import annotations

import numpy as np

from gradscope.drawing.grid import Grid, Kind

_WEIGHTS = {
    Kind.ABSENT: 0,
    Kind.MISSING: 200,
    Kind.ZERO: 300,
    Kind.NAN: 400,
    Kind.INFINITE: 500,
}

#: Weight of a number beyond the scale; of one within it the largest is below.
_BEYOND = 150

#: What is drawn whichever row has it.
_LOUD = _WEIGHTS[Kind.NAN]


def weights_of(grid: Grid) -> np.ndarray:
    """Compute how much each cell is worth to be seen, `[T, R]`.

    Among numbers it is the distance from the middle of the scale: one NaN in
    5000 steps must not be hidden. A cell without a record has 0.
    """
    distances = np.abs(np.nan_to_num(grid.positions, nan=0.5) - 0.5)
    weights = 1 + 255 * np.minimum(distances, 0.5)
    weights[distances > 0.5 + 1e-6] = _BEYOND
    for kind, weight in _WEIGHTS.items():
        weights[grid.kinds == kind] = weight
    return weights


def lead_of(weights: np.ndarray, sizes: np.ndarray) -> int:
    """Choose the row that stands for some.

    It is one that is no number in most steps (the worst of these), or else the
    largest.

    Args:
        weights: Result of `weights_of` for these rows, `[T, R]`.
        sizes: Weights or units of each row, `[R]`.
    """
    is_special = weights >= _BEYOND
    recorded = (weights > 0).sum(axis=0)
    abnormality = np.where(
        2 * is_special.sum(axis=0) > recorded,
        (weights * is_special).sum(axis=0) / np.maximum(recorded, 1),
        0,
    )
    abnormality[recorded == 0] = -1
    return max(
        range(len(sizes)), key=lambda row: (abnormality[row], sizes[row])
    )


def drawn_rows(weights: np.ndarray, lead: int) -> np.ndarray:
    """Choose the row that is drawn in each step, `[T]`.

    It is the lead, unless another is NaN or infinite there, or the lead was not
    recorded.

    Args:
        weights: Result of `weights_of` for the rows of a line, `[T, R]`.
        lead: Result of `lead_of`.
    """
    first_recorded = (weights > 0).argmax(axis=1)
    rows = np.where(weights[:, lead] > 0, lead, first_recorded)
    is_loud = weights.max(axis=1) >= _LOUD
    return np.where(is_loud, weights.argmax(axis=1), rows)
