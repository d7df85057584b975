"""Turns the frames of recorded steps into the tables of a record.

A frame holds what the device measured, as one row. Its tables, one for each
family, also have what follows from that or is counted over steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradscope.format.schema import (
    ACTIVATION_COLUMNS,
    RUN_COLUMNS,
    STATE_COLUMNS,
    VARIABLE_COLUMNS,
    Schema,
)
from gradscope.format.step_layout import (
    ACTIVATION_MEASURED,
    HEADER,
    STATE_MEASURED,
    Layout,
)
from gradscope.measuring import statistics
from gradscope.recording import replica_merging
from gradscope.recording.state_movement import StateMovement
from gradscope.recording.unit_history import UnitHistory


class StepTables:
    """Builds the tables of steps, one for each family.

    Dead units and the movement of states are counted over steps, so that each
    step comes once, and in order.

    Args:
        schema: Names of the rows and columns.
        window: Number of examples for which a dead unit is zero.
    """

    def __init__(self, schema: Schema, window: int):
        self._schema = schema
        self._layout = Layout.of(schema)
        self._sizes = np.array([v.size for v in schema.variables])
        self._unit_history = UnitHistory(schema.activations, window)
        self._state_movement = StateMovement(schema.states)

    def build(
        self,
        step: int,
        frame: np.ndarray,
        replica_rows: Sequence[np.ndarray],
        tallies: Mapping[str, float],
    ) -> dict[str, np.ndarray]:
        """Build the tables of a step, `[rows, columns]` by family.

        Args:
            step: Number of the step.
            frame: Its numbers, as in `Layout`.
            replica_rows: Its forward passes on the other replicas, each as in
                `Layout.forward`.
            tallies: Columns of the family `run` that the drain counts.
        """
        segments = self._layout.split(frame)
        table = statistics.complete(segments["variables"], self._sizes)
        if self._schema.has_rates:
            table = np.column_stack([table, segments["rates"]])
        forward = self._forward(step, segments, replica_rows)
        run = _run(segments, table, tallies)
        tables = {"variables": table, "run": run, **forward}
        row, state = segments["origin"]
        # Most steps have no operation that made NaN, and then no table for it.
        if np.isfinite(row):
            tables["operations"] = np.zeros([len(self._schema.operations), 1])
            tables["operations"][int(row)] = state
        return tables

    def _forward(
        self,
        step: int,
        segments: dict[str, np.ndarray],
        replica_rows: Sequence[np.ndarray],
    ) -> dict[str, np.ndarray]:
        """Build the families of the forward pass that have rows."""
        other_parts = [self._layout.split_forward(row) for row in replica_rows]
        main_part = {name: segments[name] for name in self._layout.forward}
        merged = replica_merging.merge([main_part, *other_parts])
        # `_run` takes the loss from here, that of all replicas.
        segments.update(merged)
        activation = dict(
            zip(ACTIVATION_MEASURED, merged["activations"].T, strict=True)
        )
        shares = self._unit_history.count(
            step, merged["activity"], activation["examples"]
        )
        activation["dead_fraction"], activation["always_on_fraction"] = shares.T
        state = dict(zip(STATE_MEASURED, merged["state"].T, strict=True))
        state["state_movement"] = self._state_movement.movement(
            merged["moving"]
        )
        tables = {
            "activations": _table(activation, ACTIVATION_COLUMNS),
            "state": _table(state, STATE_COLUMNS),
            "data": merged["data"],
            "units": self._unit_history.map(step),
        }
        return {
            family: matrix
            for family, matrix in tables.items()
            if matrix is not None and len(matrix)
        }


def _table(
    values: dict[str, np.ndarray], columns: tuple[str, ...]
) -> np.ndarray:
    """Put the values of rows, by statistic, into the order of the columns."""
    return np.stack([values[name] for name in columns], axis=1)


def _run(
    segments: dict[str, np.ndarray],
    table: np.ndarray,
    tallies: Mapping[str, float],
) -> np.ndarray:
    """Build the family `run` of a step."""
    run = dict(zip(HEADER, segments["header"], strict=True)) | dict(tallies)
    run["loss"] = segments["loss"][0]
    run["global_gradient_norm"] = _global(table, "gradient_norm")
    run["global_clipped_norm"] = _global(table, "clipped_gradient_norm")
    return np.array([[run[name] for name in RUN_COLUMNS]])


def _global(table: np.ndarray, column: str) -> float:
    """Compute the norm of all gradients as one vector, NaN without any."""
    # In float64, since the square of a norm of 1.8e19 overflows float32.
    norms = table[:, VARIABLE_COLUMNS.index(column)].astype(np.float64)
    # NaN, of a variable that is no part of the step, is not 0 either.
    has_gradient = table[:, VARIABLE_COLUMNS.index("gradient_missing")] == 0
    return (
        np.sqrt(np.sum(norms[has_gradient] ** 2))
        if has_gradient.any()
        else np.nan
    )
