"""The record: what the writer puts into an event file and every reader expects.

One recorded step is one event. It holds, for each *family*, a float32 tensor
`[rows, columns]` under the tag `gradscope/<family>/<schema id>`; the schema
itself is a JSON string under `gradscope/schema/<schema id>`. The id is part of
the tag, so that rows are never read against the names of another model. What a
`fit` logs at the end of an epoch is JSON, too, under `gradscope/logs/<schema
id>`.

Some families have no numbers in most steps (`columns.OCCASIONAL`): then the
event leaves them out.

This module, with `columns` and `rows`, is the only contract between writer and
reader. It needs numpy alone: TensorBoard imports it.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math

from gradscope.format import model_facts
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
FORMAT_VERSION = 1

#: Sub-directory of the user's log directory that one writer has to itself.
#: TensorBoard's Python reader loses events when two files grow in one
#: directory (tensorboard issue #1063).
DIRECTORY = "gradscope"

#: What reading damaged text can raise; int(Infinity) is an OverflowError.
_DAMAGE = (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


#: The largest size of anything.
_MOST = 2**53

#: Names of sums that are kept.
_MOST_SUMS = 100


class SchemaError(ValueError):
    """A schema in an event file that this version cannot read."""


@dataclasses.dataclass(frozen=True)
class Schema:
    """Names of the rows and columns of a run's record.

    Attributes:
        variables: Trainable variables in forward order: rows of `variables`.
        optimizer: Class name and configuration of the optimizer, as JSON.
        model: What the Keras model says of itself, see
            `gradscope.format.model_facts`; empty where no model is known.
        columns: Column names of each family, as they are in the file.
        activations: In forward order: rows of `activations`, and with their
            units of `units`.
        states: Layers that drop units or keep a state: rows of `state`.
        data: Inputs, outputs and targets: rows of `data`.
        operations: Operations that may make NaN: rows of `operations`.
        unseen: Names of what could not be observed, as of functions inside
            of the step's.
        linear: Pairs of names of kernels: what the first one's layer returns
            reaches the second one through nothing that is not linear.
        wiring: Operations put together as hardly anybody means it.
        unordered_sums: Names of the sums whose terms TensorFlow adds in any
            order, in the program of steps that are not recorded: the training
            does not repeat its last bits. Known of what `Callback` observes.
    """

    variables: tuple[Variable, ...]
    optimizer: dict = dataclasses.field(default_factory=dict)
    columns: dict = dataclasses.field(
        default_factory=lambda: FAMILIES | OCCASIONAL
    )
    activations: tuple[Activation, ...] = ()
    states: tuple[State, ...] = ()
    data: tuple[Data, ...] = ()
    operations: tuple[Operation, ...] = ()
    unseen: tuple[str, ...] = ()
    model: dict = dataclasses.field(default_factory=dict)
    linear: tuple[tuple[str, str], ...] = ()
    wiring: tuple[Wiring, ...] = ()
    unordered_sums: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in the order of their first variable."""
        return tuple(dict.fromkeys(v.layer for v in self.variables))

    @functools.cached_property
    def id(self) -> str:
        """Eight hex digits that change when a row or a column changes."""
        rows = [[v.name, v.layer, list(v.shape)] for v in self.variables]
        rows += [[a.name, a.kind, a.units] for a in self.activations]
        rows += [[s.name, s.kind] for s in self.states]
        rows += [[d.name for d in self.data]]
        rows += [[o.name for o in self.operations]]
        columns = sorted((k, list(v)) for k, v in self.columns.items())
        text = json.dumps([FORMAT_VERSION, rows, columns])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def rows(self, family: str) -> tuple[str, ...]:
        """Names of the rows of a family; a number of the whole step has one
        row without a name."""
        if family == "units":
            return tuple(n for a in self.activations for n in a.group_names)
        named = {
            "variables": self.variables,
            "sketch": self.variables,
            "activations": self.activations,
            "state": self.states,
            "data": self.data,
            "operations": self.operations,
        }
        if family in named:
            return tuple(row.name for row in named[family])
        return ("",)

    @property
    def has_rates(self) -> bool:
        """Whether variables have learning rates of their own."""
        return set(RATE_COLUMNS) <= set(self.columns.get("variables", ()))

    def with_parts(self, optimizers: list[str]) -> Schema:
        """Returns a schema whose variables have learning rates of their own.

        Args:
            optimizers: The part of the optimizer that updates each variable;
                empty where it has one learning rate.
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
        """Returns a schema that knows of these sums, too, or the first hundred
        of all."""
        names = tuple(dict.fromkeys((*self.unordered_sums, *names)))
        return dataclasses.replace(self, unordered_sums=names[:_MOST_SUMS])

    def to_json(self) -> str:
        """Returns the text that `from_json` reads."""
        return json.dumps(
            {"version": FORMAT_VERSION, **dataclasses.asdict(self)}
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Schema:
        """Returns the schema written by `to_json`.

        Raises:
            SchemaError: If the text is not such a schema, or is of a newer
                format.
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
                f"there is no format {version!s:.30}: the schema is damaged, "
                "and the run cannot be read."
            )
        if version > FORMAT_VERSION:
            raise SchemaError(
                f"the run was recorded in format {version}, this gradscope "
                f"reads up to {FORMAT_VERSION}: upgrade gradscope."
            )
        try:
            return cls(
                variables=tuple(_variable(v) for v in data["variables"]),
                optimizer=model_facts.shallow(dict(data.get("optimizer", {}))),
                columns={
                    str(family): tuple(map(str, names))
                    for family, names in data["columns"].items()
                },
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
                model=model_facts.checked(data.get("model", {})),
                linear=tuple(
                    (str(a), str(b)) for a, b in data.get("linear", ())
                ),
                wiring=tuple(_wiring(w) for w in data.get("wiring", ())),
                unordered_sums=tuple(map(str, data.get("unordered_sums", ()))),
            )
        except _DAMAGE as error:
            raise SchemaError(
                f"damaged gradscope schema: {_briefly(error)}"
            ) from error


