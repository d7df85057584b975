"""The layout of a frame: all numbers of one recorded step, in one row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradscope.format.columns import DATA_COLUMNS, measured_names
from gradscope.format.schema import Schema

#: Numbers of the step as a whole that are known before the update.
HEADER = ("learning_rate", "loss_scale", "skipped")

#: The first operation whose output is not finite: its row, and the state of its
#: output, see `measuring.first_nonfinite`. NaN in all other steps.
ORIGIN = ("row", "state")

#: Numbers that the device measures of a variable. `statistics.complete` derives
#: all columns from them; `gradient_zeros` is none.
MEASURED = (*measured_names("variables"), "gradient_zeros")

#: Numbers that the device measures of an activation. All but the last are
#: columns; `examples` fills the window for dead units.
ACTIVATION_MEASURED = (*measured_names("activations"), "examples")

#: Numbers that the device measures of a layer with a state.
STATE_MEASURED = measured_names("state")


@dataclasses.dataclass(frozen=True)
class Layout:
    """The segments of a frame, each a matrix or a vector.

    Attributes:
        variables, activations, states, data: Number of rows of the record.
        units: Number of counted units of all activations.
        moving: Number of recorded numbers of states.
        rates: Number of variables with a learning rate of their own.
    """

    variables: int
    activations: int
    units: int
    states: int
    moving: int
    data: int
    rates: int = 0

    @classmethod
    def of(cls, schema: Schema) -> Layout:
        """Build the layout of a schema's frames."""
        return cls(
            variables=len(schema.variables),
            activations=len(schema.activations),
            units=sum(a.units for a in schema.activations if a.is_counted),
            states=len(schema.states),
            moving=sum(s.size for s in schema.states),
            data=len(schema.data),
            rates=len(schema.variables) if schema.has_rates else 0,
        )

    @property
    def step(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the segments that the optimizer's step fills."""
        return {
            "header": (len(HEADER),),
            "rates": (self.rates,),
            "variables": (self.variables, len(MEASURED)),
            "origin": (len(ORIGIN),),
        }

    @property
    def forward(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the segments that the forward pass fills."""
        return {
            "activations": (self.activations, len(ACTIVATION_MEASURED)),
            "activity": (self.units,),
            "state": (self.states, len(STATE_MEASURED)),
            "moving": (self.moving,),
            "data": (self.data, len(DATA_COLUMNS)),
            "loss": (1,),
        }

    @property
    def counts_of_nonfinite(self) -> np.ndarray:
        """Positions of the counts of non-finite numbers in a forward row."""
        places = self.split_forward(np.arange(self.forward_width))
        activation = ACTIVATION_MEASURED.index("activation_nonfinite")
        data = DATA_COLUMNS.index("data_nonfinite")
        return np.concatenate(
            [places["activations"][:, activation], places["data"][:, data]]
        )

    @property
    def place_of_loss(self) -> int:
        """Position of the loss in a forward row."""
        return int(self.split_forward(np.arange(self.forward_width))["loss"][0])

    @property
    def width(self) -> int:
        """Count of numbers in a frame."""
        return _width(self.step) + self.forward_width

    @property
    def forward_width(self) -> int:
        """Count of numbers in the row of a replica's forward pass."""
        return _width(self.forward)

    def split(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """Split a frame into its segments, by name."""
        return _split(row, self.step | self.forward)

    def split_forward(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """Split a row of `forward_width` numbers into segments, by name."""
        return _split(row, self.forward)


def is_skip(frame: np.ndarray) -> bool:
    """Test whether a frame is of a step that a loss scale skipped: it has no
    numbers but the header."""
    return bool(np.isnan(frame[len(HEADER) :]).all())


def _width(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(int(np.prod(shape)) for shape in shapes.values())


def _split(
    row: np.ndarray, shapes: dict[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(row, ends[:-1])
    return {
        name: part.reshape(shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


class Placement:
    """Expands frames of a part of a run's rows to frames of all rows.

    Args:
        part: Schema of the part.
        variables: Index of each of its variables in the full schema.
        full: Schema of the run.
    """

    def __init__(self, part: Schema, variables: list[int], full: Schema):
        self._part = Layout.of(part)
        self._full = Layout.of(full)
        self._places = {
            "variables": variables,
            "rates": variables if self._part.rates else [],
            "activations": _places(_names(part.activations), full.activations),
            "activity": _places(_units(part), _units(full)),
            "state": _places(_names(part.states), full.states),
            "moving": _places(_numbers(part), _numbers(full)),
            "data": _places(_names(part.data), full.data),
        }

    def place(self, row: np.ndarray) -> np.ndarray:
        """Expand a frame; rows that the part does not have are NaN."""
        segments = self._part.split(row)
        shapes = self._full.step | self._full.forward
        out = {n: np.full(s, np.nan, np.float32) for n, s in shapes.items()}
        for name, values in segments.items():
            out[name][self._places.get(name, slice(None))] = values
        return np.concatenate([values.ravel() for values in out.values()])


def _names(rows: Sequence[Any]) -> list[Any]:
    return [getattr(row, "name", row) for row in rows]


def _units(schema: Schema) -> list[tuple[str, int]]:
    return [
        (a.name, unit)
        for a in schema.activations
        if a.is_counted
        for unit in range(a.units)
    ]


def _numbers(schema: Schema) -> list[tuple[str, int]]:
    return [(s.name, n) for s in schema.states for n in range(s.size)]


def _places(part: list[Any], full: Sequence[Any]) -> list[int]:
    """Find the index of each row of a part among all rows."""
    index = {name: index for index, name in enumerate(_names(full))}
    return [index[name] for name in part]
