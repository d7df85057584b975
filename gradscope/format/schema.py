"""The schema of a record: the contract between the writer and all readers.

One recorded step is one event. For each *family* the event holds a float32
tensor `[rows, columns]` under the tag `gradscope/<family>/<schema id>`; the
schema is JSON under `gradscope/schema/<schema id>`. The id is part of the tag,
so that rows are never read with the names of another model. The logs of an
epoch are JSON under `gradscope/logs/<schema id>`. Where one step has several
values of a tag, the second one is under `<tag>/2`, and so on, since the steps
of each tag rise strictly.

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
from typing import Any

from gradscope.format import schema_json
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
from gradscope.format.schema_json import FORMAT_VERSION, SchemaError

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
    "further_tag",
    "parse_tag",
    "plugin_content",
    "tag",
]

PLUGIN_NAME = "gradscope"

#: Sub-directory of the user's log directory that one writer has to itself.
#: TensorBoard's Python reader loses events when two files grow in one
#: directory (tensorboard issue #1063).
DIRECTORY = "gradscope"

#: Most names of sums that a schema has.
_MOST_SUMS = 100


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
        # Families of the step as a whole have one row, without a name.
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
        return cls(**schema_json.parse(text))


def tag(family: str, schema_id: str) -> str:
    """Build the tag of a family, of `"schema"` or of `"logs"`."""
    return f"{PLUGIN_NAME}/{family}/{schema_id}"


def further_tag(tag: str, number: int) -> str:
    """Build the tag of a step's second or later value under a tag.

    Args:
        tag: The tag of the first value.
        number: 2 for the second value.
    """
    return f"{tag}/{number}"


def parse_tag(text: str) -> tuple[str, str] | None:
    """Split a tag, also a further one, into `(family, schema id)`; None for any
    other tag."""
    parts = text.split("/")
    if len(parts) == 4 and parts[3].isdecimal():
        parts.pop()
    if len(parts) != 3 or parts[0] != PLUGIN_NAME:
        return None
    return parts[1], parts[2]


def plugin_content() -> bytes:
    """Build the content of the tags' plugin metadata, the format's version.

    The names of rows and columns are under the schema's tag.
    """
    return json.dumps({"version": FORMAT_VERSION}).encode()
