"""Selects the points of a time series that no later point replaces.

A run that was restarted from a checkpoint makes some steps again.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def valid_indices(steps: list[int]) -> list[int]:
    """Select the indices of valid points from the steps in order of writing.

    As in TensorBoard's data server, a step makes all points obsolete that were
    written before and have the same or a later step.

    Examples:
        A run ended after step 3 and was restarted from a checkpoint of step 2:
        steps 2 and 3 were made again.

        >>> valid_indices([0, 1, 2, 3, 2, 3, 4])
        [0, 1, 4, 5, 6]
    """
    valid: list[int] = []
    for index, step in enumerate(steps):
        while valid and steps[valid[-1]] >= step:
            valid.pop()
        valid.append(index)
    return valid


def valid_points(points: list[Any]) -> list[Any]:
    """Select the valid ones of points `(step, ...)` in order of writing."""
    return [points[i] for i in valid_indices([p[0] for p in points])]


def valid_occasional_points(
    points: list[Any], steps: np.ndarray, wall_times: np.ndarray
) -> list[Any]:
    """Select the valid points of a family that only some steps have.

    A point is obsolete if a recorded step at or before it was written later.
    The steps of the points alone do not suffice: a resumed run may end before
    the family's next point. A point with the wall time of its own recorded
    step is always valid, even if the clock was set back; TensorBoard may have
    left that step out of its sample.

    Args:
        points: `(step, wall time, value)`.
        steps, wall_times: Of the recorded steps, with increasing steps.
    """
    time_of_step = dict(zip(steps.tolist(), wall_times.tolist(), strict=True))
    latest = np.maximum.accumulate(wall_times)
    valid = []
    for point in points:
        step, wall_time, _ = point
        count = np.searchsorted(steps, step, side="right")
        newer = count > 0 and latest[count - 1] > wall_time
        if time_of_step.get(step) == wall_time or not newer:
            valid.append(point)
    return valid
