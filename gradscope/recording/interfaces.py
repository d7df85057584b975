"""The interfaces of a recorder and of a ring of frames, as protocols.

Steps of TensorFlow 2 append frames to rings on the device, and a `Drain`
fetches them. Steps of a session deliver theirs to a `SessionInbox`, which has a
ring in the host's memory and a drain of its own.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Closable(Protocol):
    """Whatever has a last part of a record to write."""

    def close(self) -> None:
        """Write the rest, and take no more steps; may be called again."""


class Recorder(Closable, Protocol):
    """Takes the steps of one observer, and writes them: a drain or an inbox.

    Both methods may be called from any thread, at any time. A failure to write
    gives one warning, and never an exception.
    """

    def drain(self) -> None:
        """Write all steps taken so far."""


class FrameRing(Protocol):
    """Keeps the last frames until a drain fetches them, in whatever memory."""

    #: Number of frames that it keeps.
    rows: int

    def count_waiting(self) -> int:
        """Count the frames that came since the last `fetch`."""

    def fetch(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Fetch the frames that came since the last call.

        Returns:
            Steps int64 `[n]` and frames float32 `[n, width]`, oldest first, and
            the number of frames that were overwritten before this call.
        """
