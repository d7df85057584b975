"""Asks the schedules, inside the traced step and on the host."""

from __future__ import annotations

import math
import time

import numpy as np
import tensorflow as tf

from gradscope.runtime import own_variables
from gradscope.schedule import Schedule


class Gate:
    """Decides whether a step is recorded; can be closed for good.

    A program that was traced while the optimizer was wrapped keeps asking the
    gate after it was unwrapped, so the answer is a variable.

    Args:
        schedule: Steps to record.
        histograms: Of these, steps whose histograms are recorded.
        device: Where the step runs.
    """

    def __init__(self, schedule: Schedule, histograms: Schedule, device: str):
        self._schedules = {"record": schedule, "histograms": histograms}
        self._requested_at = dict.fromkeys(self._schedules, time.monotonic())
        self._closed = False
        self._device = device
        #: Whether steps may still be recorded, a bool variable.
        self.open = own_variables.create(np.array(True), device)
        # The last step that was recorded of each schedule and part.
        self._last_recorded: dict[tuple, tf.Variable] = {}
        self._last_recorded_on_host: dict[tuple, int] = {}
        self._requested = {
            name: own_variables.create(np.array(True), device)
            for name, schedule in self._schedules.items()
            if math.isfinite(schedule.seconds)
        }

    @property
    def by_time(self) -> bool:
        """Whether a schedule goes by the clock and needs `tick`."""
        return bool(self._requested)

    def due(self, name: str, step, subset: tuple | None = None) -> tf.Tensor:
        """Returns whether `"record"` or `"histograms"` is due, bool scalar.

        An optimizer that is called with a part of its variables at a time is
        due for each part, at its first call since a step that was: where two
        parts take turns, every tenth step is always the same part's.

        Args:
            name: Which of the two schedules.
            step: int64 scalar.
            part: The rows of the variables that a call is about, None for all.
        """
        schedule = self._schedules[name]
        if subset is None:
            due = schedule.due(step)
        else:
            due = schedule.due_since(
                tf.identity(self._last_recorded_step(name, subset)), step
            )
        if name in self._requested:
            due = due | self._requested[name]
        return due & self.open

    def due_on_host(self, step: int, subset: tuple | None = None) -> bool:
        """Returns whether a step is recorded, without asking the device."""
        if self._closed:
            return False
        self.tick()
        schedule = self._schedules["record"]
        if subset is None:
            due = schedule.due(step)
        else:
            last = self._last_recorded_on_host.get(subset, -1)
            due = schedule.due_since(last, step)
        requested = self._requested.get("record")
        return bool(due) or (
            requested is not None and bool(own_variables.value(requested))
        )

    def mark_recorded(
        self, name: str, step: tf.Tensor, subset: tuple | None
    ) -> None:
        """Adds the ops that remember that a part's step was recorded."""
        if subset is not None:
            self._last_recorded_step(name, subset).assign(step)

    def mark_recorded_on_host(self, step: int, subset: tuple | None) -> None:
        """As `mark_recorded` of `"record"`, for steps without a graph."""
        if subset is not None:
            self._last_recorded_on_host[subset] = step

    def clear_request(self, name: str) -> None:
        """Adds the ops that take a request by the clock back."""
        if name in self._requested:
            self._requested[name].assign(False)

    def tick(self) -> None:
        """Requests a record when a schedule's seconds are over."""
        now = time.monotonic()
        for name, flag in self._requested.items():
            if now - self._requested_at[name] >= self._schedules[name].seconds:
                self._requested_at[name] = now
                own_variables.assign(flag, True)

    def close(self) -> None:
        """No step is due any more."""
        self._closed = True
        own_variables.assign(self.open, False)

    def _last_recorded_step(self, name: str, subset: tuple) -> tf.Variable:
        if (name, subset) not in self._last_recorded:
            never = np.array(-1, np.int64)
            self._last_recorded[name, subset] = own_variables.create(
                never, self._device
            )
        return self._last_recorded[name, subset]
