"""Schedules: which steps are recorded.

A schedule accepts a step number as a tensor, inside of the traced step; as an
`int`, on the host; and as a numpy array, in tests. So `due` uses operators
only.

    Every(10)                  # each of the first 50 steps, then every 10th
    Every(100, dense=0)        # 0, 100, 200, ...
    At([0, 1, 10, 1000])       # just these
    Thinning(100)              # 0, 100, 200, ..., and fewer as a run grows
    Seconds(30)                # the first step after every 30 seconds
    Every(100) | At([4242])    # the steps of both
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    #: A step number, and whether a schedule is due.
    Step: TypeAlias = int | np.ndarray | tf.Tensor
    Flag: TypeAlias = bool | np.ndarray | tf.Tensor

#: Many faults show in the first steps, and TensorBoard's sampling drops points
#: of the start first.
DENSE_START = 50

#: Steps from one recorded step to the next by default, after the first ones.
EVERY = 10


class Schedule:
    """Decides which steps are recorded; `a | b` is due when either is.

    A step is the optimizer's step number before its update; the first is 0.

    Attributes:
        seconds: For schedules by time, the seconds between two records;
            infinite for schedules by step.

    Examples:
        >>> schedule = Every(100, dense=0) | At([42])
        >>> [step for step in range(250) if schedule.due(step)]
        [0, 42, 100, 200]
    """

    seconds: float = math.inf

    def due(self, step: Step) -> Flag:
        """Return whether `step` is due."""
        raise NotImplementedError

    def due_since(self, last: Step, step: Step) -> Flag:
        """Return whether any step after `last`, up to `step`, is due.

        Args:
            last: A step before `step`, or -1.
            step: The last step that is asked about.

        Examples:
            >>> schedule = Every(10, dense=0)
            >>> schedule.due_since(1, 9), schedule.due_since(1, 10)
            (False, True)
        """
        raise NotImplementedError

    def __or__(self, other: Schedule) -> Schedule:
        if not isinstance(other, Schedule):
            return NotImplemented
        return Either(self, other)


@dataclasses.dataclass(frozen=True)
class Every(Schedule):
    """Each of the first `dense` steps, then every `steps`-th step.

    Examples:
        >>> [step for step in range(25) if Every(10, dense=3).due(step)]
        [0, 1, 2, 10, 20]
    """

    steps: int
    dense: int = DENSE_START

    def __post_init__(self) -> None:
        _check_integer("steps", self.steps, at_least=1)
        _check_integer("dense", self.dense, at_least=0)

    def due(self, step: Step) -> Flag:
        # `== 0` would compare objects where a program of TensorFlow 1 has
        # turned off the equality of tensors.
        return (step % self.steps < 1) | (step < self.dense)

    def due_since(self, last: Step, step: Step) -> Flag:
        return (step // self.steps > last // self.steps) | (
            last + 1 < self.dense
        )


@dataclasses.dataclass(frozen=True)
class Thinning(Schedule):
    """Every `steps`-th step at first, and fewer as a run grows.

    The distance between due steps doubles after the first `first` of them, and
    from then on after each half of that number. So a million steps have 240
    histograms by default; TensorBoard keeps 100 or 500 of a variable.

    Examples:
        >>> [s for s in range(500) if Thinning(10, first=4).due(s)]
        [0, 10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480]
    """

    steps: int
    first: int = 50

    def __post_init__(self) -> None:
        _check_integer("steps", self.steps, at_least=1)
        _check_integer("first", self.first, at_least=2)
        if self.first % 2:
            raise ValueError(
                f"`first` must be an even number, got {self.first!r}: the "
                "distance doubles after each half of it."
            )

    def due(self, step: Step) -> Flag:
        return step % self._distance(step) < 1

    def due_since(self, last: Step, step: Step) -> Flag:
        return step - step % self._distance(step) > last

    def _distance(self, step: Step) -> Step:
        """Return `steps` times the next power of two above
        `step / (first * steps)`."""
        bits = step // (self.first * self.steps)
        for shift in (1, 2, 4, 8, 16):  # sets all bits below the highest one
            bits = bits | (bits // 2**shift)
        return self.steps * (bits + 1)


@dataclasses.dataclass(frozen=True)
class At(Schedule):
    """Exactly the steps of a list.

    Examples:
        >>> [step for step in range(1000) if At([7, 300]).due(step)]
        [7, 300]
    """

    steps: tuple[int, ...]

    def __init__(self, steps: Iterable[int]):
        steps = tuple(steps)
        for step in steps:
            _check_integer("steps", step, at_least=0)
        object.__setattr__(self, "steps", tuple(map(int, steps)))

    def due(self, step: Step) -> Flag:
        due = step < 0
        for first, last in self._ranges:
            due = due | ((step >= first) & (step <= last))
        return due

    def due_since(self, last: Step, step: Step) -> Flag:
        due = step < 0
        for first, end in self._ranges:
            due = due | ((step >= first) & (last < end))
        return due

    @functools.cached_property
    def _ranges(self) -> list[list[int]]:
        # Ranges of consecutive steps need four ops each, instead of ops for
        # each step.
        ranges: list[list[int]] = []
        for step in sorted(set(self.steps)):
            if ranges and step == ranges[-1][1] + 1:
                ranges[-1][1] = step
            else:
                ranges.append([step, step])
        return ranges


@dataclasses.dataclass(frozen=True)
class Seconds(Schedule):
    """The first step, then the first step after every `seconds` seconds.

    The clock is read on the host between steps. For programs that run several
    steps without the host (`steps_per_execution`, or a loop inside one
    `tf.function`), a background thread reads the clock twice a second.

    Examples:
        >>> (Every(100) | Seconds(30)).seconds
        30
    """

    seconds: float

    def __post_init__(self) -> None:
        try:
            valid = self.seconds > 0 and math.isfinite(self.seconds)
        except TypeError:
            valid = False
        if not valid:
            raise ValueError(
                f"`seconds` must be a positive number, got {self.seconds!r}."
            )

    def due(self, step: Step) -> Flag:
        return step < 0

    def due_since(self, last: Step, step: Step) -> Flag:
        return step < 0


@dataclasses.dataclass(frozen=True)
class Either(Schedule):
    """Due when either of two schedules is."""

    first: Schedule
    second: Schedule

    @property
    def seconds(self) -> float:  # type: ignore[override]
        return min(self.first.seconds, self.second.seconds)

    def due(self, step: Step) -> Flag:
        return self.first.due(step) | self.second.due(step)

    def due_since(self, last: Step, step: Step) -> Flag:
        return self.first.due_since(last, step) | self.second.due_since(
            last, step
        )


NEVER = At([])


def schedule_of(
    value: Schedule | int, name: str, *, dense: int = DENSE_START
) -> Schedule:
    """Convert a user's argument to a schedule.

    Args:
        value: A `Schedule`, or a number of steps for `Every(value, dense)`.
        name: The argument's name, for the error.
        dense: Length of the dense start for a number.

    Raises:
        ValueError: If the value is neither a schedule nor a positive integer.

    Examples:
        >>> schedule_of(10, "every")
        Every(steps=10, dense=50)
    """
    if isinstance(value, Schedule):
        return value
    _check_integer(name, value, at_least=1)
    return Every(operator.index(value), dense=dense)


def _check_integer(name: str, value: SupportsIndex, *, at_least: int) -> None:
    try:
        valid = (
            not isinstance(value, bool) and operator.index(value) >= at_least
        )
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(
            f"`{name}` must be a whole number of at least {at_least} or a "
            f"gradscope.schedule.Schedule, got {value!r}. To record nothing, "
            "do not wrap the optimizer."
        )


#: The steps with histograms by default.
HISTOGRAMS = Thinning(100)
