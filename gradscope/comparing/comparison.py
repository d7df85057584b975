"""What two runs have in common, and what not."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from gradscope.comparing import gradient_sketches, report
from gradscope.comparing.configuration import Setting, settings
from gradscope.comparing.difference import relative, same_bits
from gradscope.comparing.matching import Matching, match
from gradscope.comparing.parting import Parting, noisy, parting
from gradscope.reading.record import Record

#: Norms that are compared layer by layer.

#: Relative difference up to which two runs are not said to part: float32's
#: rounding in another order makes 1e-5 and less in one step.
TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs, in S steps that both recorded, V variables that both have, and
    their L layers. `print(comparison)` tells it in words.

    Attributes:
        run_a: Name or directory of the first run.
        run_b: Of the second.
        a: The first run's record, of the common steps and variables alone.
        b: The second one's, with the names of the first.
        matched_by: `"name"`, or `"order"` where names do not tell which
            variables belong together, but forward order and shapes do.
        names: Name in the first and in the second run of each variable.
        only_a: Names of variables, activations, states and data that the
            second run does not have.
        only_b: Those that the first does not have.
        steps_a: First and last recorded step of the first run, and how many.
        steps_b: Of the second.
        tolerance: Relative difference up to which numbers count as the same.
        differs_from: First common step in which any recorded number of a
            variable is another one, bit for bit; None if there is none.
        parting: Where they part, None if they do not.
        configuration: What they were configured with differently.
        sketched_steps: int64 `[M]`, the steps of which `gradients` are known.
        notes: What else one should know, in sentences.
    """

    run_a: str
    run_b: str
    a: Record
    b: Record
    matched_by: str
    names: tuple[tuple[str, str], ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    steps_a: tuple[int, int, int]
    steps_b: tuple[int, int, int]
    tolerance: float
    differs_from: int | None
    parting: Parting | None
    configuration: tuple[Setting, ...]
    sketched_steps: np.ndarray
    _squares: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> np.ndarray:
        """int64 [S]: the steps that both runs recorded."""
        return self.a.steps

    @property
    def variables(self) -> tuple[str, ...]:
        """Names in the first run of the variables that both have."""
        return self.a.variables

    @property
    def layers(self) -> tuple[str, ...]:
        """Names in the first run of their layers, in forward order."""
        return self.a.layers

    @property
    def comparable(self) -> bool:
        """Whether there is a step and a variable in common."""
        return bool(len(self.steps) and self.variables)

    @property
    def same(self) -> bool | None:
        """Whether no statistic of a variable differs by more than the
        tolerance, in no common step; None if there is none."""
        return self.parting is None if self.comparable else None

    @property
    def same_bits(self) -> bool | None:
        """Whether all recorded numbers of the variables are the same, bit for
        bit; None if there is no common step."""
        return self.differs_from is None if self.comparable else None

    def __getitem__(self, statistic: str) -> np.ndarray:
        """Returns relative differences `|a - b| / max(|a|, |b|)`, float64
        `[S, V]`: 0 where both are equal, 1 where one only is a finite number,
        NaN where neither is a number.

        Raises:
            KeyError: If it is not a statistic of variables.
        """
        return relative(*(self._values(r, statistic) for r in (self.a, self.b)))

    def by_layer(self, statistic: str) -> np.ndarray:
        """Returns relative differences of a statistic of all common variables
        of a layer together, float64 `[S, L]`.

        Raises:
            KeyError: If it is not a statistic of variables.
        """
        return relative(self.a.by_layer(statistic), self.b.by_layer(statistic))

    @property
    def gradients(self) -> np.ndarray:
        """Relative differences `|a - b| / max(|a|, |b|)` of the gradients
        themselves, float64 `[M, V]`, from 0 to 2; NaN where not known.

        Estimated from sixteen sums of each gradient, within about a quarter of
        the value (of one step; the median of many is closer). 0 means that all
        sums are equal bit for bit.
        """
        return gradient_sketches.relative(self._squares)

    @property
    def gradients_by_layer(self) -> np.ndarray:
        """The same of all common variables of a layer together, `[M, L]`."""
        places = {layer: index for index, layer in enumerate(self.layers)}
        owners = [places[v.layer] for v in self.a.schema.variables]
        return gradient_sketches.relative(self._squares, owners)

    @property
    def noise(self) -> np.ndarray:
        """bool [S, V]: gradients below 1e-4 of the largest of the step, in
        both runs; their difference says nothing."""
        return noisy(self.a, self.b)["gradient_norm"]

    def _values(self, record: Record, statistic: str) -> np.ndarray:
        if statistic not in record.schema.columns["variables"]:
            raise KeyError(
                f"{statistic!r} is not a statistic of variables; these are "
                f"{', '.join(record.schema.columns['variables'])}."
            )
        return record[statistic]

    def __str__(self) -> str:
        return report.text(self)

    def to_dict(self) -> dict:
        """Returns what `gradscope compare --json` prints, see
        docs/compare.md."""
        return report.to_dict(self)


def compare(run_a, run_b, *, tolerance: float = TOLERANCE) -> Comparison:
    """Compares two recorded runs: where they part, and in what they differ.

    Runs may have different lengths, schedules and layers: what is compared is
    what both have: norms in all common steps, and the gradients themselves in
    those with histograms, within about a quarter. `gradscope.same` compares the
    gradients of two models exactly.

    Args:
        run_a: A directory, as for `gradscope.read`, or a `gradscope.Record`.
        run_b: Likewise.
        tolerance: Relative difference, from 0 to 1, up to which two numbers
            count as the same. With 0 the runs part where a bit differs.

    Raises:
        FileNotFoundError: If no run was recorded there.
        ValueError: If several runs were, or the tolerance is out of range.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(
            "`tolerance` must be a relative difference, at least 0 and below "
            f"1, got {tolerance!r}. Leave it out for {TOLERANCE}."
        )
    a, b = _record(run_a), _record(run_b)
    variables = _match(a, b, "variables")
    steps, at_a, at_b = np.intersect1d(a.steps, b.steps, return_indices=True)
    part_a, part_b = _common(a, b, variables, at_a, at_b)
    comparable = bool(len(steps) and variables.pairs)
    sketched_steps, squares = gradient_sketches.sketches(a, b, variables)
    differs_from = _differs_from(part_a, part_b) if comparable else None
    parted = parting(part_a, part_b, tolerance) if comparable else None
    rounds = differs_from is not None and (
        parted is None or parted.step > differs_from
    )
    names_a, names_b = a.variables, b.variables
    return Comparison(
        run_a=str(a.run),
        run_b=str(b.run),
        a=part_a,
        b=part_b,
        matched_by=variables.by,
        names=tuple((names_a[i], names_b[j]) for i, j in variables.pairs),
        only_a=_rest(a, b, 0),
        only_b=_rest(a, b, 1),
        steps_a=_extent(a),
        steps_b=_extent(b),
        tolerance=tolerance,
        differs_from=differs_from,
        parting=parted,
        configuration=_settings(a, b, variables),
        sketched_steps=sketched_steps,
        _squares=squares,
        notes=(*_notes(a, b), *(_of_sums(a, b) if rounds else ())),
    )


def _record(run) -> Record:
    if isinstance(run, str | os.PathLike):
        from gradscope.reading.read import read

        return read(run)
    return run


def _common(a, b, matching: Matching, at_a, at_b) -> tuple[Record, Record]:
    """Returns two records of the same steps, variables and columns."""
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
    return _part(a, schema_a, at_a, rows_a), _part(b, schema_b, at_b, rows_b)


def _part(record, schema, at, rows) -> Record:
    families = {name: values[at] for name, values in record.families.items()}
    if "variables" in families:
        families["variables"] = families["variables"][:, rows]
    return dataclasses.replace(
        record,
        schema=schema,
        steps=record.steps[at],
        wall_times=record.wall_times[at],
        families=families,
        rare={},
    )


def _differs_from(a: Record, b: Record) -> int | None:
    columns = a.schema.columns["variables"], b.schema.columns["variables"]
    common = [name for name in columns[0] if name in columns[1]]
    values = []
    for record, names in zip((a, b), columns, strict=True):
        chosen = [names.index(name) for name in common]
        of_all = record.families["variables"]
        every = chosen == list(range(len(names)))
        values.append(of_all if every else of_all[:, :, chosen])
    found = np.flatnonzero(~same_bits(*values).all(axis=(1, 2)))
    return int(a.steps[found[0]]) if len(found) else None


def _match(a: Record, b: Record, family: str) -> Matching:
    kinds = {
        "variables": lambda s: [v.shape for v in s.variables],
        "activations": lambda s: [(o.kind, o.units) for o in s.activations],
        "state": lambda s: [one.kind for one in s.states],
        "data": lambda s: [one.name for one in s.data],
    }[family]
    return match(
        a.schema.rows(family),
        kinds(a.schema),
        b.schema.rows(family),
        kinds(b.schema),
    )


def _rest(a: Record, b: Record, side: int) -> tuple[str, ...]:
    found: list[str] = []
    for family in ("variables", "activations", "state", "data"):
        names = (a, b)[side].schema.rows(family)
        rest = _match(a, b, family).rest(side, len(names))
        found += [names[index] for index in rest]
    return tuple(dict.fromkeys(found))


def _settings(a, b, matching: Matching) -> tuple[Setting, ...]:
    shapes = [
        Setting(a.schema.variables[i].name, what, *values)
        for i, j in matching.pairs
        for what in ("shape", "dtype")
        for values in [
            [
                getattr(a.schema.variables[i], what),
                getattr(b.schema.variables[j], what),
            ]
        ]
        if values[0] != values[1]
    ]
    return (*settings(a.schema, b.schema), *shapes)


def _extent(record) -> tuple[int, int, int]:
    steps = record.steps
    if not len(steps):
        return (0, 0, 0)
    return int(steps[0]), int(steps[-1]), len(steps)


def _of_sums(a: Record, b: Record) -> tuple[str, ...]:
    """Returns why two runs part by rounding, if a reason is known."""
    runs = {"first": a, "second": b}
    names = [n for n, record in runs.items() if record.schema.unordered_sums]
    if not names:
        return ()
    count = max(len(runs[name].schema.unordered_sums) for name in names)
    sums = "a sum" if count == 1 else f"{count} sums"
    return (
        f"At first the runs differ by rounding alone, and TensorFlow adds up "
        f"{sums} of the {' and the '.join(names)} run in any order: the same "
        "program does not repeat its own bits, and nothing else need be "
        "different. `gradscope.sums_in_order()` where the program begins has "
        "it repeat them.",
    )


def _notes(a: Record, b: Record) -> tuple[str, ...]:
    runs = {"first": a, "second": b}
    unknown = [name for name, record in runs.items() if not record.schema.model]
    notes = []
    if unknown:
        notes.append(
            f"Of the {' and the '.join(unknown)} run the model is not known, "
            "so layers and losses are not compared (`gradscope.wrap(..., "
            "model=model)` tells)."
        )
    for name, record in runs.items():
        notes += [f"Of the {name} run: {text}" for text in record.damage]
    return tuple(notes)
