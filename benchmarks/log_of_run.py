"""How many bytes the log of a whole run has, at the default steps.

    python -m benchmarks.log_of_run [FOLDER]

Prints the bytes of the gradscope that is imported: `PYTHONPATH=FOLDER` takes
that of another folder, such as an older commit's, for the same numbers. No
network is trained; what a network of so many variables measures is made up.
"""

from __future__ import annotations

import inspect
import os
import tempfile

import numpy as np

import gradscope
from gradscope.format import histogram_buckets, step_layout
from gradscope.format.schema import Activation, Schema, Variable
from gradscope.recording import (
    background,
    drain,
    event_writer,
    host_ring,
    tensorboard_tabs,
)
from gradscope.schedule import Every

#: Steps of the training, of which every 10th is recorded after the first 50.
STEPS = 2000

#: Variables of the networks: as a residual network of 73 blocks has them, and
#: as a multilayer perceptron.
NETWORKS = (294, 6)


def network(variables: int) -> Schema:
    """Return the schema of dense layers, half of them with a norm behind."""
    rows: list[Variable] = []
    for number in range(-(-variables // 4)):
        for layer, names in (("dense", "kernel bias"), ("norm", "gamma beta")):
            for name in names.split():
                shape = (64, 64) if name == "kernel" else (64,)
                rows.append(
                    Variable(
                        f"{layer}_{number}/{name}",
                        f"{layer}_{number}",
                        shape,
                        "float32",
                    )
                )
    activations = tuple(
        Activation(f"dense_{number}/relu", "relu", 64)
        for number in range(variables // 4)
    )
    return Schema(tuple(rows[:variables]), activations=activations)


def frame(layout: step_layout.Layout, schema: Schema, random) -> np.ndarray:
    """Return a frame of usual numbers."""
    row = random.uniform(0.1, 1, layout.width).astype(np.float32)
    parts = layout.split(row)
    parts["origin"][:] = np.nan
    parts["activations"][:, -1] = 32  # examples
    usual = {
        "gradient_size": [v.size for v in schema.variables],
        "gradient_nonfinite": 0,
        "gradient_missing": 0,
        "clipped_gradient_norm": np.nan,
    }
    for name, value in usual.items():
        column = step_layout.MEASURED.index(name)
        parts["variables"][:, column] = value
    parts["header"][1:] = np.nan  # no loss scale
    return row


def counts(schema: Schema, kinds: int, random) -> np.ndarray:
    """Return the histograms of normally distributed values."""
    edges = histogram_buckets.edges()
    table = np.zeros([kinds, len(schema.variables), histogram_buckets.COUNT])
    for kind in table:
        for row, variable in zip(kind, schema.variables, strict=True):
            values = random.normal(scale=0.1, size=variable.size)
            row[: len(edges) - 1] = np.histogram(values, edges)[0]
    return table.astype(np.float32)


def size(variables: int, histograms: bool, steps: int = STEPS) -> int:
    """Return the bytes of a log at the default steps."""
    background.watch = lambda item: None  # nothing drains in between
    schema, random = network(variables), np.random.default_rng(0)
    layout = step_layout.Layout.of(schema)
    default = inspect.signature(gradscope.wrap).parameters["histograms"].default
    is_old = default == 100  # before `Thinning`
    kinds = 3 if is_old else len(tensorboard_tabs.kinds(()))
    schedule = Every(100, dense=1) if is_old else default
    directory = tempfile.mkdtemp()
    rings = host_ring.HostRing(steps), host_ring.HostRing(steps)
    records = drain.Drain(
        event_writer.EventWriter(directory),
        schema,
        rings[0],
        rings[1],
        list(range(variables)),
        1000,
        *(() if is_old else (tensorboard_tabs.kinds(()),)),
    )
    some = [counts(schema, kinds, random).ravel() for _ in range(2)]
    sketches = random.normal(size=16 * variables).astype(np.float32)
    for step in filter(Every(10).due, range(steps)):
        if histograms and schedule.due(step):
            numbers = np.concatenate([some[step // 100 % 2], sketches])
            rings[1].put(step, numbers, 0, np.add)
        rings[0].put(step, frame(layout, schema, random), 0, np.add)
    records.close()
    return sum(entry.stat().st_size for entry in os.scandir(directory))


def main() -> None:
    print(f"{os.path.dirname(gradscope.__file__)}, {STEPS} steps")
    print("| variables | default | histograms=None |")
    print("|--:|--:|--:|")
    for variables in NETWORKS:
        default, without = (size(variables, flag) for flag in (True, False))
        print(f"| {variables} | {default} | {without} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
