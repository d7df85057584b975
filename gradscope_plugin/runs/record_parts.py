"""Selects the rows of one layer, or some steps, of a record."""

from __future__ import annotations

import dataclasses
import zlib
from typing import TYPE_CHECKING

import numpy as np

from gradscope.format.schema import OCCASIONAL

if TYPE_CHECKING:
    from gradscope.reading.record import Record


def layer_of(name: str) -> str:
    """Return an activation's layer, such as `dense_1` of `dense_1/relu`."""
    return name.rpartition("/")[0] or name


def select_rows(record: Record, name: str) -> Record:
    """Select the rows of one layer: its variables, activations and states.

    Args:
        record: The record.
        name: Name of the layer, or of a single variable, activation, state or
            data row.
    """
    flags = {
        "variables": [
            name in (v.name, v.layer) for v in record.schema.variables
        ],
        "activations": [
            name in (a.name, layer_of(a.name))
            for a in record.schema.activations
        ],
        "states": [name in (s.name, s.layer) for s in record.schema.states],
        "data": [name == d.name for d in record.schema.data],
    }
    selected = dataclasses.replace(
        record.schema,
        **{
            rows: tuple(
                row
                for row, is_selected in zip(
                    getattr(record.schema, rows), flags_of_rows, strict=True
                )
                if is_selected
            )
            for rows, flags_of_rows in flags.items()
        },
    )
    # The schema calls the rows `states` that the family `state` has.
    indices = {**flags, "state": flags["states"]}
    # A map of units has a row for each group of neighbours.
    indices["units"] = [
        is_selected
        for activation, is_selected in zip(
            record.schema.activations, flags["activations"], strict=True
        )
        for _ in activation.groups
    ]
    return dataclasses.replace(
        record,
        schema=selected,
        families={
            family: values[:, indices[family]] if family in indices else values
            for family, values in record.families.items()
        },
        rare={
            family: (steps, values[:, indices[family]])
            for family, (steps, values) in record.rare.items()
            if family in indices
        },
    )


def select_steps(record: Record, first: int, last: int) -> Record:
    """Select the steps from `first` to `last`, both included."""
    indices = (record.steps >= first) & (record.steps <= last)
    if indices.all():
        indices = slice(None)  # a view instead of a copy of all numbers
    return _take_steps(
        record,
        indices,
        {
            family: (steps[part], values[part])
            for family, (steps, values) in record.rare.items()
            for part in [(steps >= first) & (steps <= last)]
        },
    )


def thin(record: Record, most: int) -> Record:
    """Select at most `most` steps, evenly spaced."""
    count = len(record.steps)
    if count <= most:
        return record
    indices = np.linspace(0, count - 1, most).round().astype(int)
    # What only some steps have is little, and stays whole.
    return _take_steps(record, indices, record.rare)


def _take_steps(record, indices, rare) -> Record:
    return dataclasses.replace(
        record,
        steps=record.steps[indices],
        wall_times=record.wall_times[indices],
        families={k: v[indices] for k, v in record.families.items()},
        rare=rare,
    )


def steps_of(record: Record, family: str) -> np.ndarray:
    """Return the steps at which a family was recorded, int64 `[T]`."""
    return (
        record.occasional(family)[0] if family in OCCASIONAL else record.steps
    )


def mark(record: Record, step: int) -> int:
    """Compute a checksum, below 2**32, of the steps up to a step.

    It changes when a step was repeated, when TensorBoard dropped a step, and
    when the model is another one.
    """
    count = int(np.searchsorted(record.steps, step, side="right"))
    code = zlib.crc32(record.schema.id.encode())
    code = zlib.crc32(record.steps[:count].tobytes(), code)
    return zlib.crc32(record.wall_times[:count].tobytes(), code)
