"""A ring of the last frames in the memory of the host.

Steps of a `tf.compat.v1.Session` cannot use a ring on the device: each session
has its own variables, which the user's code would have to initialize and fetch.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

import numpy as np

from gradscope.recording import device_ring

_Frames = collections.deque[tuple[int, np.ndarray]]


def ring(width: int) -> HostRing:
    """Create a ring for rows of `width` numbers within `RING_BYTES`."""
    rows = min(
        device_ring.MAX_ROWS,
        max(device_ring.MIN_ROWS, device_ring.RING_BYTES // (4 * width)),
    )
    return HostRing(rows)


class HostRing:
    """The last rows that were put, and a count of lost rows.

    All methods may be called from any thread.

    Args:
        rows: Number of rows.
    """

    def __init__(self, rows: int):
        self.rows = rows
        self._waiting: collections.deque[tuple[int, np.ndarray]] = (
            collections.deque()
        )
        self._parts: set[int] = set()  # of the newest row
        self._lost = 0
        self._lock = threading.Lock()

    def put(
        self,
        step: int,
        row: np.ndarray,
        part: int,
        combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> bool:
        """Add a row, or combine it with another part's row of the same step.

        Args:
            step: Number of the step.
            row: float32 `[width]`.
            part: Number of the train op that measured the row. If several train
                ops run at once, they are parts of one step.
            combine: Combines two rows, the older one first.

        Returns:
            Whether the row was added as a new one.
        """
        with self._lock:
            newest = self._waiting[-1] if self._waiting else None
            # A part that comes a second time under one number is a step of its
            # own.
            if newest and newest[0] == step and part not in self._parts:
                self._waiting[-1] = (step, combine(newest[1], row))
                self._parts.add(part)
                return False
            self._waiting.append((step, row))
            self._parts = {part}
            if len(self._waiting) > self.rows:
                self._waiting.popleft()
                self._lost += 1
            return True

    def count_waiting(self) -> int:
        """Count the rows that were put since the last `fetch`."""
        return len(self._waiting)

    def fetch(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Fetch the rows that were put since the last call.

        Returns:
            Steps int64 `[n]` and rows float32 `[n, width]`, oldest first, and
            the number of lost rows.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, collections.deque()
            lost, self._lost = self._lost, 0
        if not waiting:
            return np.zeros(0, np.int64), np.zeros([0, 0], np.float32), lost
        steps, rows = zip(*waiting, strict=True)
        return np.array(steps, np.int64), np.stack(rows), lost
