"""What `/runs` tells of a run."""

from __future__ import annotations

import numpy as np


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


def describe(record, families) -> dict:
    """Returns what `/runs` tells of a run that has these families' tags."""
    variables = record.schema.variables
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
        "steps": len(record.steps),
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
