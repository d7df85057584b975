"""Which points of a time series are still valid, as steps were made again."""

from __future__ import annotations

import numpy as np


def in_order(steps: list[int]) -> list[int]:
    """Returns which of the points, in order of arrival, are still valid.

    A run that was restarted from a checkpoint writes some steps again. As in
    TensorBoard's data server, a step makes all earlier points at or after it
    obsolete.
    """
    kept: list[int] = []
    for index, step in enumerate(steps):
        while kept and steps[kept[-1]] >= step:
            kept.pop()
        kept.append(index)
    return kept


def points_in_order(points: list) -> list:
    """Returns the points `(step, ...)` that are still valid."""
    return [points[i] for i in in_order([p[0] for p in points])]


def not_made_again(points, steps, wall_times) -> list:
    """Returns the points of a family that only some steps have without those
    that a later one of the recorded steps makes obsolete.

    Their own steps cannot tell: a run that was resumed may be over before it
    comes to the next. TensorBoard may have left the step itself out, but where
    it is there it is proof, whatever the clock.

    Args:
        points: `(step, wall time, value)`.
        steps, wall_times: Of the recorded steps, increasing in steps.
    """
    arrived = dict(zip(steps.tolist(), wall_times.tolist(), strict=True))
    latest = np.maximum.accumulate(wall_times)
    kept = []
    for point in points:
        step, wall_time, _ = point
        before = np.searchsorted(steps, step, side="right")
        newer = before > 0 and latest[before - 1] > wall_time
        if arrived.get(step) == wall_time or not newer:
            kept.append(point)
    return kept
