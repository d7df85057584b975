"""The schema of a record: the contract between the writer and all readers.

One recorded step is one event. For each *family* the event holds a float32
tensor `[rows, columns]` under the tag `gradscope/<family>/<schema id>`; the
schema is JSON under `gradscope/schema/<schema id>`. The id is part of the tag,
so that rows are never read with the names of another model. The logs of an
epoch are JSON under `gradscope/logs/<schema id>`.

In format 1, JSON was a string, which other readers of event files show as a
text, and tables had all columns. Since format 2 JSON is a tensor of bytes, see
`json_tensor`, and tables have the columns that they need, see `stored_columns`.

Some families have no numbers in most steps (`columns.OCCASIONAL`); the event
of such a step leaves them out.

This module must not import TensorFlow, since TensorBoard's server imports it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from typing import Any

from gradscope.format import model_facts, stored_columns
from gradscope.format.columns import (
    ACTIVATION_COLUMNS,
    DATA_COLUMNS,
    FAMILIES,
    OCCASIONAL,
    PROBE_COLUMNS,
    RATE_COLUMNS,
    RUN_COLUMNS,
    SKETCH_COLUMNS,
    STATE_COLUMNS,
    UNIT_COLUMNS,
    VARIABLE_COLUMNS,
)
from gradscope.format.rows import (
    Activation,
    Data,
    Operation,
    State,
    Variable,
    Wiring,
)

__all__ = [
    "ACTIVATION_COLUMNS",
    "DATA_COLUMNS",
    "DIRECTORY",
    "FAMILIES",
    "OCCASIONAL",
    "PLUGIN_NAME",
    "PROBE_COLUMNS",
    "RATE_COLUMNS",
    "RUN_COLUMNS",
    "SKETCH_COLUMNS",
    "STATE_COLUMNS",
    "UNIT_COLUMNS",
    "VARIABLE_COLUMNS",
    "Activation",
    "Data",
    "Operation",
    "Schema",
    "SchemaError",
    "State",
    "Variable",
    "Wiring",
    "parse_tag",
    "plugin_content",
    "tag",
]

PLUGIN_NAME = "gradscope"
FORMAT_VERSION = 2

#: Sub-directory of the user's log directory that one writer has to itself.
#: TensorBoard's Python reader loses events when two files grow in one
#: directory (tensorboard issue #1063).
DIRECTORY = "gradscope"

#: The exceptions that damaged text can cause; `int(inf)` is an OverflowError.
_DAMAGE = (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


#: The largest size: float64 is exact up to this number.
_MOST = 2**53

#: Most names of sums that a schema has.
_MOST_SUMS = 100


class SchemaError(ValueError):
    """A schema in an event file that this version cannot read."""


@dataclasses.dataclass(frozen=True)
class Schema:
    """Names of the rows and columns of a run's record.

    Attributes:
        variables: Trainable variables in forward order: rows of `variables`.
        optimizer: Class name and configuration of the optimizer, as JSON.
        model: Facts of the Keras model, see `gradscope.format.model_facts`;
            empty if the model is not known.
        columns: Column names of each family, as they are in the file.
        activations: Activations in forward order: rows of `activations`; their
            units are rows of `units`.
        states: Layers that drop units or have a state: rows of `state`.
        data: Inputs, outputs and targets: rows of `data`.
        operations: Operations that can produce NaN: rows of `operations`.
        unseen: Names of parts of the step that could not be observed, such as
            functions that it calls.
        linear: Pairs of names of kernels with only linear operations between
            the output of the first one's layer and the second one.
        wiring: Operations connected in a way that is rarely intended.
        unordered_sums: Names of the sums whose terms TensorFlow adds in any
            order, in the program of steps that are not recorded; with such sums
            a training does not repeat its last bits. Known only of programs
            that `Callback` observes.
        stale_layers: Layers whose `trainable` was changed after `compile`, each
            with whether the compiled program trains it; Keras goes on with that
            program.
        loss_is_known: Whether the loss of any step was found, so that a loss of
            NaN is a loss that is NaN; None in records of older versions, in
            which NaN may also stand for a loss that was not found.
        stored: Of families that have not all columns in the file: those that
            it has, in their order. See `stored_columns`.
    """

    variables: tuple[Variable, ...]
    optimizer: dict[str, Any] = dataclasses.field(default_factory=dict)
    columns: dict[str, tuple[str, ...]] = dataclasses.field(
        default_factory=lambda: FAMILIES | OCCASIONAL
    )
    activations: tuple[Activation, ...] = ()
    states: tuple[State, ...] = ()
    data: tuple[Data, ...] = ()
    operations: tuple[Operation, ...] = ()
    unseen: tuple[str, ...] = ()
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    linear: tuple[tuple[str, str], ...] = ()
    wiring: tuple[Wiring, ...] = ()
    unordered_sums: tuple[str, ...] = ()
    stale_layers: tuple[tuple[str, bool], ...] = ()
    loss_is_known: bool | None = None
    stored: dict[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict, compare=False
    )

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in the order of their first variable."""
        return tuple(dict.fromkeys(v.layer for v in self.variables))

    @functools.cached_property
    def id(self) -> str:
        """Eight hex digits that change when a row or a column changes."""
        # Not the facts of optimizer and model: notes are added to these while
        # steps go on under the same tags.
        rows: list[list[object]] = [
            [v.name, v.layer, list(v.shape)] for v in self.variables
        ]
        rows += [[a.name, a.kind, a.units] for a in self.activations]
        rows += [[s.name, s.kind] for s in self.states]
        rows += [[d.name for d in self.data]]
        rows += [[o.name for o in self.operations]]
        columns = sorted((k, list(v)) for k, v in self.columns.items())
        text = json.dumps([FORMAT_VERSION, rows, columns])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def rows(self, family: str) -> tuple[str, ...]:
        """List the names of the rows of a family.

        A family of numbers of the step as a whole has one row, with the name
        `""`.
        """
        if family == "units":
            return tuple(n for a in self.activations for n in a.group_names)
        tables: dict[str, tuple[Any, ...]] = {
            "variables": self.variables,
            "sketch": self.variables,
            "activations": self.activations,
            "state": self.states,
            "data": self.data,
            "operations": self.operations,
        }
        if family in tables:
            return tuple(row.name for row in tables[family])
        return ("",)

    @property
    def has_rates(self) -> bool:
        """Whether variables have learning rates of their own."""
        return set(RATE_COLUMNS) <= set(self.columns.get("variables", ()))

    def with_parts(self, optimizers: list[str]) -> Schema:
        """Add a learning rate for each variable.

        Args:
            optimizers: Name of the part of the optimizer that updates each
                variable; empty for an optimizer with one learning rate.
        """
        if not optimizers:
            return self
        columns = (*VARIABLE_COLUMNS, *RATE_COLUMNS)
        return dataclasses.replace(
            self,
            variables=tuple(
                dataclasses.replace(variable, optimizer=name)
                for variable, name in zip(
                    self.variables, optimizers, strict=True
                )
            ),
            columns=self.columns | {"variables": columns},
        )

    def with_unordered_sums(self, names: tuple[str, ...]) -> Schema:
        """Add names to `unordered_sums`, of which the first 100 remain."""
        names = tuple(dict.fromkeys((*self.unordered_sums, *names)))
        return dataclasses.replace(self, unordered_sums=names[:_MOST_SUMS])

    def with_stale_layers(self, layers: tuple[tuple[str, bool], ...]) -> Schema:
        """Add to `stale_layers`; of a layer the latest entry remains."""
        merged = tuple((dict(self.stale_layers) | dict(layers)).items())
        return dataclasses.replace(self, stale_layers=merged[:_MOST_SUMS])

    def with_wiring(self, wiring: tuple[Wiring, ...]) -> Schema:
        """Add to `wiring`."""
        joined = tuple(dict.fromkeys((*self.wiring, *wiring)))
        return dataclasses.replace(self, wiring=joined)

    def to_json(self) -> str:
        """Serialize the schema for `from_json`."""
        return json.dumps(
            {"version": FORMAT_VERSION, **dataclasses.asdict(self)}
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Schema:
        """Parse text of `to_json`.

        Raises:
            SchemaError: If the text is not a schema, or has a newer format.
        """
        try:
            data = json.loads(text)
            version = int(data["version"])
        except _DAMAGE as error:
            raise SchemaError(
                f"not a gradscope schema: {_briefly(error)}"
            ) from error
        if version < 1:
            raise SchemaError(
                f"format {version!s:.30} does not exist: the schema is damaged "
                "and the run cannot be read."
            )
        if version > FORMAT_VERSION:
            raise SchemaError(
                f"the run was recorded in format {version}, but this gradscope "
                f"reads formats up to {FORMAT_VERSION}: upgrade gradscope."
            )
        try:
            columns = {
                str(family): tuple(map(str, names))
                for family, names in data["columns"].items()
            }
            return cls(
                variables=tuple(_variable(v) for v in data["variables"]),
                optimizer=model_facts.check_depth(
                    dict(data.get("optimizer", {}))
                ),
                columns=columns,
                activations=tuple(
                    _activation(a) for a in data.get("activations", ())
                ),
                states=tuple(_state(s) for s in data.get("states", ())),
                data=tuple(_data(d) for d in data.get("data", ())),
                operations=tuple(
                    Operation(str(o["name"]), str(o["dtype"]))
                    for o in data.get("operations", ())
                ),
                unseen=tuple(map(str, data.get("unseen", ()))),
                model=model_facts.validate(data.get("model", {})),
                linear=tuple(
                    (str(a), str(b)) for a, b in data.get("linear", ())
                ),
                wiring=tuple(_wiring(w) for w in data.get("wiring", ())),
                unordered_sums=tuple(map(str, data.get("unordered_sums", ()))),
                stale_layers=tuple(
                    (str(name), bool(is_trained))
                    for name, is_trained in data.get("stale_layers", ())
                ),
                loss_is_known=_optional_bool(data.get("loss_is_known")),
                stored=stored_columns.validate(data.get("stored", {}), columns),
            )
        except _DAMAGE as error:
            raise SchemaError(
                f"damaged gradscope schema: {_briefly(error)}"
            ) from error


def _optional_bool(data: Any) -> bool | None:
    return None if data is None else bool(data)


def _briefly(error: Exception) -> str:
    # The text of a UnicodeDecodeError has all bytes that were decoded.
    return repr(error)[:200]


def _variable(data: dict[str, Any]) -> Variable:
    return Variable(
        name=str(data["name"]),
        layer=str(data["layer"]),
        shape=_shape(data["shape"]),
        dtype=str(data["dtype"]),
        optimizer=str(data.get("optimizer", "")),
    )


def _activation(data: dict[str, Any]) -> Activation:
    return Activation(
        name=str(data["name"]),
        kind=str(data["kind"]),
        units=_integer(data["units"]),
        dtype=str(data.get("dtype", "float32")),
        rank=_integer(data.get("rank", 0)),
        axis=_integer(data.get("axis", -1), least=-1),
        is_output=bool(data.get("is_output", False)),
    )


def _state(data: dict[str, Any]) -> State:
    return State(
        name=str(data["name"]),
        kind=str(data["kind"]),
        size=_integer(data.get("size", 0)),
        calls=_integer(data.get("calls", 1)),
        layer=str(data.get("layer", "")),
    )


def _wiring(data: dict[str, Any]) -> Wiring:
    names = ("kind", "name", "detail")
    return Wiring(*(str(data[name]) for name in names))


def _data(data: dict[str, Any] | str) -> Data:
    if isinstance(data, str):  # older versions recorded only the name
        return Data(data)
    return Data(
        name=str(data["name"]),
        dtype=str(data["dtype"]),
        shape=_shape(data["shape"], least=-1),
    )


def _shape(sizes: list[Any], least: int = 0) -> tuple[int, ...]:
    shape = tuple(_integer(size, least) for size in sizes)
    _integer(math.prod(shape), least=-_MOST)
    return shape


def _integer(value: Any, least: int = 0) -> int:
    """Convert a value to an integer that float64 holds exactly."""
    number: int = int(value)
    if not least <= number <= _MOST:
        raise ValueError(f"{str(number)[:30]} is not between {least} and 2**53")
    return number


def tag(family: str, schema_id: str) -> str:
    """Build the tag of a family, of `"schema"` or of `"logs"`."""
    return f"{PLUGIN_NAME}/{family}/{schema_id}"


def parse_tag(text: str) -> tuple[str, str] | None:
    """Split a tag into `(family, schema id)`; None for any other tag."""
    parts = text.split("/")
    if len(parts) != 3 or parts[0] != PLUGIN_NAME:
        return None
    return parts[1], parts[2]


def plugin_content() -> bytes:
    """Build the content of the tags' plugin metadata, the format's version.

    The names of rows and columns are under the schema's tag.
    """
    return json.dumps({"version": FORMAT_VERSION}).encode()
