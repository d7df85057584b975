"""The first step in which two runs part, where, and by what.

Within a step the order of computation is: the weights before it, the forward
pass, the gradient, the update. What parts first in that order is the place to
look at; all that comes later only follows.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gradscope.comparing.difference import noise, relative
from gradscope.comparing.matching import match

#: Statistics of variables that are looked at, in the order of computation.
LOOKED_AT = ("weight_norm", "gradient_norm", "gradient_max", "update_norm")


@dataclasses.dataclass(frozen=True)
class Parting:
    """Where two runs part.

    Attributes:
        step: First common step in which a statistic of a variable differs by
            more than the tolerance.
        after: Last common step before it, None if there is none.
        layer: Where in that step, in the order of computation; a name of the
            first run.
        variable: Variable of that layer that differs most.
        statistic: Of `LOOKED_AT`, the first that differs.
        a: Its value in the first run.
        b: In the second.
        differing: How many of the variables differ in it.
        cause: What that means, in words.
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


def noisy(a, b) -> dict[str, np.ndarray]:
    """Returns for each statistic looked at bool `[S, V]`: what is noise.

    A gradient below 1e-4 of the largest is, and with it the update and, behind
    the first common step, the weight that it has moved (Adam makes steps of
    full length of noise); so is a weight or update below 1e-4 of the largest.

    Args:
        a: Record of one run, with the steps and variables of both.
        b: Of the other.
    """
    own = {n: noise(a[n], b[n]) for n in LOOKED_AT}
    gradient = own["gradient_norm"]
    weight = gradient.copy()
    weight[:1] = False
    return {
        "weight_norm": own["weight_norm"] | weight,
        "gradient_norm": gradient,
        "gradient_max": gradient,
        "update_norm": own["update_norm"] | gradient,
    }


def parting(a, b, tolerance: float) -> Parting | None:
    """Returns where two runs part, None if they do not.

    Args:
        a: Record of one run, with the steps and variables of both.
        b: Of the other, with the names of the first.
        tolerance: Relative difference that is none.
    """
    ignored = noisy(a, b)
    far = {
        name: np.where(
            ignored[name], 0.0, np.nan_to_num(relative(a[name], b[name]))
        )
        for name in LOOKED_AT
    }
    parted = np.stack([far[n].max(axis=1, initial=0) for n in LOOKED_AT])
    steps = np.flatnonzero((parted > tolerance).any(axis=0))
    if not len(steps):
        return None
    at = int(steps[0])
    stage = int(np.flatnonzero(parted[:, at] > tolerance)[0])
    statistic = LOOKED_AT[stage]
    differing = np.flatnonzero(far[statistic][at] > tolerance)
    row, cause = differing[0], ""
    if statistic == "weight_norm":
        cause = _of_weights(a, at)
    elif statistic == "update_norm":
        cause = _of_updates(a, b, at, differing[0])
    else:
        row, cause = _of_gradients(a, b, at, differing, tolerance)
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


def _of_weights(a, at: int) -> str:
    if at:
        return (
            "the weights before this step differ, so one of the steps "
            f"since step {a.steps[at - 1]} was another one; record every step "
            "(`every=1`) to see which"
        )
    if a.steps[0] == 0:
        return (
            "the weights are others before the first step: another seed, "
            "another initialiser, or other weights were loaded"
        )
    return (
        "the weights differ already before the first step that both runs "
        "recorded"
    )


def _of_updates(a, b, at: int, row: int) -> str:
    rates = _rate(a, at, row), _rate(b, at, row)
    if not np.isnan(rates).any() and relative(*rates) > 1e-6:
        return (
            "weights and gradients are the same, and the learning rate is "
            f"{rates[0]:.4g} in one and {rates[1]:.4g} in the other"
        )
    return (
        "weights and gradients are the same, and the optimizer makes "
        "different updates of them: look at its configuration, its clipping, "
        "and at what it remembers of earlier steps"
    )


def _rate(record, at: int, row: int) -> float:
    """Returns the learning rate of a variable in a step, NaN if unknown."""
    if record.schema.has_rates:
        return float(record["variable_learning_rate"][at, row])
    return _of_step(record, "learning_rate", at)


def _of_gradients(a, b, at, differing, tolerance) -> tuple[int, str]:
    """Returns the variable to name, and what it means."""
    first, last = differing[0], differing[-1]
    for name in _differing_rows(a, b, "data", at, tolerance):
        if not name.startswith("output"):
            return first, (
                f"the weights are the same, and the batch is another one: "
                f"`{name}` differs"
            )
    losses = _of_step(a, "loss", at), _of_step(b, "loss", at)
    if not np.isnan(losses).any() and relative(*losses) <= tolerance:
        return last, (
            "weights and loss are the same, and the gradients are not: the "
            "way back from the loss differs (a `stop_gradient`, another "
            "scaling of the loss, or code that changes gradients)"
        )
    cause = "the weights are the same, and the forward pass is another one"
    activations = _differing_rows(a, b, "activations", at, tolerance)
    if not activations:
        return first, f"{cause}, or the loss is, or the batch"
    of_layer = activations[0].rpartition("/")[0]
    rows = [i for i in differing if a.schema.variables[i].layer == of_layer]
    return (rows or [first])[0], (
        f"{cause}, first seen in the activation `{activations[0]}`: another "
        "function, other random numbers (dropout), or another batch"
    )


def _of_step(record, statistic: str, at: int) -> float:
    """Returns a number of the whole step, NaN where it is not known."""
    known = "run" in record.families and statistic in record.statistics
    return float(record[statistic][at]) if known else np.nan


def _differing_rows(a, b, family: str, at: int, tolerance) -> list[str]:
    """Returns the names of rows of a family that differ in a step."""
    names_a, names_b = a.schema.rows(family), b.schema.rows(family)
    if family not in a.families or family not in b.families:
        return []
    kinds = [_kinds(schema, family) for schema in (a.schema, b.schema)]
    matching = match(names_a, kinds[0], names_b, kinds[1])
    columns_a, columns_b = a.schema.columns[family], b.schema.columns[family]
    columns = [name for name in columns_a if name in columns_b]
    here = [columns_a.index(name) for name in columns]
    there = [columns_b.index(name) for name in columns]
    return [
        names_a[i]
        for i, j in matching.pairs
        if (
            np.nan_to_num(
                relative(
                    a.families[family][at, i, here],
                    b.families[family][at, j, there],
                )
            )
            > tolerance
        ).any()
    ]


def _kinds(schema, family: str) -> list:
    if family == "activations":
        return [(one.kind, one.units) for one in schema.activations]
    return [one.name for one in schema.data]
