"""One record of the points of many tags, and of the parts of a run.

A run whose model changed, or that was resumed with another model, has several
schemas: each is a part. Steps that were made again replace the old ones.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from gradscope.format import epoch_logs
from gradscope.format import schema as schema_module
from gradscope.format.schema import OCCASIONAL, Schema
from gradscope.format.step_order import (
    in_order,
    not_made_again,
    points_in_order,
)
from gradscope.reading.record import Record


def from_series(run: str, series: dict[str, list]) -> Record | None:
    """Puts a run together from the time series of its tags.

    A run whose model changed, or that was resumed with another model, has
    several schemas. The rows of all are kept; those of the last come first.

    Args:
        run: Name of the run.
        series: For each tag of ours its points `(step, wall time, value)` in
            the order of writing: arrays, and bytes for schemas.

    Returns:
        The record, or None while there is no schema or no step.

    Raises:
        SchemaError: If a schema cannot be read.
    """
    parts = []
    for tag, points in series.items():
        family, schema_id = schema_module.parse_tag(tag)
        if family == "schema":
            schema = schema_of(points)
            part = _part(run, schema, schema_id, series)
            if part is not None:
                parts.append(part)
    parts.sort(key=lambda part: part.wall_times[-1])
    return _join(parts) if parts else None


def schema_of(points: list) -> Schema:
    """Returns the schema of a schema's tag: what was written last.

    Raises:
        SchemaError: If it cannot be read.
    """
    text = points[-1][2]
    if not isinstance(text, bytes | str):
        raise schema_module.SchemaError(
            f"not a gradscope schema: an array of shape {np.shape(text)}"
        )
    return _described(text)


@functools.lru_cache(maxsize=16)
def _described(text) -> Schema:
    """Returns a schema, of 1000 variables in 6 ms; 50 runs of one network have
    one text."""
    return Schema.from_json(text)


def _part(run, schema, schema_id, series) -> Record | None:
    families, occasional = {}, {}
    reference = None
    for family, columns in schema.columns.items():
        points = series.get(schema_module.tag(family, schema_id))
        if not points:
            continue
        shape = (len(schema.rows(family)), len(columns))
        points = [p for p in points if np.shape(p[2]) == shape]
        if family in OCCASIONAL:
            occasional[family] = points
            continue
        points = points_in_order(points)
        if not points:
            continue
        steps, values = _stack(points)
        if reference is None:
            reference = steps
            wall_times = np.array([p[1] for p in points], np.float64)
        families[family] = _at_steps(reference, steps, values)
    if reference is None:
        return None
    rare = {}
    for family, points in occasional.items():
        if family == "units":
            # A probe is written at once, and a step when it was fetched: only
            # of what is written with a step the time tells the order.
            points = not_made_again(points, reference, wall_times)
        points = points_in_order(points)
        if points:
            rare[family] = _stack(points)
    arrived = series.get(schema_module.tag("logs", schema_id), ())
    return Record(
        run,
        schema,
        reference,
        wall_times,
        families,
        rare,
        logs=epoch_logs.in_order([point[2] for point in arrived]),
    )


def _stack(points) -> tuple[np.ndarray, np.ndarray]:
    steps = np.array([p[0] for p in points], np.int64)
    # One by one: numpy's own `stack` of 1000 steps x 1000 variables, 56 MB,
    # keeps all other threads waiting for 0.1 s, and a cast copies them again.
    values = np.empty((len(points), *np.shape(points[0][2])), np.float32)
    for target, point in zip(values, points, strict=True):
        target[...] = point[2]
    return steps, values


def _at_steps(wanted, steps, values):
    """Returns `values` at the wanted steps, NaN where there is none."""
    if np.array_equal(wanted, steps):
        return values
    out = np.full((len(wanted), *values.shape[1:]), np.nan, np.float32)
    _, to, source = np.intersect1d(wanted, steps, return_indices=True)
    out[to] = values[source]
    return out


def _join(parts: list[Record]) -> Record:
    """Joins the parts of one run, oldest first; the last schema leads."""
    if len(parts) == 1:
        return parts[0]
    arrived = [
        (n, i)
        for together in _simultaneous(parts)
        for _, n, i in sorted(
            (step, n, i)
            for n in together
            for i, step in enumerate(parts[n].steps.tolist())
        )
    ]
    kept = in_order([int(parts[n].steps[i]) for n, i in arrived])
    order = [arrived[index] for index in kept]
    # A part whose steps were all done again by a later one is history.
    alive = [parts[n] for n in sorted({n for n, _ in order})]
    schema = _joint_schema([part.schema for part in alive])
    joined = Record(
        run=parts[-1].run,
        schema=schema,
        steps=np.array([parts[n].steps[i] for n, i in order], np.int64),
        wall_times=np.array([parts[n].wall_times[i] for n, i in order]),
        families={
            family: np.full(
                (len(order), len(schema.rows(family)), len(columns)), np.nan
            ).astype(np.float32)
            for family, columns in schema.columns.items()
            if schema.rows(family) and family not in OCCASIONAL
        },
        rare=_join_rare(alive, schema),
        logs=_join_logs(alive),
    )
    for number, part in enumerate(parts):
        chosen = [(to, i) for to, (n, i) in enumerate(order) if n == number]
        if chosen:
            _copy_steps(part, joined, *zip(*chosen, strict=True))
    return joined


def _join_rare(parts: list[Record], schema: Schema) -> dict:
    """Returns the families that only some steps have, of all parts."""
    joined = {}
    groups = [[parts[n] for n in group] for group in _simultaneous(parts)]
    for family in OCCASIONAL:
        columns = schema.columns.get(family, ())
        points = []
        for group in groups:
            # What came before ends where these steps begin; a probe is of
            # the weights before its step.
            first = min(part.steps[0] for part in group)
            last = first if family == "probe" else first - 1
            points = [point for point in points if point[0] <= last]
            arrived = [
                (step, part, values)
                for part in group
                if family in part.rare
                for step, values in zip(*part.rare[family], strict=True)
            ]
            points += sorted(arrived, key=lambda point: point[0])
        points = points_in_order(points)
        if not points:
            continue
        steps = np.array([step for step, _, _ in points], np.int64)
        out = np.full(
            (len(points), len(schema.rows(family)), len(columns)), np.nan
        ).astype(np.float32)
        for target, (_, part, values) in zip(out, points, strict=True):
            to, source = _places(part.schema, schema, family)
            target[to] = values[source]
        joined[family] = steps, out
    return joined


def _join_logs(parts: list[Record]) -> tuple[epoch_logs.Log, ...]:
    """Returns the logs of all parts, as `_join_rare` those of a probe: they
    are of the weights before their step."""
    found: list[epoch_logs.Log] = []
    for group in _simultaneous(parts):
        first = min(parts[n].steps[0] for n in group)
        found = [log for log in found if log.step <= first]
        arrived = [log for n in group for log in parts[n].logs]
        found += sorted(arrived, key=lambda log: log.step)
    return epoch_logs.still_valid(found)


def _places(part: Schema, joined: Schema, family: str):
    """Returns indices `[rows, columns]` of where what a part's family has
    belongs, and of where it is in the part."""
    names = {name: row for row, name in enumerate(joined.rows(family))}
    rows = [
        (names[name], row)
        for row, name in enumerate(part.rows(family))
        if name in names  # not a unit of a layer that has become smaller
    ]
    columns = {n: i for i, n in enumerate(joined.columns.get(family, ()))}
    chosen = [
        (columns[name], column)
        for column, name in enumerate(part.columns[family])
        if name in columns
    ]
    return tuple(
        np.ix_([r[i] for r in rows], [c[i] for c in chosen]) for i in (0, 1)
    )


def _simultaneous(parts: list[Record]) -> list[list[int]]:
    """Returns which of the parts were recorded at the same time.

    Parts follow each other (another model, or another version of gradscope),
    or take turns: an optimizer that met new variables may go on with the old
    ones as well. Of these the times are those of fetching, so that only their
    steps tell the order.
    """
    groups: list[list[int]] = []
    end = -np.inf
    for number in np.argsort([part.wall_times[0] for part in parts]):
        if not groups or parts[number].wall_times[0] >= end:
            groups.append([])
        groups[-1].append(int(number))
        end = max(end, parts[number].wall_times[-1])
    return groups


def _joint_schema(schemas: list[Schema]) -> Schema:
    """Returns the last schema with the rows of the others behind its own; a
    variable has the shape that it had last."""

    def joint(attribute):
        rows = [getattr(schema, attribute) for schema in schemas]
        last = {row.name: row for of_one in rows for row in of_one}
        names = dict.fromkeys(
            row.name for of_one in reversed(rows) for row in of_one
        )
        return tuple(last[name] for name in names)

    last = schemas[-1]
    own = {variable.name for variable in last.variables}
    older = (p for s in schemas[:-1] for p in s.linear if not own.issuperset(p))
    models = [schema.model for schema in schemas if schema.model]
    sums = tuple(name for s in schemas for name in s.unordered_sums)
    return dataclasses.replace(
        last.with_unordered_sums(sums),
        linear=tuple(dict.fromkeys((*last.linear, *older))),
        wiring=tuple(dict.fromkeys(w for s in schemas for w in s.wiring)),
        model=models[-1] if models else {},
        variables=joint("variables"),
        activations=joint("activations"),
        states=joint("states"),
        data=joint("data"),
        operations=joint("operations"),
    )


def _copy_steps(part: Record, joined: Record, to, source) -> None:
    """Copies the steps `source` of a part to the steps `to` of the whole."""
    for family, values in part.families.items():
        if family not in joined.families:
            continue
        target = joined.families[family]
        there, here = _places(part.schema, joined.schema, family)
        for step, origin in zip(to, source, strict=True):
            target[step][there] = values[origin][here]
