"""Units over many steps: which are dead, always on, and since when.

A *unit* is an index of an activation's last axis: a neuron of a dense layer,
or a channel of a convolution at all its positions. A ReLU unit is *dead* when
it was zero for every example of a window of examples. One batch says nothing:
of 16 healthy units, 27 % are zero for one example (seed 2 of the project, with
batches of one, where not one unit is dead).

The device says of each recorded step for which share of the examples a unit
was above zero; the rest is counted here, on the host.
"""

from __future__ import annotations

import numpy as np

from gradscope.format.rows import DIES, RISES, Activation
from gradscope.format.schema import UNIT_COLUMNS

#: A map of units is made when a window of examples has been seen, and again
#: after this share of it: with a window of 1000 and batches of 32, every fourth
#: recorded step.
_SHARE = 1 / 8

#: Maps are not made more often than this share of all steps so far: a run of a
#: million steps has some 600, and a third of them are of its first 1000 steps.
_PAUSE = 1 / 64

#: Bytes that maps may add to each recorded step: of 50 layers of 64 units a map
#: has 50 kB and all statistics together 8, so it is made at every 50th recorded
#: step; of two layers of 512 at every fourth.
_BYTES = 2**10


class Units:
    """Keeps account of the units of a run's activations.

    Args:
        activations: The record's rows, in order.
        window: Examples for which a dead unit was zero.
    """

    def __init__(self, activations: tuple[Activation, ...], window: int):
        self._activations = activations
        self._window = window
        counted = [a for a in activations if a.is_counted]
        rows = [row for row, a in enumerate(activations) if a.is_counted]
        # Of each unit the row of its activation.
        self._rows = _of_units(counted, rows)
        count = len(self._rows)
        self._dies = _of_units(counted, [a.kind in DIES for a in counted])
        self._rises = _of_units(counted, [a.kind in RISES for a in counted])
        # Examples since a unit was above zero, and since it was not.
        self._idle = np.zeros(count)
        self._busy = np.zeros(count)
        self._fired_at = np.full(count, np.nan)
        self._seen = np.zeros(count)
        # Since the last map.
        self._examples = np.zeros(count)
        self._fired = np.zeros(count)
        self._mapped_at = -1
        self._steps = 0
        starts = [first for a in counted for first, _ in a.groups]
        offsets = np.cumsum([0, *(a.units for a in counted)])[:-1]
        groups = [len(a.groups) for a in counted]
        self._groups = np.repeat(offsets, groups) + np.array(starts, np.int64)
        # Recorded steps from one map to the next, at least.
        self._least = 4 * len(UNIT_COLUMNS) * len(self._groups) / _BYTES

    def count(self, step: int, activity: np.ndarray, examples: np.ndarray):
        """Counts one step.

        Args:
            step: Its number.
            activity: Shares of the examples for which units were above zero,
                `[units]`; NaN where a unit was no part of the step.
            examples: How many each activation had, `[activations]`.

        Returns:
            Shares of dead and of always-on units of each activation, float32
            `[activations, 2]`. NaN while fewer examples than a window were
            seen, and for activations without such units.
        """
        self._steps += 1
        there = np.isfinite(activity)
        new = np.where(there, examples[self._rows], 0)
        new = np.nan_to_num(new)
        fired = there & (activity > 0)
        self._idle = np.where(fired, 0, self._idle + new)
        rested = there & (activity < 1)
        self._busy = np.where(rested, 0, self._busy + new)
        self._fired_at[fired] = step
        self._seen += new
        self._examples += new
        self._fired += np.nan_to_num(activity) * new
        return np.stack(
            [self._shares(self._dead()), self._shares(self._always_on())],
            axis=1,
        )

    def map(self, step: int) -> np.ndarray | None:
        """Returns the family `units` of a step that was counted, None where
        no map is due."""
        if not len(self._rows) or self._seen.max() < self._window:
            return None
        if self._examples.max() < self._window * _SHARE:
            return None
        if step - self._mapped_at <= self._mapped_at * _PAUSE:
            return None
        if self._mapped_at >= 0 and self._steps < self._least:
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
        return self._known(self._idle >= self._window, self._dies)

    def _always_on(self) -> np.ndarray:
        return self._known(self._busy >= self._window, self._rises)

    def _known(self, is_so, may_be) -> np.ndarray:
        """Returns 1 where it is so, NaN where nothing is known."""
        known = (may_be > 0) & (self._seen >= self._window)
        return np.where(known, is_so.astype(float), np.nan)

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
        """Returns the unit of each group that was zero for longest."""
        if len(self._groups) == len(self._idle):
            return self._groups
        most = np.maximum.reduceat(self._idle, self._groups)
        sizes = np.diff(self._groups, append=len(self._idle))
        is_most = self._idle == np.repeat(most, sizes)
        numbers = np.arange(len(self._idle))
        numbers[~is_most] = len(numbers)
        return np.minimum.reduceat(numbers, self._groups)


def _of_units(counted: list[Activation], values: list) -> np.ndarray:
    """Returns what is known of activations for each of their units, int64."""
    return np.repeat(np.array(values, np.int64), [a.units for a in counted])
