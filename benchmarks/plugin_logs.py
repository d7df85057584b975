"""Logs of runs of any size, for `benchmarks.plugin`.

The numbers are made up, the files are not: they are written by gradscope's own
writer, one event a step. A run is written once; the others are hard links to
its file, which costs TensorBoard as much as files of their own, but no disk.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from gradscope.format import schema, stored_columns
from gradscope.recording import event_writer

COLUMNS = schema.VARIABLE_COLUMNS

#: Histograms of a variable: what TensorBoard's data server keeps by default.
HISTOGRAMS = 100

_WALL_TIME = 1.7e9

# Made once; each step is one of these, and the first.
_PATTERNS = 16


def network(variables: int) -> schema.Schema:
    """Return the schema of a network of kernels, in blocks of ten layers:
    each variable is a row of the heatmap."""
    rows = []
    for number in range(variables):
        layer = f"block_{number // 10}/dense_{number}"
        rows.append(
            schema.Variable(f"{layer}/kernel", layer, (32, 32), "float32")
        )
    described = schema.Schema(tuple(rows), {"name": "SGD"})
    return stored_columns.with_stored_columns(described)


def family_value(described: schema.Schema, family: str, table):
    """Return the value of a family in an event, with the columns that a
    training writes."""
    packed = stored_columns.pack(described, family, np.asarray(table))
    return event_writer.family_value(family, described.id, packed)


def patterns(variables: int) -> np.ndarray:
    """Return float32 `[_PATTERNS, variables, columns]` of a healthy run."""
    noise = np.random.default_rng(0).normal(size=(_PATTERNS, variables))
    gradients = 0.5 * np.exp(0.3 * noise)
    numbers = {
        "gradient_norm": gradients,
        "gradient_rms": gradients / 32,
        "gradient_max": gradients / 8,
        "gradient_size": np.full_like(gradients, 1024),
        "clipped_gradient_norm": np.full_like(gradients, np.nan),
        "gradient_unit_spread": np.full_like(gradients, 0.9),
        "weight_norm": np.full_like(gradients, 4),
        "weight_rms": np.full_like(gradients, 4 / 32),
        "update_norm": 0.01 * gradients,
        "gradient_to_weight_ratio": gradients / 4,
        "update_to_weight_ratio": 0.01 * gradients / 4,
    }
    zeros = np.zeros_like(gradients)
    return np.stack([numbers.get(n, zeros) for n in COLUMNS], axis=2).astype(
        np.float32
    )


def write(
    logdir: str, variables: int, steps: int, runs: int, histograms: bool
) -> int:
    """Write some runs of one size below a directory; return their bytes on
    the disk.

    Args:
        logdir: Of TensorBoard.
        variables, steps, runs: How many.
        histograms: Whether each variable has `HISTOGRAMS` of its gradient in
            TensorBoard's own tab, at steps that are evenly spaced.
    """
    first = os.path.join(logdir, "run_00", schema.DIRECTORY)
    _write_run(first, variables, steps, histograms)
    (file,) = pathlib.Path(first).iterdir()
    for number in range(1, runs):
        directory = os.path.join(logdir, f"run_{number:02d}", schema.DIRECTORY)
        os.makedirs(directory)
        os.link(file, os.path.join(directory, file.name))
    return file.stat().st_size


def _write_run(directory, variables, steps, histograms) -> None:
    described, numbers = network(variables), patterns(variables)
    every = max(1, steps // HISTOGRAMS)
    file = event_writer.EventWriter(directory)
    for step in range(steps):
        run = {"recorded": step + 1, "dropped": 0}
        run = [[run.get(name, np.nan) for name in schema.RUN_COLUMNS]]
        values = [
            family_value(described, "variables", numbers[step % _PATTERNS]),
            family_value(described, "run", run),
        ]
        if step == 0:
            values.append(event_writer.schema_value(described))
        if histograms and step % every == 0:
            values += _histograms(described, step)
        file.write(step, _WALL_TIME + step, values)
    file.close()


def _histograms(described, step) -> list:
    """Return a histogram of each variable's gradient, of 30 buckets, as many
    as `tf.summary.histogram` writes."""
    edges = np.linspace(-1, 1, 31) * (1 + step % 7)
    counts = np.exp(-(np.linspace(-3, 3, 30) ** 2)) * 1000
    rows = np.stack([edges[:-1], edges[1:], counts.round()], axis=1)
    return [
        event_writer.histogram_value(f"gradients/{variable.name}", rows)
        for variable in described.variables
    ]
