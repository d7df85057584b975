"""Records of classifiers made by hand, for the tests of the rules."""

from __future__ import annotations

import numpy as np
from synthetic import network, record

from gradscope.format.epoch_logs import Log
from gradscope.format.schema import Data


def classifier(classes=10, loss="SparseCategoricalCrossentropy", layers=()):
    """The schema of a network of that many classes."""
    one_hot = (classes,) if loss == "CategoricalCrossentropy" else ()
    data = (
        Data("input", "float32", (8,)),
        Data("target", "float32", one_hot),
        Data("output", "float32", (classes,)),
    )
    facts = [
        {"name": name, "class": kind, "config": config}
        for name, kind, config in layers
    ]
    compiled = {"class": loss, "config": {}}
    return network(data=data, model={"layers": facts, "loss": compiled})


def run(described=None, count=200, **statistics):
    """A healthy run of 10 classes, but for what is given."""
    statistics.setdefault("data_max", {"target": 9.0})
    statistics.setdefault("loss", np.linspace(2.5, 0.5, count))
    return record(described or classifier(), count, **statistics)


def epochs(**logs):
    """Logs of as many epochs as there are values."""
    return [
        Log(10 * epoch, epoch, dict(zip(logs, values, strict=True)))
        for epoch, values in enumerate(zip(*logs.values(), strict=True))
    ]
