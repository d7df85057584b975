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
        units = sum(a.units for a in self._counted)
        # Examples since each unit was above zero, and since it was not.
        self._since = state.variable(np.zeros([2, units], np.float32), device)
        self._seen = state.variable(
            np.zeros([len(self._counted)], np.float32), device
        )

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
        shares = self._count(found) if self._counted else {}
        unknown = tf.fill([2], np.float32(np.nan))
        nothing = tf.fill([len(activations.MEASURED)], np.float32(np.nan))
        rows = []
        for described in self.described:
            one = found.get(described)
            measured = nothing
            if one is not None:
                measured = activations.measure(
                    described.kind, one.inputs, one.outputs
                )
            rows.append(
                tf.concat([shares.get(described, unknown), measured], axis=0)
            )
        return tf.stack(rows)

    def _count(self, found) -> dict[Activation, tf.Tensor]:
        """Returns the shares of dead and of always-on units."""
        fired, rested, examples = [], [], []
        for described in self._counted:
            one = found.get(described)
            if one is None:
                fired.append(tf.zeros([described.units], tf.bool))
                rested.append(tf.zeros([described.units], tf.bool))
                examples.append(tf.zeros([]))
            else:
                fired.append(activations.fired(one.outputs))
                rested.append(activations.rested(one.outputs))
                count = tf.shape(one.outputs[0])[0]
                examples.append(tf.cast(count, tf.float32))
        sizes = [a.units for a in self._counted]
        examples = tf.stack(examples)
        happened = tf.stack([tf.concat(fired, 0), tf.concat(rested, 0)])
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


def _counts(described: Activation, row: int) -> bool:
    """Returns whether units may be dead (row 0), or always on (row 1)."""
    kind = activations.KINDS[described.kind]
    return kind.dies if row == 0 else kind.rises


def _is_counted(described: Activation) -> bool:
    return described.units <= _MAX_UNITS and any(
        _counts(described, row) for row in range(2)
    )
