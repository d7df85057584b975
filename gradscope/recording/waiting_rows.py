"""Rows that wait for the frame of their step, to be written with it.

They come from rings of their own: forward passes on other replicas, and
histograms, which only some steps have.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from gradscope.recording.interfaces import FrameRing


class WaitingRows:
    """The rows of a ring by step, of which each belongs to one frame.

    A training that goes back makes a step again, maybe before the first frame
    of that step was written: the rows of one step are given to its frames in
    the order in which they were appended.

    Args:
        ring: The ring that has the rows.
    """

    def __init__(self, ring: FrameRing):
        self.ring = ring
        self._rows: dict[int, deque[np.ndarray]] = {}

    def fetch(self) -> int:
        """Fetch the rows of the ring; return how many were lost."""
        steps, rows, lost = self.ring.fetch()
        for step, row in zip(steps.tolist(), rows, strict=True):
            self._rows.setdefault(step, deque()).append(row)
        return lost

    def has(self, step: int) -> bool:
        """Test whether a step has a row."""
        return bool(self._rows.get(step))

    def take(self, step: int) -> np.ndarray | None:
        """Take the oldest row of a step; None without any."""
        waiting = self._rows.get(step)
        return waiting.popleft() if waiting else None

    def forget(self, step: int) -> None:
        """Drop the rows up to a step, whose frames will not come."""
        self._rows = {s: rows for s, rows in self._rows.items() if s > step}
