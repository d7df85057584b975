"""The first step in which two runs part, the layer, and the cause.

A step computes in this order: the weights before it, the forward pass, the
gradients, the updates. The first of them that differs is the place to look at;
differences of the later ones follow from it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gradscope.comparing.difference import noise, relative
from gradscope.comparing.matching import match

if TYPE_CHECKING:
    from gradscope.reading.record import Record

#: Statistics of variables that are compared, in the order of computation.
STATISTICS = ("weight_norm", "gradient_norm", "gradient_max", "update_norm")


@dataclasses.dataclass(frozen=True)
class Parting:
    """The place where two runs part.

    Attributes:
        step: First common step in which a statistic of a variable differs by
            more than the tolerance.
        after: The common step before it; None if `step` is the first.
        layer: Name, in the first run, of the layer that differs first in that
            step, in the order of computation.
        variable: The variable of that layer that differs most.
        statistic: The first of `STATISTICS` that differs.
        a: Its value in the first run.
        b: Its value in the second run.
        differing: Number of variables in which that statistic differs.
        cause: The cause, as far as this difference shows it, in words.
    """

    step: int
    after: int | None
    layer: str
    variable: str
    statistic: str
    a: float
    b: float
    differing: int
    cause: str


def noise_masks(a: Record, b: Record) -> dict[str, np.ndarray]:
    """Mark noise in each of `STATISTICS`, as bool `[S, V]`.

    A gradient below 1e-4 of the step's largest is noise, and so is its update.
    After the first common step the weight is noise, too, since an optimizer
    like Adam makes updates of full length from it. A weight or an update is
    also noise if it is itself below 1e-4 of the largest.

    Args:
        a: Record of the first run, with the common steps and variables.
        b: Record of the second run, likewise.
    """
    small = {n: noise(a[n], b[n]) for n in STATISTICS}
    gradient = small["gradient_norm"]
    weight = gradient.copy()
    weight[:1] = False
    return {
        "weight_norm": small["weight_norm"] | weight,
        "gradient_norm": gradient,
        "gradient_max": gradient,
        "update_norm": small["update_norm"] | gradient,
    }


def find_parting(a: Record, b: Record, tolerance: float) -> Parting | None:
    """Find the first place where two runs differ by more than a tolerance.

    Args:
        a: Record of the first run, with the common steps and variables.
        b: Record of the second run, likewise, with the names of the first.
        tolerance: Relative difference up to which numbers count as the same.

    Returns:
        The parting, or None if the runs do not part.
    """
    is_noise = noise_masks(a, b)
    # A number that is NaN in both runs is no difference.
    far = {
        name: np.where(
            is_noise[name], 0.0, np.nan_to_num(relative(a[name], b[name]))
        )
        for name in STATISTICS
    }
    largest = np.stack([far[n].max(axis=1, initial=0) for n in STATISTICS])
    steps = np.flatnonzero((largest > tolerance).any(axis=0))
    if not len(steps):
        return None
    at = int(steps[0])
    # In one step, what differs earlier in the order of computation makes the
    # later numbers differ, too.
    stage = int(np.flatnonzero(largest[:, at] > tolerance)[0])
    statistic = STATISTICS[stage]
    differing = np.flatnonzero(far[statistic][at] > tolerance)
    row, cause = differing[0], ""
    if statistic == "weight_norm":
        cause = _cause_of_weights(a, at)
    elif statistic == "update_norm":
        cause = _cause_of_updates(a, b, at, differing[0])
    else:
        row, cause = _cause_of_gradients(a, b, at, differing, tolerance)
    layer = a.schema.variables[row].layer
    of_layer = [i for i in differing if a.schema.variables[i].layer == layer]
    row = max(of_layer, key=lambda i: far[statistic][at, i])
    return Parting(
        step=int(a.steps[at]),
        after=int(a.steps[at - 1]) if at else None,
        layer=layer,
        variable=a.variables[row],
        statistic=statistic,
        a=float(a[statistic][at, row]),
        b=float(b[statistic][at, row]),
        differing=len(differing),
        cause=cause,
    )


def _cause_of_weights(a, at: int) -> str:
    if at:
        return (
            "the weights before this step differ, so one of the steps since "
            f"step {a.steps[at - 1]} was different; record every step "
            "(`every=1`) to see which"
        )
    if a.steps[0] == 0:
        return (
            "the weights differ before the first step: a different seed or "
            "initializer, or different weights that were loaded"
        )
    return (
        "the weights already differ before the first step that both runs "
        "recorded"
    )


def _cause_of_updates(a, b, at: int, row: int) -> str:
    rates = [_learning_rate(record, at, row) for record in (a, b)]
    # Rates are recorded in float32, which rounds by up to 6e-8.
    if not np.isnan(rates).any() and relative(*rates) > 1e-6:
        return (
            "weights and gradients are the same, but the learning rate is "
            f"{rates[0]:.4g} in the first run and {rates[1]:.4g} in the second"
        )
    return (
        "weights and gradients are the same, but the optimizer makes "
        "different updates: look at its configuration, its clipping and its "
        "state from earlier steps"
    )


def _learning_rate(record, at: int, row: int) -> float:
    """The learning rate of a variable in a step; NaN if unknown."""
    if record.schema.has_rates:
        return float(record["variable_learning_rate"][at, row])
    return _step_value(record, "learning_rate", at)


def _cause_of_gradients(
    a, b, at: int, differing: np.ndarray, tolerance: float
) -> tuple[int, str]:
    """Choose the row of the variable to name, and words for the cause."""
    first, last = differing[0], differing[-1]
    # The outputs of the model are data, too, but a result and no part of the
    # batch.
    for name in _differing_rows(a, b, "data", at, tolerance):
        if not name.startswith("output"):
            return first, (
                "the weights are the same, but the batch is different: "
                f"`{name}` differs"
            )
    losses = [_step_value(r, "loss", at) for r in (a, b)]
    if not np.isnan(losses).any() and relative(*losses) <= tolerance:
        # Gradients flow from the last layer to the first, so that of the last
        # variable is the first to differ.
        return last, (
            "weights and loss are the same, but the gradients differ, so the "
            "backward pass is different (a `stop_gradient`, a different "
            "scaling of the loss, or code that changes gradients)"
        )
    cause = "the weights are the same, but the forward pass is different"
    activations = _differing_rows(a, b, "activations", at, tolerance)
    if not activations:
        return first, f"{cause}, or the loss or the batch is"
    of_layer = activations[0].rpartition("/")[0]
    rows = [i for i in differing if a.schema.variables[i].layer == of_layer]
    return (rows or [first])[0], (
        f"{cause}, first in the activation `{activations[0]}`: a different "
        "function, different random numbers (dropout), or a different batch"
    )


def _step_value(record, statistic: str, at: int) -> float:
    """Read a number of the whole step, NaN where it was not recorded."""
    is_recorded = "run" in record.families and statistic in record.statistics
    return float(record[statistic][at]) if is_recorded else np.nan


def _differing_rows(a, b, family: str, at: int, tolerance) -> list[str]:
    """List the names of a family's rows that differ in a step."""
    names_a, names_b = a.schema.rows(family), b.schema.rows(family)
    if family not in a.families or family not in b.families:
        return []
    kinds = [_kinds(schema, family) for schema in (a.schema, b.schema)]
    matching = match(names_a, kinds[0], names_b, kinds[1])
    columns_a, columns_b = a.schema.columns[family], b.schema.columns[family]
    # Another version of gradscope may have recorded other columns.
    columns = [name for name in columns_a if name in columns_b]
    indices_a = [columns_a.index(name) for name in columns]
    indices_b = [columns_b.index(name) for name in columns]
    return [
        names_a[i]
        for i, j in matching.pairs
        if (
            np.nan_to_num(
                relative(
                    a.families[family][at, i, indices_a],
                    b.families[family][at, j, indices_b],
                )
            )
            > tolerance
        ).any()
    ]


def _kinds(schema, family: str) -> list:
    if family == "activations":
        return [(row.kind, row.units) for row in schema.activations]
    return [row.name for row in schema.data]
