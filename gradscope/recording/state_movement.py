"""Measures how far the states of layers moved since the first recorded step."""

from __future__ import annotations

import numpy as np

from gradscope.format.rows import State

#: The same number as in `measuring.states`.
_EPSILON = 1e-3


class StateMovement:
    """Measures movement from the first recorded values of each state.

    Args:
        states: The record's rows, in order.
    """

    def __init__(self, states: tuple[State, ...]):
        self._states = states
        self._ends = np.cumsum([s.size for s in states], dtype=int)
        self._first: list = [None] * len(states)

    def movement(self, values: np.ndarray) -> np.ndarray:
        """Measure how far each state has moved, float32 `[states]`.

        The distance of batch norm is the root mean square over the channels of
        the moving mean's movement, in standard deviations at the start. The
        distance of other states is the norm of the movement over the norm at
        the start. States without numbers have NaN.

        Args:
            values: Numbers of all states, `[sum of sizes]`; NaN if a state was
                no part of the step.
        """
        distances = np.full(len(self._states), np.nan, np.float32)
        parts = np.split(values.astype(np.float64), self._ends)[:-1]
        pairs = zip(self._states, parts, strict=True)
        for row, (state, current) in enumerate(pairs):
            if not state.size or np.isnan(current).all():
                continue
            if self._first[row] is None:
                self._first[row] = current
            distances[row] = _distance(state.kind, self._first[row], current)
        return distances


def _distance(kind: str, first: np.ndarray, current: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        if kind != "batch_norm":
            return np.linalg.norm(current - first) / np.linalg.norm(first)
        mean, variance = np.split(first, 2)
        movement = np.split(current, 2)[0] - mean
        return np.sqrt(np.mean(movement**2 / (variance + _EPSILON)))
