"""What `/runs` tells of a run."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from gradscope.schema import FAMILIES

#: What runs of one network have in common: of 1000 variables it is 110 of the
#: 111 kB that are told of a run.
SHARED = (
    "variables",
    "layers",
    "activations",
    "states",
    "data",
    "unseen",
    "statistics",
    "activation_statistics",
    "state_statistics",
    "data_statistics",
    "unit_statistics",
)


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is told of a run.

    Attributes:
        told: All of it.
        own: JSON of what is not in `SHARED`, without the last brace.
        shared: JSON of what is, without the first brace; empty if nothing.
    """

    told: dict
    own: str
    shared: str

    @classmethod
    def of(cls, told: dict) -> Summary:
        """Returns what is told of a run, made ready to be sent."""
        own = {k: v for k, v in told.items() if k not in SHARED}
        shared = {k: told[k] for k in SHARED if k in told}
        return cls(
            told, json.dumps(own)[:-1], json.dumps(shared)[1:] if shared else ""
        )


def brief(summaries) -> str:
    """Returns JSON in which a run that shares all of `SHARED` with one before
    says so, by its name under `like`.

    Args:
        summaries: One `Summary` a run.
    """
    first = {}
    texts = []
    for one in summaries:
        rest = f", {one.shared}" if one.shared else "}"
        if one.shared and first.setdefault(one.shared, one) is not one:
            like = json.dumps(first[one.shared].told["name"])
            rest = f', "like": {like}}}'
        texts.append(one.own + rest)
    return f"[{', '.join(texts)}]"


def is_sampled(record) -> bool:
    """Returns whether TensorBoard kept only some of a run's steps."""
    return len(record.steps) < (_last(record, "recorded") or 0)


# What `/runs` calls the columns of which family.
_STATISTICS = {
    "activation_statistics": "activations",
    "state_statistics": "state",
    "data_statistics": "data",
    "unit_statistics": "units",
}


def step_bytes(described, family: str) -> int:
    """Returns how many bytes a step of a family takes."""
    columns = described.columns.get(family, ())
    return 4 * len(described.rows(family)) * len(columns)


def describe(record, families, room: int) -> dict:
    """Returns what `/runs` tells of a run that has these families' tags.

    Args:
        record: Of its small families.
        families: Of which there are tags.
        room: Bytes of a family that can be read at once.
    """
    variables = record.schema.variables
    sizes = [step_bytes(record.schema, f) for f in families if f in FAMILIES]
    readable = room // max(1, *sizes)
    return {
        "name": record.run,
        "variables": [
            {
                "name": v.name,
                "layer": v.layer,
                "shape": list(v.shape),
                "dtype": v.dtype,
            }
            for v in variables
        ],
        "layers": list(record.layers),
        "activations": [_activation(a) for a in record.schema.activations],
        "states": [
            {
                "name": s.name,
                "kind": s.kind,
                "size": s.size,
                "layer": s.layer or s.name,
            }
            for s in record.schema.states
        ],
        "data": list(record.schema.rows("data")),
        "unseen": list(record.schema.unseen),
        "steps": min(len(record.steps), readable),
        "readable": readable if readable < len(record.steps) else None,
        "first_step": int(record.steps[0]),
        "last_step": int(record.steps[-1]),
        "recorded": _last(record, "recorded"),
        "dropped": _last(record, "dropped"),
        "skipped": _last(record, "skipped"),
        "last_wall_time": float(record.wall_times[-1]),
        "statistics": list(record.schema.columns.get("variables", ())),
        **{
            key: _statistics(record, family, families)
            for key, family in _STATISTICS.items()
        },
    }


def _activation(activation) -> dict:
    """Returns an activation, with how many units a row of its map has."""
    first, last = next(iter(activation.groups), (0, -1))
    return {
        "name": activation.name,
        "kind": activation.kind,
        "units": activation.units,
        "dtype": activation.dtype,
        "units_per_row": last - first + 1,
    }


def _statistics(record, family, families) -> list[str]:
    """Returns the columns of a family, none where it has no numbers."""
    if family not in families or not record.schema.rows(family):
        return []
    return list(record.schema.columns.get(family, ()))


def _last(record, name):
    """Returns the last value of a count, None if it was not recorded."""
    if name not in record.statistics or np.isnan(record[name][-1]):
        return None
    return int(record[name][-1])
