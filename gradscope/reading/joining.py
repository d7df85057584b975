"""Joins the points of a run's tags into one `Record`.

A run whose model changed, or that was resumed with another model, has several
schemas; the points of each are one part of the run. Steps that were made again
replace the old ones.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from gradscope.format import epoch_logs, json_tensor, stored_columns
from gradscope.format import schema as schema_module
from gradscope.format.schema import OCCASIONAL, Schema
from gradscope.format.step_order import (
    valid_indices,
    valid_occasional_points,
    valid_points,
)
from gradscope.reading.record import Record

#: Makes one array of the tables of a family.
Unpack = Callable[[Schema, str, Sequence[np.ndarray]], np.ndarray]


def from_series(
    run: str,
    series: dict[str, list],
    unpack: Unpack = stored_columns.unpack,
) -> Record | None:
    """Join the time series of a run's tags into a record.

    A run whose model changed, or that was resumed with another model, has
    several schemas. The record has the rows of all of them; the rows of the
    last schema come first.

    Args:
        run: Name of the run.
        series: For each tag of gradscope its points `(step, wall time, value)`
            in the order of writing; a value is an array, or bytes for schemas.
        unpack: Makes one array of the tables of a family. Where it does not
            compute all columns, there must be one schema alone.

    Returns:
        The record, or None while there is no schema or no step.

    Raises:
        SchemaError: If a schema cannot be read.
    """
    parts = []
    series = _with_further_values(series)
    for tag, points in series.items():
        family, schema_id = schema_module.parse_tag(tag)
        if family == "schema":
            schema = schema_of(points)
            part = _part(run, schema, schema_id, series, unpack)
            if part is not None:
                parts.append(part)
    # The last part is the one that a training still adds to.
    parts.sort(key=lambda part: part.wall_times[-1])
    return _join(parts) if parts else None


def _with_further_values(series: dict[str, list]) -> dict[str, list]:
    """Merge the further values of steps into the time series of their tags."""
    names: dict[str, list[str]] = {}
    for tag in series:
        first = schema_module.tag(*schema_module.parse_tag(tag))
        names.setdefault(first, []).append(tag)
    return {
        # Their wall times have the order of writing, of equal ones the names.
        first: sorted(
            (p for tag in sorted(tags, key=len) for p in series[tag]),
            key=lambda point: point[1],
        )
        if len(tags) > 1
        else series[tags[0]]
        for first, tags in names.items()
    }


def schema_of(points: list) -> Schema:
    """Parse the schema that was last written under a schema's tag.

    Raises:
        SchemaError: If the schema cannot be read.
    """
    text = json_tensor.to_text(points[-1][2])
    if text is None:
        shape = np.shape(points[-1][2])
        raise schema_module.SchemaError(
            f"not a gradscope schema: an array of shape {shape}"
        )
    return _parse_schema(text)


@functools.lru_cache(maxsize=16)
def _parse_schema(text: bytes | str) -> Schema:
    """Parse a schema, which takes milliseconds if it is large.

    The result is cached: all runs of one network have the same text.
    """
    return Schema.from_json(text)


def _part(
    run: str,
    schema: Schema,
    schema_id: str,
    series: dict[str, list],
    unpack: Unpack,
) -> Record | None:
    """Build the record of one schema's points, None without any step."""
    families, occasional = {}, {}
    reference = None
    for family in schema.columns:
        points = series.get(schema_module.tag(family, schema_id))
        if not points:
            continue
        # A damaged value may be an array of any shape.
        points = [
            point
            for point in points
            if stored_columns.is_table(schema, family, point[2])
        ]
        if family in OCCASIONAL:
            occasional[family] = points
            continue
        points = valid_points(points)
        if not points:
            continue
        steps, values = _stack(points, schema, family, unpack)
        if reference is None:
            reference = steps
            wall_times = np.array([p[1] for p in points], np.float64)
        families[family] = _at_steps(reference, steps, values)
    if reference is None:
        return None
    rare = {}
    for family, points in occasional.items():
        if family == "units":
            # A probe is written immediately, but a step when it is fetched.
            # So wall times give the order only of a family that is written
            # together with its step.
            points = valid_occasional_points(points, reference, wall_times)
        points = valid_points(points)
        if points:
            rare[family] = _stack(points, schema, family, unpack)
    logs = series.get(schema_module.tag("logs", schema_id), ())
    return Record(
        run,
        schema,
        reference,
        wall_times,
        families,
        rare,
        logs=epoch_logs.parse_logs(
            [json_tensor.to_text(point[2]) for point in logs]
        ),
    )


def _stack(
    points: list, schema: Schema, family: str, unpack: Unpack
) -> tuple[np.ndarray, np.ndarray]:
    """Stack points to steps, int64 `[n]`, and values, float32 `[n, ...]`."""
    steps = np.array([p[0] for p in points], np.int64)
    tables = [point[2] for point in points]
    return steps, unpack(schema, family, tables)


