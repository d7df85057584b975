"""Turns the frame of a recorded step into the values of its event.

Those are the tables that `step_tables` makes of it, and what TensorBoard's own
tabs show: scalars, histograms and ratios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradscope.format import stored_columns
from gradscope.format.schema import OCCASIONAL, Schema
from gradscope.recording import event_writer, run_scalars, tensorboard_tabs
from gradscope.recording.event_bytes import Panel
from gradscope.recording.step_tables import StepTables


class StepValues:
    """Builds the values of steps, each once and in order.

    Args:
        schema: Names of the rows and columns.
        selected: Indices of the variables with histograms and ratios.
        kinds: Kinds of their histograms, of `tensorboard_tabs.KINDS`.
        window: Number of examples for which a dead unit is zero.

    Attributes:
        scalars: The scalars of the last step, by tag.
    """

    def __init__(
        self,
        schema: Schema,
        selected: list[int],
        kinds: tuple[str, ...],
        window: int,
    ):
        self._schema = schema
        self._selected = selected
        self._kinds = kinds
        self._tables = StepTables(schema, window)
        self._steps = 0
        self.scalars: dict[str, float] = {}

    def build(
        self,
        step: int,
        frame: np.ndarray,
        replica_rows: Sequence[np.ndarray],
        tallies: Mapping[str, float],
        histograms: np.ndarray | None,
    ) -> list[Panel]:
        """Build the values of a step's event, without the schema.

        Args:
            step, frame, replica_rows, tallies: As for `StepTables.build`.
            histograms: Histograms and sketches of the selected variables, None
                in a step without.
        """
        tables = self._tables.build(step, frame, replica_rows, tallies)
        values = [
            event_writer.family_value(
                family,
                self._schema.id,
                table
                if family in OCCASIONAL
                else stored_columns.pack(self._schema, family, table),
            )
            for family, table in tables.items()
        ]
        self.scalars = {}
        if run_scalars.SCHEDULE.due(self._steps):
            self.scalars = run_scalars.of_step(self._schema, tables)
            values += tensorboard_tabs.scalar_panels(self.scalars)
        self._steps += 1
        if histograms is not None:
            values += self._of_selected(tables["variables"], histograms)
        return values

    def _of_selected(
        self, table: np.ndarray, numbers: np.ndarray
    ) -> list[Panel]:
        """Build the sketches and panels of the selected variables."""
        counts, sketches = tensorboard_tabs.split(
            numbers, len(self._selected), self._kinds
        )
        rows = np.zeros([len(self._schema.variables), sketches.shape[1]])
        rows[self._selected] = sketches
        variables = [self._schema.variables[i] for i in self._selected]
        return [
            event_writer.family_value("sketch", self._schema.id, rows),
            *tensorboard_tabs.step_panels(
                variables, table[self._selected], counts, self._kinds
            ),
        ]
