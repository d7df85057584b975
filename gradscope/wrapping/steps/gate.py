"""The gate decides which steps are recorded, in a trace and on the host."""

from __future__ import annotations

import math
import time

import numpy as np
import tensorflow as tf

from gradscope.runtime import own_variables
from gradscope.schedule import Schedule


class Gate:
    """Decides whether a step is recorded; can be closed for good.

    A program that was traced while the optimizer was wrapped still asks the
    gate after `unwrap`, so the answer is a variable.

    Args:
        schedule: Steps to record.
        histograms: Of these, steps whose histograms are recorded.
        device: Device of the step.
    """

    def __init__(self, schedule: Schedule, histograms: Schedule, device: str):
        self._schedules = {"record": schedule, "histograms": histograms}
        self._requested_at = dict.fromkeys(self._schedules, time.monotonic())
        self._closed = False
        self._device = device
        #: Whether steps may still be recorded, a bool variable.
        self.open = own_variables.create(np.array(True), device)
        # The last recorded step, by schedule and subset.
        self._last_recorded: dict[tuple, tf.Variable] = {}
        self._last_recorded_on_host: dict[tuple, int] = {}
        self._requested = {
            name: own_variables.create(np.array(True), device)
            for name, schedule in self._schedules.items()
            if math.isfinite(schedule.seconds)
        }

    @property
    def by_time(self) -> bool:
        """Whether a schedule depends on the clock and needs `tick`."""
        return bool(self._requested)

    def due(
        self, name: str, step: tf.Tensor, subset: tuple | None = None
    ) -> tf.Tensor:
        """Return whether `"record"` or `"histograms"` is due, as a bool scalar.

        An optimizer that is called with a subset of its variables at a time is
        due for each subset, at its first call since a step that was due. With
        two subsets in turn, every tenth step would always be of the same
        subset.

        Args:
            name: `"record"` or `"histograms"`.
            step: int64 scalar.
            subset: Rows of the call's variables, None for all.
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
        """Return whether a step is recorded, without a read from the device."""
        if self._closed:
            return False
        self.tick()
        schedule = self._schedules["record"]
        if subset is None:
            due = schedule.due(step)
        else:
            # -1 is before the first step, as of the variable in a graph.
            last = self._last_recorded_on_host.get(subset, -1)
            due = schedule.due_since(last, step)
        requested = self._requested.get("record")
        return bool(due) or (
            requested is not None and bool(own_variables.value(requested))
        )

    def mark_recorded(
        self, name: str, step: tf.Tensor, subset: tuple | None
    ) -> None:
        """Add the ops that remember the last recorded step of a subset."""
        if subset is not None:
            self._last_recorded_step(name, subset).assign(step)

    def mark_recorded_on_host(self, step: int, subset: tuple | None) -> None:
        """Remember the last recorded step of a subset, for steps without a
        graph."""
        if subset is not None:
            self._last_recorded_on_host[subset] = step

    def clear_request(self, name: str) -> None:
        """Add the ops that clear a request by the clock."""
        if name in self._requested:
            self._requested[name].assign(False)

    def tick(self) -> None:
        """Request a record when a schedule's seconds are over."""
        now = time.monotonic()
        for name, flag in self._requested.items():
            if now - self._requested_at[name] >= self._schedules[name].seconds:
                self._requested_at[name] = now
                own_variables.assign(flag, True)

    def close(self) -> None:
        """Close the gate: no step is due any more."""
        self._closed = True
        own_variables.assign(self.open, False)

    def _last_recorded_step(self, name: str, subset: tuple) -> tf.Variable:
        if (name, subset) not in self._last_recorded:
            never = np.array(-1, np.int64)
            self._last_recorded[name, subset] = own_variables.create(
                never, self._device
            )
        return self._last_recorded[name, subset]
