"""Counts over many steps which units are dead or always on.

A *unit* is an index of an activation's last axis: a neuron of a dense layer,
or a channel of a convolution at all its positions. A ReLU unit is *dead* if it
was zero for each example of a window of examples. A single batch is not enough:
a healthy unit is zero for many examples.

For each recorded step, the device measures for which share of the examples a
unit was above zero. This module counts over steps, on the host.
"""

from __future__ import annotations

import numpy as np

from gradscope.format.rows import DIES, RISES, Activation
from gradscope.format.schema import UNIT_COLUMNS

#: The first map of units is made after a window of examples, and the next ones
#: after this share of a window: with a window of 1000 examples and batches of
#: 32, at each fourth recorded step.
_SHARE = 1 / 8

#: A map is made at the earliest after this share of all steps so far, so that
#: the number of maps grows with the logarithm of the steps.
_PAUSE = 1 / 64

#: Bytes that maps may add to each recorded step on average. The map of a large
#: model takes more bytes than all other statistics, so it is made less often.
_BYTES = 2**10


class UnitHistory:
    """Counts for how many examples each unit of a run was zero or on.

    Args:
        activations: The record's rows, in order.
        window: Number of examples for which a dead unit is zero.
    """

    def __init__(self, activations: tuple[Activation, ...], window: int):
        self._activations = activations
        self._window = window
        counted = [a for a in activations if a.is_counted]
        rows = [row for row, a in enumerate(activations) if a.is_counted]
        # The row of each unit's activation.
        self._rows = _of_units(counted, rows)
        count = len(self._rows)
        self._dies = _of_units(counted, [a.kind in DIES for a in counted])
        self._rises = _of_units(counted, [a.kind in RISES for a in counted])
        # Examples since a unit was last above zero, and since it was last zero.
        self._idle = np.zeros(count)
        self._busy = np.zeros(count)
        self._fired_at = np.full(count, np.nan)
        self._total_examples = np.zeros(count)
        # Examples, and those for which a unit fired, since the last map.
        self._examples = np.zeros(count)
        self._fired = np.zeros(count)
        self._mapped_at = -1
        self._steps = 0
        starts = [first for a in counted for first, _ in a.groups]
        offsets = np.cumsum([0, *(a.units for a in counted)])[:-1]
        groups = [len(a.groups) for a in counted]
        self._groups = np.repeat(offsets, groups) + np.array(starts, np.int64)
        # Fewest recorded steps from one map to the next.
        self._fewest_steps = 4 * len(UNIT_COLUMNS) * len(self._groups) / _BYTES

    def count(
        self, step: int, activity: np.ndarray, examples: np.ndarray
    ) -> np.ndarray:
        """Count one step.

        Args:
            step: Number of the step.
            activity: Share of the examples for which each unit was above zero,
                `[units]`; NaN for a unit that was no part of the step.
            examples: Number of examples of each activation, `[activations]`.

        Returns:
            Shares of dead and of always-on units of each activation, float32
            `[activations, 2]`. NaN until a window of examples was counted, and
            for activations whose units cannot die or be always on.
        """
        self._steps += 1
        takes_part = np.isfinite(activity)
        new_examples = np.where(takes_part, examples[self._rows], 0)
        new_examples = np.nan_to_num(new_examples)
        fired = takes_part & (activity > 0)
        self._idle = np.where(fired, 0, self._idle + new_examples)
        was_off = takes_part & (activity < 1)
        self._busy = np.where(was_off, 0, self._busy + new_examples)
        self._fired_at[fired] = step
        self._total_examples += new_examples
        self._examples += new_examples
        self._fired += np.nan_to_num(activity) * new_examples
        return np.stack(
            [self._shares(self._dead()), self._shares(self._always_on())],
            axis=1,
        )

    def map(self, step: int) -> np.ndarray | None:
        """Build the family `units` of a counted step, None if not due."""
        if not len(self._rows) or self._total_examples.max() < self._window:
            return None
        if self._examples.max() < self._window * _SHARE:
            return None
        if step - self._mapped_at <= self._mapped_at * _PAUSE:
            return None
        if self._mapped_at >= 0 and self._steps < self._fewest_steps:
            return None
        self._mapped_at, self._steps = step, 0
        with np.errstate(invalid="ignore"):
            activity = self._fired / self._examples
        longest = self._longest_idle()
        values = {
            "unit_activity": self._means(activity),
            "unit_dead": self._means(self._dead()),
            "unit_idle_examples": self._idle[longest],
            "unit_last_fired": self._fired_at[longest],
        }
        self._examples[:] = 0
        self._fired[:] = 0
        return np.stack([values[name] for name in UNIT_COLUMNS], axis=1)

    def _dead(self) -> np.ndarray:
        return self._flags(self._idle >= self._window, self._dies)

    def _always_on(self) -> np.ndarray:
        return self._flags(self._busy >= self._window, self._rises)

    def _flags(self, condition: np.ndarray, can_hold: np.ndarray) -> np.ndarray:
        """Convert a condition on units to 1 or 0, NaN for undefined ones.

        It is undefined for units to which it cannot apply, and until a window
        of examples was counted.
        """
        is_defined = (can_hold > 0) & (self._total_examples >= self._window)
        return np.where(is_defined, condition.astype(float), np.nan)

    def _shares(self, of_units: np.ndarray) -> np.ndarray:
        count = len(self._activations)
        sums = np.bincount(self._rows, of_units, minlength=count)
        sizes = np.bincount(self._rows, minlength=count)
        with np.errstate(invalid="ignore"):
            return (sums / sizes).astype(np.float32)

    def _means(self, of_units: np.ndarray) -> np.ndarray:
        ends = np.append(self._groups[1:], len(of_units))
        return np.add.reduceat(of_units, self._groups) / (ends - self._groups)

    def _longest_idle(self) -> np.ndarray:
        """Find the unit of each group that was zero for longest."""
        if len(self._groups) == len(self._idle):
            return self._groups
        longest = np.maximum.reduceat(self._idle, self._groups)
        sizes = np.diff(self._groups, append=len(self._idle))
        is_longest = self._idle == np.repeat(longest, sizes)
        # The first unit of those that were zero equally long, in each group.
        numbers = np.arange(len(self._idle))
        numbers[~is_longest] = len(numbers)
        return np.minimum.reduceat(numbers, self._groups)


def _of_units(counted: list[Activation], values: list) -> np.ndarray:
    """Repeat values of activations for each of their units, int64."""
    return np.repeat(np.array(values, np.int64), [a.units for a in counted])
