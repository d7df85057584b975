"""Reduces two records to the steps and rows that both have."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradscope.comparing.difference import same_bits
from gradscope.comparing.matching import Matching, match
from gradscope.reading.record import Record


def common_records(
    a: Record,
    b: Record,
    matching: Matching,
    at_a: np.ndarray,
    at_b: np.ndarray,
) -> tuple[Record, Record]:
    """Reduce two records to the same steps and variables.

    Args:
        a, b: The records.
        matching: Pairs of their variables.
        at_a, at_b: Indices of the common steps in each.
    """
    rows_a, rows_b = (
        [pair[side] for pair in matching.pairs] for side in (0, 1)
    )
    schema_a = dataclasses.replace(
        a.schema, variables=tuple(a.schema.variables[i] for i in rows_a)
    )
    schema_b = dataclasses.replace(
        b.schema,
        variables=tuple(
            dataclasses.replace(
                b.schema.variables[j],
                name=a.schema.variables[i].name,
                layer=a.schema.variables[i].layer,
            )
            for i, j in matching.pairs
        ),
    )
    return (
        _select(a, schema_a, at_a, rows_a),
        _select(b, schema_b, at_b, rows_b),
    )


def _select(record, schema, at, rows) -> Record:
    families = {name: values[at] for name, values in record.families.items()}
    if "variables" in families:
        families["variables"] = families["variables"][:, rows]
    return dataclasses.replace(
        record,
        schema=schema,
        steps=record.steps[at],
        wall_times=record.wall_times[at],
        families=families,
        # Their steps differ from those of `families`, and only sketches of them
        # are compared, see `gradient_sketches`.
        rare={},
    )


def first_differing_step(a: Record, b: Record) -> int | None:
    """Find the first step at which a number of a variable differs in any bit.

    Args:
        a, b: Records of the same steps and variables.
    """
    columns = a.schema.columns["variables"], b.schema.columns["variables"]
    common = [name for name in columns[0] if name in columns[1]]
    values = []
    for record, names in zip((a, b), columns, strict=True):
        indices = [names.index(name) for name in common]
        table = record.families["variables"]
        # An index with a list copies, and a table may have gigabytes.
        is_complete = indices == list(range(len(names)))
        values.append(table if is_complete else table[:, :, indices])
    differing = np.flatnonzero(~same_bits(*values).all(axis=(1, 2)))
    return int(a.steps[differing[0]]) if len(differing) else None


def match_rows(a: Record, b: Record, family: str) -> Matching:
    """Pair the rows of a family of two records."""
    kinds = {
        "variables": lambda s: [v.shape for v in s.variables],
        "activations": lambda s: [(a.kind, a.units) for a in s.activations],
        "state": lambda s: [state.kind for state in s.states],
        "data": lambda s: [data.name for data in s.data],
    }[family]
    return match(
        a.schema.rows(family),
        kinds(a.schema),
        b.schema.rows(family),
        kinds(b.schema),
    )


def unpaired_rows(a: Record, b: Record, side: int) -> tuple[str, ...]:
    """Name the rows of one record that have no partner in the other.

    Args:
        a, b: The records.
        side: 0 for those of `a`, 1 for those of `b`.
    """
    unpaired: list[str] = []
    for family in ("variables", "activations", "state", "data"):
        names = (a, b)[side].schema.rows(family)
        indices = match_rows(a, b, family).unpaired(side, len(names))
        unpaired += [names[index] for index in indices]
    return tuple(dict.fromkeys(unpaired))
