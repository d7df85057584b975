"""A recorded run as numpy arrays.

    record = gradscope.read("logs/run")
    record.steps                        # int64 [T]
    record.variables                    # names of V variables, forward order
    record["gradient_norm"]             # float32 [T, V]
    record.by_layer("gradient_norm")    # float32 [T, L], one column a layer

TensorFlow is not needed, and not imported.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import numpy as np

from gradscope import aggregation, events
from gradscope import schema as schema_module
from gradscope.schema import Schema


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """What was recorded of one run; T steps, V variables, L layers.

    Undefined and unrecorded numbers are NaN.

    Attributes:
        run: Name or directory of the run.
        schema: Names and shapes of what was recorded.
        steps: int64 [T], strictly increasing. A step is the optimizer's step
            number before its update; the first is 0.
        wall_times: float64 [T], seconds since the epoch. What ran on the
            device without the host is dated when it was fetched.
        families: For each family a float32 array [T, rows, columns].
    """

    run: str
    schema: Schema
    steps: np.ndarray
    wall_times: np.ndarray
    families: dict[str, np.ndarray]

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables in forward order."""
        return self.schema.rows("variables")

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the activations in forward order."""
        return self.schema.rows("activations")

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in forward order."""
        return self.schema.layers

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names that `record[name]` accepts."""
        return tuple(n for f in self.families for n in self.schema.columns[f])

    def __getitem__(self, statistic: str) -> np.ndarray:
        """Returns float32 `[T, V]`, `[T, A]` for a statistic of activations,
        or `[T]` for a number of the whole step.

        Raises:
            KeyError: If there is no such statistic; the message lists all.
        """
        for family, values in self.families.items():
            names = self.schema.columns[family]
            if statistic in names:
                column = values[:, :, names.index(statistic)]
                return column[:, 0] if family == "run" else column
        raise KeyError(
            f"no statistic {statistic!r} in {self.run}; "
            f"there are {', '.join(self.statistics)}."
        )

    def by_layer(self, statistic: str) -> np.ndarray:
        """Returns float32 `[T, L]`: a statistic of all variables of a layer.

        See `gradscope.aggregation` for how each is put together.

        Raises:
            KeyError: If it is not a statistic of variables.
        """
        return aggregation.by_layer(self, statistic)


def read(run_dir: str | os.PathLike) -> Record:
    """Returns what was recorded in one run.

    Args:
        run_dir: The directory given to `gradscope.wrap`, or the sub-directory
            with the event files.

    Raises:
        FileNotFoundError: If no run was recorded there.
        ValueError: If several runs were recorded below; it lists them.
    """
    if "gradscope.wrapping" in sys.modules:
        # What this very process has measured is read to the last step.
        sys.modules["gradscope.wrapping"].flush()
    directory = _run_directory(os.fspath(run_dir))
    arrived: dict[str, list] = {}
    for path in events.event_files(directory):
        for event in events.events(path):
            for value in event.summary.value:
                if not schema_module.parse_tag(value.tag):
                    continue
                try:
                    content = events.to_numpy(value.tensor)
                except ValueError:
                    continue  # damaged; the others are not
                arrived.setdefault(value.tag, []).append(
                    (event.step, event.wall_time, content)
                )
    record = from_series(os.fspath(run_dir), arrived)
    if record is None:
        raise FileNotFoundError(
            f"{directory} has no whole record yet. Steps are written every "
            "few seconds, on `gradscope.flush()` and at the end of training."
        )
    return record


def runs_below(directory: str) -> list[str]:
    """Returns the directories below (or at) one that hold a recorded run."""
    return sorted(
        path
        for path, _, files in os.walk(directory)
        if os.path.basename(os.path.abspath(path)) == schema_module.DIRECTORY
        and any("tfevents" in name for name in files)
    )


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
            schema = Schema.from_json(points[-1][2])
            part = _part(run, schema, schema_id, series)
            if part is not None:
                parts.append(part)
    parts.sort(key=lambda part: part.wall_times[-1])
    return _join(parts) if parts else None


def _part(run, schema, schema_id, series) -> Record | None:
    families = {}
    reference = None
    for family, columns in schema.columns.items():
        points = series.get(schema_module.tag(family, schema_id))
        if not points:
            continue
        shape = (len(schema.rows(family)), len(columns))
        points = [p for p in points if np.shape(p[2]) == shape]
        points = [points[i] for i in in_order([p[0] for p in points])]
        if not points:
            continue
        steps = np.array([p[0] for p in points], np.int64)
        values = np.stack([p[2] for p in points]).astype(np.float32)
        if reference is None:
            reference = steps
            wall_times = np.array([p[1] for p in points], np.float64)
        families[family] = _at_steps(reference, steps, values)
    if reference is None:
        return None
    return Record(run, schema, reference, wall_times, families)


def in_order(steps: list[int]) -> list[int]:
    """Returns which of the points, in order of arrival, are still valid.

    A run that was restarted from a checkpoint writes some steps again. As in
    TensorBoard's data server, a step makes all earlier points at or after it
    obsolete.
    """
    kept: list[int] = []
    for index, step in enumerate(steps):
        while kept and steps[kept[-1]] >= step:
            kept.pop()
        kept.append(index)
    return kept


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
            if schema.rows(family)
        },
    )
    for number, part in enumerate(parts):
        chosen = [(to, i) for to, (n, i) in enumerate(order) if n == number]
        if chosen:
            _copy_steps(part, joined, *zip(*chosen, strict=True))
    return joined


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

    return dataclasses.replace(
        schemas[-1],
        variables=joint("variables"),
        activations=joint("activations"),
    )


def _copy_steps(part: Record, joined: Record, to, source) -> None:
    """Copies the steps `source` of a part to the steps `to` of the whole."""
    for family, values in part.families.items():
        names = {n: row for row, n in enumerate(joined.schema.rows(family))}
        rows = [names[name] for name in part.schema.rows(family)]
        present = part.schema.columns[family]
        columns = joined.schema.columns.get(family, ())
        if family not in joined.families:
            continue
        for column, name in enumerate(columns):
            if name in present:
                copied = values[list(source), :, present.index(name)]
                target = joined.families[family]
                target[np.ix_(to, rows, [column])] = copied[:, :, np.newaxis]


def _run_directory(directory: str) -> str:
    if not os.path.isdir(directory):
        raise FileNotFoundError(
            f"no directory {directory}. Give the log directory that was given "
            "to `gradscope.wrap`."
        )
    own = os.path.join(directory, schema_module.DIRECTORY)
    if os.path.isdir(own) and events.event_files(own):
        return own
    # Others write event files too, beside or above our sub-directories.
    below = [path for path in runs_below(directory) if path != directory]
    if not below and events.event_files(directory):
        return directory
    if below:
        raise ValueError(
            f"{directory} holds {len(below)} runs, `read` takes one: "
            + ", ".join(below)
        )
    raise FileNotFoundError(
        f"nothing was recorded in {directory}: no event file in {own}."
    )
