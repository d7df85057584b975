"""Asks the schedules, inside the traced step and on the host."""

from __future__ import annotations

import math
import time

import numpy as np
import tensorflow as tf

from gradscope import state
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
        self._asked_at = dict.fromkeys(self._schedules, time.monotonic())
        self._closed = False
        self._open = state.variable(np.array(True), device)
        self._requested = {
            name: state.variable(np.array(True), device)
            for name, schedule in self._schedules.items()
            if math.isfinite(schedule.seconds)
        }

    @property
    def by_time(self) -> bool:
        """Whether a schedule goes by the clock and needs `tick`."""
        return bool(self._requested)

    def due(self, name: str, step: tf.Tensor) -> tf.Tensor:
        """Returns whether `"record"` or `"histograms"` is due, bool scalar.

        Args:
            name: Which of the two schedules.
            step: int64 scalar.
        """
        due = self._schedules[name].due(step)
        if name in self._requested:
            due = due | self._requested[name]
        return due & self._open

    def due_on_host(self, step: int) -> bool:
        """Returns whether a step is recorded, without asking the device."""
        if self._closed:
            return False
        self.tick()
        requested = self._requested.get("record")
        return bool(self._schedules["record"].due(step)) or (
            requested is not None and bool(state.value(requested))
        )

    def answered(self, name: str) -> None:
        """Adds the ops that take a request by the clock back."""
        if name in self._requested:
            self._requested[name].assign(False)

    def tick(self) -> None:
        """Requests a record when a schedule's seconds are over."""
        now = time.monotonic()
        for name, flag in self._requested.items():
            if now - self._asked_at[name] >= self._schedules[name].seconds:
                self._asked_at[name] = now
                state.assign(flag, True)

    def close(self) -> None:
        """No step is due any more."""
        self._closed = True
        state.assign(self._open, False)
