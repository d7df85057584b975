"""The record: what the writer puts into an event file and every reader expects.

One recorded step is one event. It holds, for each *family*, a float32 tensor
`[rows, columns]` under the tag `gradscope/<family>/<schema id>`; the schema
itself is a JSON string under `gradscope/schema/<schema id>`. The id is part of
the tag, so that rows are never read against the names of another model.

This module is the only contract between writer and reader. It needs numpy
alone: TensorBoard imports it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

PLUGIN_NAME = "gradscope"
FORMAT_VERSION = 1

#: Sub-directory of the user's log directory that one writer has to itself.
#: TensorBoard's Python reader loses events when two files grow in one
#: directory (tensorboard issue #1063).
DIRECTORY = "gradscope"

#: Statistics of one trainable variable in one step. Norms are L2 norms, of
#: the gradient that the step applied (of all replicas, unscaled, before the
#: optimizer's clipping; `clipped_gradient_norm` after it, NaN where it is
#: off), of the weight before the step, and of the update (weight after minus
#: weight before). `gradient_size` is the number of the gradient's elements: of
#: a sparse one (`IndexedSlices`) only the rows that it has count.
VARIABLE_COLUMNS = (
    "gradient_norm",
    "gradient_rms",
    "gradient_max",
    "gradient_zero_fraction",
    "gradient_size",
    "gradient_nonfinite",
    "clipped_gradient_norm",
    "weight_norm",
    "weight_rms",
    "update_norm",
    "gradient_to_weight_ratio",
    "update_to_weight_ratio",
    "gradient_missing",
)

#: Numbers of the whole step. `skipped` counts the steps that a loss scale
#: skipped for their overflow since the run was started, `recorded` the records
#: that this process wrote up to and including this one, `dropped` those that
#: it lost, and `histograms_dropped` the steps whose histograms it lost.
RUN_COLUMNS = (
    "learning_rate",
    "global_gradient_norm",
    "global_clipped_norm",
    "loss_scale",
    "skipped",
    "recorded",
    "dropped",
    "histograms_dropped",
)

#: Statistics of one activation in one step; see `measuring.activations`.
#: Units are dead or always on over a window of examples, and NaN until so many
#: were seen; the others are those of the step.
ACTIVATION_COLUMNS = (
    "dead_fraction",
    "always_on_fraction",
    "zero_fraction",
    "saturated_fraction",
    "activation_mean",
    "activation_rms",
    "activation_max",
    "activation_nonfinite",
)

FAMILIES = {
    "variables": VARIABLE_COLUMNS,
    "activations": ACTIVATION_COLUMNS,
    "run": RUN_COLUMNS,
}

#: What reading damaged text can raise; int(Infinity) is an OverflowError.
_DAMAGE = (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


class SchemaError(ValueError):
    """A schema in an event file that this version cannot read."""


@dataclasses.dataclass(frozen=True)
class Variable:
    """One trainable variable.

    Attributes:
        name: Unique in the run, `<layer>/<variable>`, as in `dense_1/kernel`.
        layer: Name of the layer that owns it.
        shape: Its shape.
        dtype: Name of its dtype, as in `"float32"`.
    """

    name: str
    layer: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class Activation:
    """One activation of the forward pass.

    Attributes:
        name: Unique in the run, as in `dense_1/relu`.
        kind: Its function, as in `"relu"`.
        units: Size of its last axis.
    """

    name: str
    kind: str
    units: int


@dataclasses.dataclass(frozen=True)
class Schema:
    """Names of the rows and columns of a run's record.

    Attributes:
        variables: Trainable variables in forward order: rows of `variables`.
        optimizer: Class name and configuration of the optimizer, as JSON.
        columns: Column names of each family, as they are in the file.
        activations: In forward order: rows of `activations`.
        unseen: Names of what could not be observed, as of functions inside
            of the step's.
    """

    variables: tuple[Variable, ...]
    optimizer: dict = dataclasses.field(default_factory=dict)
    columns: dict = dataclasses.field(default_factory=lambda: dict(FAMILIES))
    activations: tuple[Activation, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in the order of their first variable."""
        return tuple(dict.fromkeys(v.layer for v in self.variables))

    @property
    def id(self) -> str:
        """Eight hex digits that change when a row or a column changes."""
        rows = [[v.name, v.layer, list(v.shape)] for v in self.variables]
        rows += [[a.name, a.kind, a.units] for a in self.activations]
        columns = sorted((k, list(v)) for k, v in self.columns.items())
        text = json.dumps([FORMAT_VERSION, rows, columns])
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def rows(self, family: str) -> tuple[str, ...]:
        """Names of the rows of a family; a number of the whole step has one
        row without a name."""
        if family == "variables":
            return tuple(v.name for v in self.variables)
        if family == "activations":
            return tuple(a.name for a in self.activations)
        return ("",)

    def to_json(self) -> str:
        """Returns the text that `from_json` reads."""
        return json.dumps(
            {
                "version": FORMAT_VERSION,
                "variables": [dataclasses.asdict(v) for v in self.variables],
                "activations": [
                    dataclasses.asdict(a) for a in self.activations
                ],
                "unseen": list(self.unseen),
                "columns": self.columns,
                "optimizer": self.optimizer,
            }
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
            raise SchemaError(f"not a gradscope schema: {error!r}") from error
        if version > FORMAT_VERSION:
            raise SchemaError(
                f"the run was recorded in format {version}, this gradscope "
                f"reads up to {FORMAT_VERSION}: upgrade gradscope."
            )
        try:
            return cls(
                variables=tuple(_variable(v) for v in data["variables"]),
                optimizer=dict(data.get("optimizer", {})),
                columns={
                    str(family): tuple(map(str, names))
                    for family, names in data["columns"].items()
                },
                # Of version 0.1.0 on.
                activations=tuple(
                    _activation(a) for a in data.get("activations", ())
                ),
                unseen=tuple(map(str, data.get("unseen", ()))),
            )
        except _DAMAGE as error:
            raise SchemaError(f"damaged gradscope schema: {error!r}") from error


def _variable(data: dict) -> Variable:
    return Variable(
        name=str(data["name"]),
        layer=str(data["layer"]),
        shape=tuple(int(n) for n in data["shape"]),
        dtype=str(data["dtype"]),
    )


def _activation(data: dict) -> Activation:
    return Activation(
        name=str(data["name"]),
        kind=str(data["kind"]),
        units=int(data["units"]),
    )


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
