"""The gate decides which steps are recorded in a graph that a session runs."""

from __future__ import annotations

import math

import tensorflow as tf

from gradscope.schedule import Schedule
from gradscope.wrapping.sessions.inbox import is_in_building_process
from gradscope.wrapping.sessions.session_counters import SessionCounters


class SharedCounters:
    """The counters that all train ops of one optimizer in one graph share."""

    def __init__(self) -> None:
        self.counters = SessionCounters()
        #: The number of steps.
        self.count = self.counters.new()
        #: Whether the host takes steps: 1, 0, or -1 before it was asked.
        self.open = self.counters.new()


class SessionGate:
    """Decides whether one train op's step is recorded.

    An optimizer with train ops for subsets of its variables is due for each
    subset, at its first step since a step that was due. With two subsets in
    turn, every tenth step would always be of the same subset.

    Args:
        shared: The counters.
        options: The arguments of `wrap`.
        global_step: The global step before the update, int64 scalar; None to
            count steps here.

    Attributes:
        step: int64 scalar.
        due: Whether the step is recorded, bool scalar.
        histograms_due: Whether its histograms are, if the step is recorded.
    """

    def __init__(self, shared: SharedCounters, options, global_step):
        self._shared = shared
        self._counters = shared.counters
        self._schedules = [
            _ScheduleInGraph(self._counters, options.schedule),
            _ScheduleInGraph(self._counters, options.histograms),
        ]
        self._global_step = global_step
        keys = [shared.count, shared.open]
        keys += [key for schedule in self._schedules for key in schedule.keys]
        values = self._counters.read(keys)
        # A counter that was never written reads as -1.
        count = tf.maximum(values[shared.count], 0)
        self.step = count if global_step is None else global_step
        recorded, self.histograms_due = (
            schedule.due(self.step, values) for schedule in self._schedules
        )
        self._open = values[shared.open]
        # Asked once, at the first step that is due, since it looks for files.
        self._open = tf.cond(
            recorded & (self._open < 0),
            lambda: tf.cast(is_in_building_process(), tf.int64),
            lambda: tf.identity(values[shared.open]),
        )
        self.due = recorded & (self._open > 0)

    def remember_step(self, delivered: tf.Tensor) -> tf.Operation:
        """Add the op that remembers the step, after the step.

        Args:
            delivered: The host's answer: 1 if it takes further steps, 0 if not,
                -1 if it was not asked.
        """
        values = {
            self._shared.open: tf.where(delivered < 0, self._open, delivered)
        }
        if self._global_step is None:
            values[self._shared.count] = self.step + 1
        for schedule in self._schedules:
            values.update(schedule.updates)
        return self._counters.write(values)


class _ScheduleInGraph:
    """One schedule of one train op.

    Attributes:
        keys: Keys of its counters.
        updates: Values of the counters after the step; set by `due`.
    """

    def __init__(self, counters: SessionCounters, schedule: Schedule):
        self._schedule = schedule
        self._last_step = counters.new()
        self.keys = [self._last_step]
        self.updates: dict[int, tf.Tensor] = {}
        if math.isfinite(schedule.seconds):
            self._asked_at = counters.new()
            self.keys.append(self._asked_at)

    def due(self, step: tf.Tensor, values: dict[int, tf.Tensor]) -> tf.Tensor:
        """Return whether a step is due, as a bool scalar.

        Args:
            step: int64 scalar.
            values: The counters before the step, by key.
        """
        last = values[self._last_step]
        # A smaller step follows the restore of an earlier checkpoint.
        is_first = (last < 0) | (step <= last)
        due = tf.where(
            is_first,
            self._schedule.due(step),
            self._schedule.due_since(last, step),
        )
        self.updates = {self._last_step: tf.where(due | is_first, step, last)}
        if len(self.keys) == 1:
            return due
        asked_at = values[self._asked_at]
        # Counters hold whole numbers, so times are in microseconds.
        now = tf.cast(tf.timestamp() * 1e6, tf.int64)
        pause = int(self._schedule.seconds * 1e6)
        over = (asked_at < 0) | (now - asked_at >= pause)
        self.updates[self._asked_at] = tf.where(over, now, asked_at)
        return due | over
