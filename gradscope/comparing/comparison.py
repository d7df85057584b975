"""The comparison of two runs: `compare` and its result."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from gradscope.comparing import comparison_text, gradient_sketches
from gradscope.comparing.common_records import (
    common_records,
    first_differing_step,
    match_rows,
    unpaired_rows,
)
from gradscope.comparing.configuration import Setting, settings
from gradscope.comparing.difference import relative
from gradscope.comparing.matching import Matching
from gradscope.comparing.parting import Parting, find_parting, noise_masks
from gradscope.comparing.remarks import remarks, remarks_on_sums
from gradscope.reading.record import Record

#: Relative difference up to which numbers count as the same. Sums in another
#: order differ by far less in one step of float32.
TOLERANCE = 1e-3


# Without `==`, which would compare arrays, and their comparison is no bool.
@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The comparison of two runs; `print(comparison)` describes it in words.

    It covers the S steps that both runs recorded, the V variables that both
    have, and the L layers of these variables.

    Attributes:
        run_a: Name or directory of the first run.
        run_b: Name or directory of the second run.
        a: Record of the first run, reduced to common steps and variables.
        b: Record of the second run, likewise, with the names of the first.
        matched_by: How variables were paired: `"name"`, or `"order"` where
            forward order and shapes pair more of them than their names.
        names: Names of each variable, in the first and in the second run.
        only_a: Variables, activations, states and data of the first run that
            have no partner in the second.
        only_b: Those of the second run that have none in the first.
        steps_a: First step, last step and number of steps of the first run.
        steps_b: The same of the second run.
        tolerance: Relative difference up to which numbers count as the same.
        differs_from: First common step in which a recorded number of a
            variable differs in any bit; None if all are the same.
        parting: Where the runs part; None if they do not.
        configuration: Settings that differ.
        sketched_steps: int64 `[M]`, the steps that `gradients` covers.
        notes: Remarks on the comparison, in sentences.
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
        """Steps that both runs recorded, int64 `[S]`."""
        return self.a.steps

    @property
    def variables(self) -> tuple[str, ...]:
        """Names, in the first run, of the variables that both runs have."""
        return self.a.variables

    @property
    def layers(self) -> tuple[str, ...]:
        """Names, in the first run, of their layers, in forward order."""
        return self.a.layers

    @property
    def comparable(self) -> bool:
        """Whether the runs have a step and a variable in common."""
        return bool(len(self.steps) and self.variables)

    @property
    def same(self) -> bool | None:
        """Whether the runs are the same within the tolerance; None if they
        have nothing in common."""
        return self.parting is None if self.comparable else None

    @property
    def same_bits(self) -> bool | None:
        """Whether all recorded numbers of the variables are the same bit for
        bit; None if the runs have nothing in common."""
        return self.differs_from is None if self.comparable else None

    def __getitem__(self, statistic: str) -> np.ndarray:
        """Compute relative differences of a statistic of the variables.

        Args:
            statistic: A statistic of variables, such as `"gradient_norm"`.

        Returns:
            `|a - b| / max(|a|, |b|)`, float64 `[S, V]`: 0 where both are equal,
            1 where a single one is a finite number, NaN where both are NaN.

        Raises:
            KeyError: If `statistic` is not a statistic of variables.

        Examples:
            The norms 1 and 2 differ by half of the larger one.

            >>> from gradscope.comparing.difference import relative
            >>> relative([1.0, 3.0, np.nan], [2.0, 3.0, 5.0]).tolist()
            [0.5, 0.0, 1.0]
        """
        return relative(*(self._values(r, statistic) for r in (self.a, self.b)))

    def by_layer(self, statistic: str) -> np.ndarray:
        """Compute relative differences of a statistic of whole layers.

        Args:
            statistic: A statistic of variables; each layer has one number for
                all of its common variables.

        Returns:
            `|a - b| / max(|a|, |b|)`, float64 `[S, L]`.

        Raises:
            KeyError: If `statistic` is not a statistic of variables.
        """
        return relative(self.a.by_layer(statistic), self.b.by_layer(statistic))

    @property
    def gradients(self) -> np.ndarray:
        """Relative differences of the gradients themselves, float64 `[M, V]`.

        `‖a - b‖ / max(‖a‖, ‖b‖)`, from 0 to 2; NaN where a run has no sketch of
        the gradient. Each value is estimated from sixteen sums of a gradient,
        within about a quarter of itself; the median of many steps is closer. 0
        means that all sums are equal bit for bit.
        """
        return gradient_sketches.relative(self._squares)

    @property
    def gradients_by_layer(self) -> np.ndarray:
        """`gradients` of all common variables of a layer, float64 `[M, L]`."""
        places = {layer: index for index, layer in enumerate(self.layers)}
        owners = [places[v.layer] for v in self.a.schema.variables]
        return gradient_sketches.relative(self._squares, owners)

    @property
    def noise(self) -> np.ndarray:
        """Gradients below 1e-4 of the step's largest in both runs, bool
        `[S, V]`; their difference says nothing."""
        return noise_masks(self.a, self.b)["gradient_norm"]

    def _values(self, record: Record, statistic: str) -> np.ndarray:
        if statistic not in record.schema.columns["variables"]:
            raise KeyError(
                f"{statistic!r} is not a statistic of variables; these are "
                f"{', '.join(record.schema.columns['variables'])}."
            )
        return record[statistic]

    def __str__(self) -> str:
        return comparison_text.text(self)

    def to_dict(self) -> dict[str, Any]:
        """Convert to the dict that `gradscope compare --json` prints.

        docs/compare.md describes its keys.
        """
        return comparison_text.to_dict(self)


def compare(
    run_a: str | os.PathLike[str] | Record,
    run_b: str | os.PathLike[str] | Record,
    *,
    tolerance: float = TOLERANCE,
) -> Comparison:
    """Compare two recorded runs, and find where they part.

    Runs may have different lengths, schedules and layers; steps and variables
    that both have are compared. Norms are compared in all common steps. The
    gradients themselves are compared in steps with histograms, within about a
    quarter; `gradscope.same` compares the gradients of two models exactly.

    Args:
        run_a: A directory, as for `gradscope.read`, or a `gradscope.Record`.
        run_b: The other run, likewise.
        tolerance: Relative difference, at least 0 and below 1, up to which two
            numbers count as the same. With 0 the runs part where a bit differs.

    Raises:
        FileNotFoundError: If a directory holds no run.
        ValueError: If a directory holds several runs, or `tolerance` is out of
            range.

    Examples:
        >>> import keras, numpy
        >>> import gradscope
        >>> for name, rate in (("slow", 0.1), ("fast", 0.2)):
        ...     optimizer = gradscope.wrap(keras.optimizers.SGD(rate), name)
        ...     weight = keras.Variable([3.0], name="weight")
        ...     optimizer.apply([numpy.array([2.0])], [weight])
        >>> comparison = gradscope.compare("slow", "fast")
        >>> comparison.same, comparison.parting.statistic
        (False, 'update_norm')
        >>> comparison["gradient_norm"].tolist()  # 2 in both
        [[0.0]]
        >>> comparison["update_norm"].round(3).tolist()  # 0.2 and 0.4
        [[0.5]]
    """
    # Norms differ by no more than the larger one, a relative difference of 1.
    if not 0 <= tolerance < 1:
        raise ValueError(
            "`tolerance` must be a relative difference, at least 0 and below "
            f"1, got {tolerance!r}. Leave it out for {TOLERANCE}."
        )
    a, b = _record(run_a), _record(run_b)
    variables = match_rows(a, b, "variables")
    steps, at_a, at_b = np.intersect1d(a.steps, b.steps, return_indices=True)
    common_a, common_b = common_records(a, b, variables, at_a, at_b)
    comparable = bool(len(steps) and variables.pairs)
    sketched_steps, squares = gradient_sketches.sketches(a, b, variables)
    differs_from = (
        first_differing_step(common_a, common_b) if comparable else None
    )
    parting = (
        find_parting(common_a, common_b, tolerance) if comparable else None
    )
    # Bits that differ before any number does by more than the tolerance: then
    # rounding came first, and the rest may be its consequence.
    rounds_first = differs_from is not None and (
        parting is None or parting.step > differs_from
    )
    names_a, names_b = a.variables, b.variables
    return Comparison(
        run_a=str(a.run),
        run_b=str(b.run),
        a=common_a,
        b=common_b,
        matched_by=variables.by,
        names=tuple((names_a[i], names_b[j]) for i, j in variables.pairs),
        only_a=unpaired_rows(a, b, 0),
        only_b=unpaired_rows(a, b, 1),
        steps_a=_extent(a),
        steps_b=_extent(b),
        tolerance=tolerance,
        differs_from=differs_from,
        parting=parting,
        configuration=_settings(a, b, variables),
        sketched_steps=sketched_steps,
        _squares=squares,
        notes=(
            *remarks(a, b),
            *(remarks_on_sums(a, b) if rounds_first else ()),
        ),
    )


def _record(run: str | os.PathLike[str] | Record) -> Record:
    if isinstance(run, str | os.PathLike):
        from gradscope.reading.read import read

        return read(run)
    return run


def _settings(a: Record, b: Record, matching: Matching) -> tuple[Setting, ...]:
    variables = []
    for i, j in matching.pairs:
        variable_a, variable_b = a.schema.variables[i], b.schema.variables[j]
        for attribute in ("shape", "dtype"):
            value_a = getattr(variable_a, attribute)
            value_b = getattr(variable_b, attribute)
            if value_a != value_b:
                variables.append(
                    Setting(variable_a.name, attribute, value_a, value_b)
                )
    return (*settings(a.schema, b.schema), *variables)


def _extent(record: Record) -> tuple[int, int, int]:
    steps = record.steps
    if not len(steps):
        return (0, 0, 0)
    return int(steps[0]), int(steps[-1]), len(steps)
