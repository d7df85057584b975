"""Tells steps that a training makes again from frames that come late.

A frame of an early step may be late, since another thread appended it after
others had gone on. Or the training went back, as with a checkpoint that is
restored: then it makes all steps again that were due before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from gradscope.format.step_layout import is_skip
from gradscope.recording.frame_order import Frame

#: Steps that are remembered, to know those that a training makes again.
_MOST_STEPS = 4096

#: More frames in a row than threads can have left behind.
_MOST_LATE = 32


class Timeline:
    """The recorded steps since the training last went back.

    Args:
        by_time: Whether steps are due by time, so that others are due again.

    Attributes:
        by_time: As above.
        last_step: The last step; -1 without any.
    """

    def __init__(self, *, by_time: bool = False):
        self.by_time = by_time
        self.last_step = -1
        self._last_is_skip = False
        # Without those that a loss scale skipped, which are due by their count.
        self._steps: deque[int] = deque(maxlen=_MOST_STEPS)

    def split(
        self,
        frames: Sequence[Frame],
        *,
        waited: int = 0,
        final: bool = True,
    ) -> tuple[list[list[Frame]], list[Frame]]:
        """Split the ring's next frames where the training went back.

        Args:
            frames: The frames, as they were appended, consecutive ones of
                different steps.
            waited: How many of them have waited since an earlier call.
            final: Whether none may wait.

        Returns:
            The frames that go on, which may be none, and those of each time
            that the training went back; and frames that wait, since those that
            follow will tell whether they are late.
        """
        parts: list[list[Frame]] = [[]]
        index = 0
        while index < len(frames):
            end = index + 1
            if self.is_early(frames[index][0]):
                end = self._end_of_early(frames, index)
                is_last = end == len(frames)
                if is_last and not final and index >= waited:
                    break
                early = [step for step, _ in frames[index:end]]
                goes_on = not is_last and frames[end][0] > self.last_step
                if self.by_time or self._are_made_again(early, goes_on):
                    parts.append([])
                    self._go_back(early[0])
                    end = index + 1
            parts[-1] += frames[index:end]
            self._note(frames[index:end])
            index = end
        return parts, list(frames[index:])

    def are_late(self, steps: Iterable[int]) -> bool:
        """Tell whether the early ones of some steps are late: not written in
        time, and not made again.

        Args:
            steps: Steps of several rings, in any order.
        """
        steps = sorted(set(steps))
        early = [step for step in steps if self.is_early(step)]
        if not early or self.by_time:
            return False
        return not self._are_made_again(early, len(early) < len(steps))

    def has_made(self, step: int) -> bool:
        """Test whether a step was made, and not only tried."""
        return step in self._steps

    def is_early(self, step: int) -> bool:
        """Test whether a step neither follows the last one nor is a skipped try
        of it, made after all."""
        is_again = step == self.last_step and self._last_is_skip
        return step <= self.last_step and not is_again

    def steps_since(self, first: int) -> frozenset[int]:
        """The recorded steps from `first` on, of the last 4,096."""
        return frozenset(step for step in self._steps if step >= first)

    def note(self, step: int, row: np.ndarray) -> None:
        """Note a frame that was written."""
        if self.is_early(step):
            self._go_back(step)
        self._note([(step, row)])

    def _end_of_early(self, frames: Sequence[Frame], begin: int) -> int:
        """Find the end of rising frames that are not after the last step."""
        end = begin + 1
        while (
            end < len(frames)
            and frames[end - 1][0] < frames[end][0] <= self.last_step
        ):
            end += 1
        return end

    def _are_made_again(self, early: list[int], goes_on: bool) -> bool:
        """Tell whether early steps, which rise, are made again, or late.

        Args:
            early: The steps.
            goes_on: Whether the frame behind them is after the last step.
        """
        if len(early) > _MOST_LATE:
            return True
        end = self.last_step if goes_on else early[-1]
        if not {s for s in self._steps if early[0] <= s <= end} <= {*early}:
            return False
        return (
            goes_on
            or early[0] in self._steps
            or all(step > early[0] for step in self._steps)
        )

    def _go_back(self, step: int) -> None:
        self.last_step, self._last_is_skip = step - 1, False
        earlier = [s for s in self._steps if s < step]
        self._steps = deque(earlier, maxlen=_MOST_STEPS)

    def _note(self, frames: Sequence[Frame]) -> None:
        for step, row in frames:
            skipped = is_skip(row)
            if not skipped:
                self._steps.append(step)
            if step >= self.last_step:
                self.last_step, self._last_is_skip = step, skipped
