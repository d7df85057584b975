"""Parts of a record: one layer of it, or the steps that a page has not yet."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np

from gradscope.format.schema import OCCASIONAL


def layer_of(name: str) -> str:
    """Returns the layer of an activation: `dense_1` of `dense_1/relu`."""
    return name.rpartition("/")[0] or name


def only(record, name: str):
    """Returns the record of one layer: its variables, activations and states.

    Args:
        record: A `gradscope.Record`.
        name: Of a layer, a variable, an activation or a row of the state.
    """
    chosen = {
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
    described = dataclasses.replace(
        record.schema,
        **{
            rows: tuple(
                row
                for row, is_chosen in zip(
                    getattr(record.schema, rows), flags, strict=True
                )
                if is_chosen
            )
            for rows, flags in chosen.items()
        },
    )
    kept = {**chosen, "state": chosen["states"]}
    kept["units"] = [
        is_chosen
        for activation, is_chosen in zip(
            record.schema.activations, chosen["activations"], strict=True
        )
        for _ in activation.groups
    ]
    return dataclasses.replace(
        record,
        schema=described,
        families={
            family: values[:, kept[family]] if family in kept else values
            for family, values in record.families.items()
        },
        rare={
            family: (steps, values[:, kept[family]])
            for family, (steps, values) in record.rare.items()
            if family in kept
        },
    )


def between(record, first: int, last: int):
    """Returns the record of the steps `first` to `last`, both included."""
    here = (record.steps >= first) & (record.steps <= last)
    if here.all():
        here = slice(None)  # a view: the copy of 56 MB takes 20 ms
    return _at(
        record,
        here,
        {
            family: (steps[part], values[part])
            for family, (steps, values) in record.rare.items()
            for part in [(steps >= first) & (steps <= last)]
        },
    )


def thinned(record, most: int):
    """Returns the record of at most so many steps, evenly chosen."""
    count = len(record.steps)
    if count <= most:
        return record
    chosen = np.linspace(0, count - 1, most).round().astype(int)
    return _at(record, chosen, record.rare)


def _at(record, chosen, rare):
    return dataclasses.replace(
        record,
        steps=record.steps[chosen],
        wall_times=record.wall_times[chosen],
        families={k: v[chosen] for k, v in record.families.items()},
        rare=rare,
    )


def steps_of(record, family: str) -> np.ndarray:
    """Returns the steps that a family has."""
    return (
        record.occasional(family)[0] if family in OCCASIONAL else record.steps
    )


def mark(record, step: int) -> int:
    """Returns a number below 2**32 that changes when anything up to a step is
    another than it was: a step made again, a step that TensorBoard threw away,
    another model."""
    count = int(np.searchsorted(record.steps, step, side="right"))
    code = zlib.crc32(record.schema.id.encode())
    code = zlib.crc32(record.steps[:count].tobytes(), code)
    return zlib.crc32(record.wall_times[:count].tobytes(), code)
