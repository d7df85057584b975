"""Watches the activations of a step, and their units over many steps."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope import state
from gradscope.measuring import activations
from gradscope.schema import ACTIVATION_COLUMNS, Activation
from gradscope.wrapping.activations import Found

# Units to keep account of, of one activation. A softmax over the words of a
# language is no ReLU, and has none.
_MAX_UNITS = 2**16


class Watch:
    """Measures activations, and keeps account of their units.

    Args:
        described: The activations, in the order of the rows.
        window: Examples for which a dead unit was zero.
        device: Where the step runs.
    """

    def __init__(
        self, described: tuple[Activation, ...], window: int, device: str
    ):
        self.described = described
        self._window = window
        #: Those whose units may be dead, or always on.
        self._counted = [a for a in described if _is_counted(a)]
        if self._counted:
            # Examples since each unit was above zero, and since it was not.
            units = sum(a.units for a in self._counted)
            zeros = np.zeros([2, units], np.float32)
            self._since = state.variable(zeros, device)
            self._seen = state.variable(zeros[0, : len(self._counted)], device)

    def covers(self, described: tuple[Activation, ...]) -> bool:
        """Returns whether there is a row for each of these."""
        return set(described) <= set(self.described)

    def measure(self, found: dict[Activation, Found]) -> tf.Tensor:
        """Returns one step's statistics, float32 `[A, ACTIVATION_COLUMNS]`,
        and adds the ops that count its examples.

        Args:
            found: The activations of the step's graph; NaN for others.
        """
        if not self.described:
            return tf.zeros([0, len(ACTIVATION_COLUMNS)])
        measured: dict[Activation, tf.Tensor] = {}
        fired: dict[Activation, tf.Tensor] = {}
        rested: dict[Activation, tf.Tensor] = {}
        examples: dict[Activation, tf.Tensor] = {}
        for alike in _alike(found):
            x = activations.sample([found[one].inputs for one in alike])
            y = activations.sample([found[one].outputs for one in alike])
            kind, calls = alike[0].kind, len(found[alike[0]].outputs)
            measured |= _each(alike, activations.measure(kind, x, y))
            if not _is_counted(alike[0]):
                continue
            fired |= _each(alike, activations.fired(y))
            rested |= _each(alike, activations.rested(y))
            count = tf.cast(tf.shape(y)[1] // calls, tf.float32)
            examples |= dict.fromkeys(alike, count)
        shares = {}
        if self._counted:
            shares = self._count(fired, rested, examples)
        nothing = tf.fill([2], np.float32(np.nan))
        unknown = tf.fill([len(activations.MEASURED)], np.float32(np.nan))
        return tf.stack(
            [
                tf.concat(
                    [shares.get(one, nothing), measured.get(one, unknown)], 0
                )
                for one in self.described
            ]
        )

    def _count(self, fired, rested, examples) -> dict[Activation, tf.Tensor]:
        """Returns the shares of dead and of always-on units.

        What is not in this step's graph has no examples in it.
        """
        sizes = [one.units for one in self._counted]
        happened = tf.stack(
            [
                tf.concat(
                    [
                        of.get(one, tf.zeros([one.units], tf.bool))
                        for one in self._counted
                    ],
                    axis=0,
                )
                for of in (fired, rested)
            ]
        )
        examples = tf.stack(
            [examples.get(one, tf.zeros([])) for one in self._counted]
        )
        since = activations.since(
            tf.identity(self._since), happened, tf.repeat(examples, sizes)
        )
        seen = tf.minimum(tf.identity(self._seen) + examples, 2.0**24)
        self._since.assign(since)
        self._seen.assign(seen)
        return {
            described: tf.stack(
                [
                    activations.share_without(part[row], number, self._window)
                    if _counts(described, row)
                    else tf.constant(np.nan, tf.float32)
                    for row in range(2)
                ]
            )
            for described, part, number in zip(
                self._counted,
                tf.split(since, sizes, axis=1),
                tf.unstack(seen, len(sizes)),
                strict=True,
            )
        }


def _alike(found: dict[Activation, Found]) -> list[list[Activation]]:
    """Returns the activations in groups that can be measured as one tensor:
    50 layers of one width take the operations of one."""
    groups: dict[tuple, list[Activation]] = {}
    for described, one in found.items():
        y = one.outputs[0]
        shape = tuple(y.shape[1:]), y.dtype, len(one.outputs)
        groups.setdefault((described.kind, *shape), []).append(described)
    return list(groups.values())


def _each(alike: list[Activation], values: tf.Tensor) -> dict:
    return dict(zip(alike, tf.unstack(values, len(alike)), strict=True))


def _counts(described: Activation, row: int) -> bool:
    """Returns whether units may be dead (row 0), or always on (row 1)."""
    kind = activations.KINDS[described.kind]
    return kind.dies if row == 0 else kind.rises


def _is_counted(described: Activation) -> bool:
    return described.units <= _MAX_UNITS and any(
        _counts(described, row) for row in range(2)
    )