def _at_steps(
    reference: np.ndarray, steps: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Align values with the reference's steps; NaN for a step without any."""
    if np.array_equal(reference, steps):
        return values
    out = np.full((len(reference), *values.shape[1:]), np.nan, np.float32)
    _, targets, sources = np.intersect1d(reference, steps, return_indices=True)
    out[targets] = values[sources]
    return out


def _join(parts: list[Record]) -> Record:
    """Join the parts of one run, oldest first; the last schema leads."""
    if len(parts) == 1:
        return parts[0]
    # A step is `(n, i)`: the number of its part, and its index in the part.
    chronological = [
        (n, i)
        for group in _simultaneous(parts)
        for _, _, n, i in sorted(
            # Of a try and its step, both of which have this number, the step
            # was written later.
            (step, parts[n].wall_times[i], n, i)
            for n in group
            for i, step in enumerate(parts[n].steps.tolist())
        )
    ]
    valid = valid_indices([int(parts[n].steps[i]) for n, i in chronological])
    order = [chronological[index] for index in valid]
    # A part whose steps were all made again by a later one is left out.
    alive = [parts[n] for n in sorted({n for n, _ in order})]
    replaced = [part for part in parts if part not in alive]
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
        replaced=tuple(part.schema.id for part in replaced),
    )
    for number, part in enumerate(parts):
        copies = [
            (target, i) for target, (n, i) in enumerate(order) if n == number
        ]
        if copies:
            _copy_steps(part, joined, *zip(*copies, strict=True))
    return joined


def _join_rare(
    parts: list[Record], schema: Schema
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Join the families that only some steps have."""
    joined = {}
    groups = [[parts[n] for n in group] for group in _simultaneous(parts)]
    for family in OCCASIONAL:
        columns = schema.columns.get(family, ())
        points = []
        for group in groups:
            # Older points end where the steps of this group begin. A probe
            # measures the weights before its step, so it may have that step.
            first = min(part.steps[0] for part in group)
            last = first if family == "probe" else first - 1
            points = [point for point in points if point[0] <= last]
            group_points = [
                (step, part, values)
                for part in group
                if family in part.rare
                for step, values in zip(*part.rare[family], strict=True)
            ]
            points += sorted(group_points, key=lambda point: point[0])
        points = valid_points(points)
        if not points:
            continue
        steps = np.array([step for step, _, _ in points], np.int64)
        out = np.full(
            (len(points), len(schema.rows(family)), len(columns)), np.nan
        ).astype(np.float32)
        for target, (_, part, values) in zip(out, points, strict=True):
            targets, sources = _places(part.schema, schema, family)
            target[targets] = values[sources]
        joined[family] = steps, out
    return joined


def _join_logs(parts: list[Record]) -> tuple[epoch_logs.Log, ...]:
    """Join the logs of all parts.

    Like a probe in `_join_rare`, logs are of the weights before their step.
    """
    logs: list[epoch_logs.Log] = []
    for group in _simultaneous(parts):
        first = min(parts[n].steps[0] for n in group)
        logs = [log for log in logs if log.step <= first]
        group_logs = [log for n in group for log in parts[n].logs]
        logs += sorted(group_logs, key=lambda log: log.step)
    return epoch_logs.valid_logs(logs)


def _places(part: Schema, joined: Schema, family: str) -> tuple:
    """Match the rows and columns of a part's family with the joined ones.

    Returns:
        Indices of `np.ix_`, `[rows, columns]`, in the joined family and in the
        part's.
    """
    names = {name: row for row, name in enumerate(joined.rows(family))}
    row_pairs = [
        (names[name], row)
        for row, name in enumerate(part.rows(family))
        if name in names  # not a unit of a layer that has become smaller
    ]
    columns = {n: i for i, n in enumerate(joined.columns.get(family, ()))}
    column_pairs = [
        (columns[name], column)
        for column, name in enumerate(part.columns[family])
        if name in columns
    ]
    return tuple(
        np.ix_([r[i] for r in row_pairs], [c[i] for c in column_pairs])
        for i in (0, 1)
    )


def _simultaneous(parts: list[Record]) -> list[list[int]]:
    """Group the parts that were recorded at the same time, oldest first.

    Parts follow each other (another model, or another version of gradscope),
    or they alternate: an optimizer that was given new variables may go on with
    the old ones as well. The wall times of alternating parts are times of
    fetching, so only their steps give the order.
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
    """Append the rows of older schemas to those of the last one.

    A row that several schemas have is that of the last of them.
    """

    def join_rows(attribute: str) -> tuple:
        tables = [getattr(schema, attribute) for schema in schemas]
        last = {row.name: row for table in tables for row in table}
        names = dict.fromkeys(
            row.name for table in reversed(tables) for row in table
        )
        return tuple(last[name] for name in names)

    last = schemas[-1]
    latest = {variable.name for variable in last.variables}
    # Whether two variables follow each other is for the last schema to say, if
    # it has both.
    older = (
        p for s in schemas[:-1] for p in s.linear if not latest.issuperset(p)
    )
    models = [schema.model for schema in schemas if schema.model]
    sums = tuple(name for s in schemas for name in s.unordered_sums)
    stale = tuple(pair for s in schemas for pair in s.stale_layers)
    return dataclasses.replace(
        last.with_unordered_sums(sums).with_stale_layers(stale),
        linear=tuple(dict.fromkeys((*last.linear, *older))),
        wiring=tuple(dict.fromkeys(w for s in schemas for w in s.wiring)),
        model=models[-1] if models else {},
        variables=join_rows("variables"),
        activations=join_rows("activations"),
        states=join_rows("states"),
        data=join_rows("data"),
        operations=join_rows("operations"),
    )


def _copy_steps(part: Record, joined: Record, targets, indices) -> None:
    """Copy the steps `indices` of a part to `targets` of the joined run."""
    for family, values in part.families.items():
        if family not in joined.families:
            continue
        target = joined.families[family]
        to, source = _places(part.schema, joined.schema, family)
        for step, index in zip(targets, indices, strict=True):
            target[step][to] = values[index][source]
