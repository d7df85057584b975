"""Asks the schedules in a graph that a session runs."""

from __future__ import annotations

import math

import tensorflow as tf

from gradscope.schedule import Schedule
from gradscope.wrapping.sessions.inbox import is_here
from gradscope.wrapping.sessions.session_cells import SessionCounters


class SharedCounters:
    """What all train ops of one optimizer in one graph have in common."""

    def __init__(self):
        self.cells = SessionCounters()
        #: How many steps there were.
        self.count = self.cells.new()
        #: Whether the host takes steps: -1 where it was not asked yet.
        self.open = self.cells.new()


class SessionGate:
    """Decides whether one train op's step is recorded.

    An optimizer with several train ops for parts of its variables is due for
    each part, at its first step since one that was: where two parts take
    turns, every tenth step is always the same part's.

    Args:
        shared: The cells.
        options: The arguments of `wrap`.
        given: The global step before the update, int64 scalar, or None for a
            count of our own.

    Attributes:
        step: int64 scalar.
        due: Whether the step is recorded, bool scalar.
        histograms_due: Whether its histograms are, if it is recorded.
    """

    def __init__(self, shared: SharedCounters, options, given):
        self._shared = shared
        self._cells = shared.cells
        self._wanted = [
            _Wanted(self._cells, options.schedule),
            _Wanted(self._cells, options.histograms),
        ]
        self._given = given
        keys = [shared.count, shared.open]
        keys += [key for wanted in self._wanted for key in wanted.keys]
        held = self._cells.read(keys)
        count = tf.maximum(held[shared.count], 0)
        self.step = count if given is None else given
        recorded, self.histograms_due = (
            wanted.due(self.step, held) for wanted in self._wanted
        )
        self._open = held[shared.open]
        self._open = tf.cond(
            recorded & (self._open < 0),
            lambda: tf.cast(is_here(), tf.int64),
            lambda: tf.identity(held[shared.open]),
        )
        self.due = recorded & (self._open > 0)

    def passed(self, delivered: tf.Tensor) -> tf.Operation:
        """Returns the op that remembers the step, after it.

        Args:
            delivered: What the host said: 1 if it takes more steps, 0 if not,
                -1 where it was not asked.
        """
        news = {
            self._shared.open: tf.where(delivered < 0, self._open, delivered)
        }
        if self._given is None:
            news[self._shared.count] = self.step + 1
        for wanted in self._wanted:
            news.update(wanted.news)
        return self._cells.write(news)


class _Wanted:
    """One schedule, asked for one train op.

    Attributes:
        keys: Of its cells.
        news: What to write to them after the step; set by `due`.
    """

    def __init__(self, cells: SessionCounters, schedule: Schedule):
        self._schedule = schedule
        self._last = cells.new()
        self.keys = [self._last]
        self.news: dict[int, tf.Tensor] = {}
        if math.isfinite(schedule.seconds):
            self._asked_at = cells.new()
            self.keys.append(self._asked_at)

    def due(self, step: tf.Tensor, held: dict[int, tf.Tensor]) -> tf.Tensor:
        last = held[self._last]
        # Also after a checkpoint of an earlier step was restored.
        is_first = (last < 0) | (step <= last)
        due = tf.where(
            is_first,
            self._schedule.due(step),
            self._schedule.due_since(last, step),
        )
        self.news = {self._last: tf.where(due | is_first, step, last)}
        if len(self.keys) == 1:
            return due
        asked_at = held[self._asked_at]
        now = tf.cast(tf.timestamp() * 1e6, tf.int64)
        pause = int(self._schedule.seconds * 1e6)
        over = (asked_at < 0) | (now - asked_at >= pause)
        self.news[self._asked_at] = tf.where(over, now, asked_at)
        return due | over
