"""Summarises runs for `/runs`."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import threading
from typing import TYPE_CHECKING

import numpy as np

from gradscope.format.schema import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradscope.format.schema import Schema
    from gradscope.reading.record import Record

# Fields of `/runs` with the columns of a family, and the family.
_STATISTICS = {
    "activation_statistics": "activations",
    "state_statistics": "state",
    "data_statistics": "data",
    "unit_statistics": "units",
}


@dataclasses.dataclass(frozen=True)
class Summary:
    """The fields of a run in `/runs`.

    Attributes:
        fields: Fields that differ between runs of one network.
        network: Fields that all runs of a network have in common; None for a
            run that was not read.
    """

    fields: dict
    network: Network | None = None

    @property
    def all_fields(self) -> dict:
        """The fields of the run and of its network."""
        return {**self.fields, **(self.network.fields if self.network else {})}


class Network:
    """The fields that all runs of a network have in common.

    In a network of many variables these are nearly all bytes of a summary.

    Attributes:
        fields: The fields.
    """

    def __init__(self, schema: Schema, families: Iterable[str]):
        self.fields = _network_fields(schema, families)

    @functools.cached_property
    def text(self) -> str:
        """JSON of the fields, without the braces."""
        return json.dumps(self.fields)[1:-1]


class Networks:
    """A cache of networks, so that runs of one share it; thread-safe.

    Args:
        most: Largest number of networks.
    """

    def __init__(self, most: int = 16):
        self._most = most
        self._networks = collections.OrderedDict()
        self._lock = threading.Lock()

    def of(self, schema: Schema, families: Iterable[str]) -> Network:
        """Return the network of a schema.

        Args:
            schema: The schema of a run. `joining.schema_of` returns the same
                object for equal schemas, so it is recognised by its id.
            families: Families that the run has tags of.
        """
        key = (id(schema), frozenset(families))
        with self._lock:
            cached_schema, network = self._networks.pop(key, (None, None))
            # A schema that is cached exists, so no other one can have its id.
            if cached_schema is not schema:
                network = Network(schema, families)
            self._networks[key] = schema, network
            while len(self._networks) > self._most:
                self._networks.popitem(last=False)
            return network


def to_json(summaries: Iterable[Summary]) -> str:
    """Format summaries as JSON, with the fields of each network once.

    Later runs of the same network have the field `like` instead: the name of
    the first.

    Args:
        summaries: A summary for each run.
    """
    first = {}
    texts = []
    for summary in summaries:
        # The fields of a network make up nearly all of the text. They are
        # formatted once, and joined to each run's as text.
        fields = summary.fields
        network = summary.network and summary.network.text
        name = fields["name"]
        if network and first.setdefault(network, name) != name:
            fields, network = {**fields, "like": first[network]}, None
        text = json.dumps(fields)
        texts.append(f"{text[:-1]}, {network}}}" if network else text)
    return f"[{', '.join(texts)}]"


def is_sampled(record: Record) -> bool:
    """Test whether TensorBoard dropped some of a run's steps."""
    return len(record.steps) < (_last(record, "recorded") or 0)


def step_bytes(schema: Schema, family: str) -> int:
    """Compute the bytes of one step of a family."""
    columns = schema.columns.get(family, ())
    return 4 * len(schema.rows(family)) * len(columns)


def describe(record: Record, families: Iterable[str], room: int) -> dict:
    """Compute the fields of a run, without those of its network.

    Args:
        record: The run's small families.
        families: Families that the run has tags of.
        room: Largest number of bytes of a family that can be read at once.
    """
    sizes = [step_bytes(record.schema, f) for f in families if f in FAMILIES]
    # The largest family decides for all: a data provider drops the same steps
    # of each only if all are asked for the same number.
    readable = room // max(1, *sizes)
    wall_time = record.wall_times[-1]
    return {
        "name": record.run,
        "steps": min(len(record.steps), readable),
        "readable": readable,
        "first_step": int(record.steps[0]),
        "last_step": int(record.steps[-1]),
        "recorded": _last(record, "recorded"),
        "dropped": _last(record, "dropped"),
        "skipped": _last(record, "skipped"),
        # A damaged file may have any time, and NaN is no JSON.
        "last_wall_time": float(wall_time) if np.isfinite(wall_time) else 0.0,
    }


def _network_fields(schema: Schema, families) -> dict:
    return {
        "variables": [
            {
                "name": v.name,
                "layer": v.layer,
                "shape": list(v.shape),
                "dtype": v.dtype,
            }
            for v in schema.variables
        ],
        "layers": list(schema.layers),
        "activations": [_activation(a) for a in schema.activations],
        "states": [
            {
                "name": s.name,
                "kind": s.kind,
                "size": s.size,
                "layer": s.layer or s.name,
            }
            for s in schema.states
        ],
        "data": list(schema.rows("data")),
        "unseen": list(schema.unseen),
        "statistics": list(schema.columns.get("variables", ())),
        **{
            key: _statistics(schema, family, families)
            for key, family in _STATISTICS.items()
        },
    }


def _activation(activation) -> dict:
    """Describe an activation, with the number of units in a row of its map."""
    first, last = next(iter(activation.groups), (0, -1))
    return {
        "name": activation.name,
        "kind": activation.kind,
        "units": activation.units,
        "dtype": activation.dtype,
        "units_per_row": last - first + 1,
    }


def _statistics(schema: Schema, family: str, families) -> list[str]:
    """List the columns of a family, none where the run has no rows of it."""
    if family not in families or not schema.rows(family):
        return []
    return list(schema.columns.get(family, ()))


def _last(record, name: str) -> int | None:
    """Return the last value of a count, None if it was not recorded."""
    if name not in record.statistics or not np.isfinite(record[name][-1]):
        return None
    return int(record[name][-1])
