"""Where what is in a row of the ring: all that one step measured, in a line."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradscope.format.schema import DATA_COLUMNS, Schema

#: What is known of a step as a whole before it is made.
HEADER = ("learning_rate", "loss_scale", "skipped")

#: Which operation was the first that returned what is not finite, by its row
#: and what it returned: see `measuring.origin`; NaN in all other steps.
ORIGIN = ("row", "state")

#: What is measured of a variable; the rest of its columns follows from it.
MEASURED = (
    "gradient_norm",
    "gradient_max",
    "gradient_zeros",
    "gradient_size",
    "gradient_nonfinite",
    "gradient_unit_spread",
    "clipped_gradient_norm",
    "weight_norm",
    "update_norm",
    "gradient_missing",
)

#: What is measured of an activation in one step. All but the last are columns;
#: of `examples` the window is counted.
ACTIVATION_MEASURED = (
    "zero_fraction",
    "saturated_fraction",
    "activation_mean",
    "activation_rms",
    "activation_max",
    "activation_nonfinite",
    "examples",
)

#: What is measured of a layer with a state in one step: all columns but how
#: far it has moved.
STATE_MEASURED = (
    "dropout_rate",
    "dropped_fraction",
    "mean_distance",
    "variance_distance",
    "training_mode",
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The segments of a row, each a matrix of its own; sizes in numbers.

    Attributes:
        variables, activations, states, data: How many rows there are.
        units: How many units are counted, of all activations.
        moving: How many numbers of states are kept.
        rates: How many variables have learning rates of their own.
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
        """Returns the layout of a schema's steps."""
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
        """Shapes of what is measured of the optimizer's step."""
        return {
            "header": (len(HEADER),),
            "rates": (self.rates,),
            "variables": (self.variables, len(MEASURED)),
            "origin": (len(ORIGIN),),
        }

    @property
    def forward(self) -> dict[str, tuple[int, ...]]:
        """Shapes of what is measured of the forward pass before it."""
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
        """Where counts of what is not finite are in the row of `forward`."""
        places = self.split_forward(np.arange(self.forward_width))
        activation = ACTIVATION_MEASURED.index("activation_nonfinite")
        data = DATA_COLUMNS.index("data_nonfinite")
        return np.concatenate(
            [places["activations"][:, activation], places["data"][:, data]]
        )

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return _width(self.step) + self.forward_width

    @property
    def forward_width(self) -> int:
        """Numbers in the row of a replica that only tells its forward pass."""
        return _width(self.forward)

    def split(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the segments of a row by name."""
        return _split(row, self.step | self.forward)

    def split_forward(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the segments of a row of `forward_width` by name."""
        return _split(row, self.forward)


def _width(shapes) -> int:
    return sum(int(np.prod(shape)) for shape in shapes.values())


def _split(row, shapes) -> dict[str, np.ndarray]:
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(row, ends[:-1])
    return {
        name: part.reshape(shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


class Placement:
    """Puts rows of some of a run's rows where they belong among all.

    Args:
        part: What a row has.
        variables: Where its variables are in the whole.
        whole: What all have.
    """

    def __init__(self, part: Schema, variables: list[int], whole: Schema):
        self._part = Layout.of(part)
        self._whole = Layout.of(whole)
        self._places = {
            "variables": variables,
            "rates": variables if self._part.rates else [],
            "activations": _places(_names(part.activations), whole.activations),
            "activity": _places(_units(part), _units(whole)),
            "state": _places(_names(part.states), whole.states),
            "moving": _places(_numbers(part), _numbers(whole)),
            "data": _places(_names(part.data), whole.data),
        }

    def placed(self, row: np.ndarray) -> np.ndarray:
        """Returns a row of the whole; NaN is what the part does not have."""
        parts = self._part.split(row)
        shapes = self._whole.step | self._whole.forward
        out = {n: np.full(s, np.nan, np.float32) for n, s in shapes.items()}
        for name, values in parts.items():
            out[name][self._places.get(name, slice(None))] = values
        return np.concatenate([values.ravel() for values in out.values()])


def _names(rows) -> list[str]:
    return [getattr(row, "name", row) for row in rows]


def _units(schema: Schema) -> list[tuple]:
    return [
        (a.name, unit)
        for a in schema.activations
        if a.is_counted
        for unit in range(a.units)
    ]


def _numbers(schema: Schema) -> list[tuple]:
    return [(s.name, n) for s in schema.states for n in range(s.size)]


def _places(part, whole) -> list[int]:
    position = {name: index for index, name in enumerate(_names(whole))}
    return [position[name] for name in part]