def _briefly(error) -> str:
    # A UnicodeDecodeError holds all that could not be decoded.
    return repr(error)[:200]


def _variable(data: dict) -> Variable:
    return Variable(
        name=str(data["name"]),
        layer=str(data["layer"]),
        shape=_shape(data["shape"]),
        dtype=str(data["dtype"]),
        optimizer=str(data.get("optimizer", "")),
    )


def _activation(data: dict) -> Activation:
    return Activation(
        name=str(data["name"]),
        kind=str(data["kind"]),
        units=_whole(data["units"]),
        dtype=str(data.get("dtype", "float32")),
        rank=_whole(data.get("rank", 0)),
        axis=_whole(data.get("axis", -1), least=-1),
        is_output=bool(data.get("is_output", False)),
    )


def _state(data: dict) -> State:
    return State(
        name=str(data["name"]),
        kind=str(data["kind"]),
        size=_whole(data.get("size", 0)),
        calls=_whole(data.get("calls", 1)),
        layer=str(data.get("layer", "")),
    )


def _wiring(data: dict) -> Wiring:
    names = ("kind", "name", "detail")
    return Wiring(*(str(data[name]) for name in names))


def _data(data: dict | str) -> Data:
    if isinstance(data, str):  # of a gradscope that told the name alone
        return Data(data)
    return Data(
        name=str(data["name"]),
        dtype=str(data["dtype"]),
        shape=_shape(data["shape"], least=-1),
    )


def _shape(sizes: list, least: int = 0) -> tuple[int, ...]:
    shape = tuple(_whole(size, least) for size in sizes)
    _whole(math.prod(shape), least=-_MOST)
    return shape


def _whole(value, least: int = 0) -> int:
    """Returns a whole number that a float64, and an int64, can hold."""
    number = int(value)
    if not least <= number <= _MOST:
        raise ValueError(f"{str(number)[:30]} is not from {least} to 2**53")
    return number


def tag(family: str, schema_id: str) -> str:
    """Returns the tag of a family (or of `"schema"`) in event files."""
    return f"{PLUGIN_NAME}/{family}/{schema_id}"


def parse_tag(text: str) -> tuple[str, str] | None:
    """Returns `(family, schema id)` of a tag, None for a tag not of ours."""
    parts = text.split("/")
    if len(parts) != 3 or parts[0] != PLUGIN_NAME:
        return None
    return parts[1], parts[2]


def plugin_content() -> bytes:
    """Returns the content of the tags' plugin metadata.

    Only what says how to read the tags: the names are in the schema's tag.
    """
    return json.dumps({"version": FORMAT_VERSION}).encode()
