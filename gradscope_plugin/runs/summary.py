"""What `/runs` tells of a run."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import threading

import numpy as np

from gradscope.format.schema import FAMILIES

# What `/runs` calls the columns of which family.
_STATISTICS = {
    "activation_statistics": "activations",
    "state_statistics": "state",
    "data_statistics": "data",
    "unit_statistics": "units",
}


@dataclasses.dataclass(frozen=True)
class Summary:
    """What is told of a run.

    Attributes:
        own: What is the run's own.
        network: What runs of one network have in common.
    """

    own: dict
    network: Network | None = None

    @property
    def told(self) -> dict:
        """All of it."""
        return {**self.own, **(self.network.told if self.network else {})}


class Network:
    """What runs of one network have in common: of 1000 variables that is 110
    of the 111 kB that are told of a run.

    Attributes:
        told: All of it.
    """

    def __init__(self, described, families):
        self.told = _of_network(described, families)

    @functools.cached_property
    def text(self) -> str:
        """JSON of it without the braces."""
        return json.dumps(self.told)[1:-1]


class Networks:
    """The networks of runs: 50 runs of one take 4 ms each to be described. Safe
    to use from several threads."""

    def __init__(self, most: int = 16):
        self._most = most
        self._known = collections.OrderedDict()
        self._lock = threading.Lock()

    def of(self, described, families) -> Network:
        """Returns the network of a schema, of which there are families. Equal
        schemas are told by `joining.schema_of` as one object."""
        key = (id(described), frozenset(families))
        with self._lock:
            kept, network = self._known.pop(key, (None, None))
            if kept is not described:
                network = Network(described, families)
            self._known[key] = described, network
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            return network


def brief(summaries) -> str:
    """Returns JSON in which a run whose network is that of one before says so,
    by its name under `like`.

    Args:
        summaries: One `Summary` a run.
    """
    first = {}
    texts = []
    for one in summaries:
        own, network = one.own, one.network and one.network.text
        if network and first.setdefault(network, own["name"]) != own["name"]:
            own, network = {**own, "like": first[network]}, None
        text = json.dumps(own)
        texts.append(f"{text[:-1]}, {network}}}" if network else text)
    return f"[{', '.join(texts)}]"


def is_sampled(record) -> bool:
    """Returns whether TensorBoard kept only some of a run's steps."""
    return len(record.steps) < (_last(record, "recorded") or 0)


def step_bytes(described, family: str) -> int:
    """Returns how many bytes a step of a family takes."""
    columns = described.columns.get(family, ())
    return 4 * len(described.rows(family)) * len(columns)


def describe(record, families, room: int) -> dict:
    """Returns what `/runs` tells of a run, besides its network.

    Args:
        record: Of its small families.
        families: Of which there are tags.
        room: Bytes of a family that can be read at once.
    """
    sizes = [step_bytes(record.schema, f) for f in families if f in FAMILIES]
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
        "last_wall_time": float(wall_time) if np.isfinite(wall_time) else 0.0,
    }


def _of_network(described, families) -> dict:
    return {
        "variables": [
            {
                "name": v.name,
                "layer": v.layer,
                "shape": list(v.shape),
                "dtype": v.dtype,
            }
            for v in described.variables
        ],
        "layers": list(described.layers),
        "activations": [_activation(a) for a in described.activations],
        "states": [
            {
                "name": s.name,
                "kind": s.kind,
                "size": s.size,
                "layer": s.layer or s.name,
            }
            for s in described.states
        ],
        "data": list(described.rows("data")),
        "unseen": list(described.unseen),
        "statistics": list(described.columns.get("variables", ())),
        **{
            key: _statistics(described, family, families)
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


def _statistics(described, family, families) -> list[str]:
    """Returns the columns of a family, none where it has no numbers."""
    if family not in families or not described.rows(family):
        return []
    return list(described.columns.get(family, ()))


def _last(record, name):
    """Returns the last value of a count, None if it was not recorded."""
    if name not in record.statistics or not np.isfinite(record[name][-1]):
        return None
    return int(record[name][-1])
