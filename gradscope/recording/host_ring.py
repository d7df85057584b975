"""A ring in the host's memory, for steps that hand over what they measured.

It has the drain's side of `recorder.Ring`. A `tf.compat.v1.Session` has no
place on the device for a ring: each session has variables of its own, which
its user would have to initialise, and only the user's code can fetch them.
"""

from __future__ import annotations

import collections
import threading

import numpy as np

from gradscope.recording import device_ring


def ring(width: int) -> HostRing:
    """Returns a ring for rows of `width` numbers within `RING_BYTES`."""
    rows = min(
        device_ring.MAX_ROWS,
        max(device_ring.MIN_ROWS, device_ring.RING_BYTES // (4 * width)),
    )
    return HostRing(rows)


class HostRing:
    """The last rows that were put, and how many were lost.

    All methods may be called from any thread.

    Args:
        rows: How many rows are kept.
    """

    def __init__(self, rows: int):
        self.rows = rows
        self._waiting: collections.deque = collections.deque()
        self._parts: set = set()  # of the newest row
        self._lost = 0
        self._lock = threading.Lock()

    def put(self, step: int, row: np.ndarray, part: int, combine) -> bool:
        """Keeps a row, or combines it with another part's of the same step.

        Args:
            step: Of the row.
            row: float32 `[width]`.
            part: Number of the train op that it is from. Several may be run
                at once, and are then one step.
            combine: Returns one row of two, the older one first.

        Returns:
            Whether it is a row of its own.
        """
        with self._lock:
            newest = self._waiting[-1] if self._waiting else None
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

    def waiting(self) -> int:
        """Returns how many rows were put since the last `fetch`."""
        return len(self._waiting)

    def fetch(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Returns what was put since the last call, oldest first.

        Returns:
            Steps int64 `[n]`, rows float32 `[n, width]`, and how many rows
            were lost.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, collections.deque()
            lost, self._lost = self._lost, 0
        if not waiting:
            return np.zeros(0, np.int64), np.zeros([0, 0], np.float32), lost
        steps, rows = zip(*waiting, strict=True)
        return np.array(steps, np.int64), np.stack(rows), lost
