"""How far the states of layers have moved since the first recorded step."""

from __future__ import annotations

import numpy as np

from gradscope.format.rows import State

#: As in `measuring.states`, which needs TensorFlow.
_EPSILON = 1e-3


class Moving:
    """Remembers what states were when they were first seen.

    Args:
        states: The record's rows, in order.
    """

    def __init__(self, states: tuple[State, ...]):
        self._states = states
        self._ends = np.cumsum([s.size for s in states], dtype=int)
        self._first: list = [None] * len(states)

    def movement(self, values: np.ndarray) -> np.ndarray:
        """Returns how far each state has moved, float32 `[states]`.

        Of batch norm the root mean square over the channels of the moving
        mean's way, in standard deviations at the start; of other states the
        norm of the way over the norm at the start. NaN where it has none.

        Args:
            values: Numbers of all states, `[sum of sizes]`; NaN where a state
                was no part of the step.
        """
        out = np.full(len(self._states), np.nan, np.float32)
        parts = np.split(values.astype(np.float64), self._ends)[:-1]
        pairs = zip(self._states, parts, strict=True)
        for row, (state, now) in enumerate(pairs):
            if not state.size or np.isnan(now).all():
                continue
            if self._first[row] is None:
                self._first[row] = now
            out[row] = _distance(state.kind, self._first[row], now)
        return out


def _distance(kind: str, first: np.ndarray, now: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        if kind != "batch_norm":
            return np.linalg.norm(now - first) / np.linalg.norm(first)
        mean, variance = np.split(first, 2)
        way = np.split(now, 2)[0] - mean
        return np.sqrt(np.mean(way**2 / (variance + _EPSILON)))
