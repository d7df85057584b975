"""Panels for TensorBoard's own Histograms, Distributions and Scalars tabs.

Hundreds of panels are hard to use, in TensorBoard and in all other readers of
event files. So by default each variable has histograms of its gradient and its
weight, and each layer one ratio; users choose how often they are written, and
for which layers. The plugin's page does not depend on them.
"""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gradscope.errors import GradscopeWarning
from gradscope.format import histogram_buckets
from gradscope.format.schema import SKETCH_COLUMNS, VARIABLE_COLUMNS, Variable
from gradscope.recording import event_bytes, event_writer

#: First part of the histograms' tags, in the order of the recorded rows.
KINDS = ("gradients", "weights", "updates")

#: Words in the names of variables with two or more axes that a layer's ratio
#: leaves out, as those with one axis: many of them begin at zero.
_NO_WEIGHTS = ("bias", "gamma", "beta")


def kinds(include: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds of panels: those of updates only of layers asked for by name.

    Args:
        include: As for `select`.
    """
    # Hundreds of panels help nobody.
    return KINDS if include else KINDS[:2]


def select(
    variables: tuple[Variable, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> list[int]:
    """Select the indices of the variables that have panels.

    Warns if the patterns of `include` leave no variable.

    Args:
        variables: All variables.
        include: Shell patterns of layer or variable names, as in `"dense_*"`;
            an empty tuple includes all.
        exclude: Patterns of variables without panels, even if included.
    """

    def matches(variable: Variable, patterns: tuple[str, ...]) -> bool:
        return any(
            # `fnmatch` ignores case on Windows, where names of layers have it
            # as anywhere.
            fnmatch.fnmatchcase(name, pattern)
            for pattern in patterns
            for name in (variable.layer, variable.name)
        )

    selected = [
        index
        for index, variable in enumerate(variables)
        if (not include or matches(variable, include))
        and not matches(variable, exclude)
    ]
    if include and not selected:
        warnings.warn(
            f"`include={list(include)}` leaves no layer for TensorBoard's own "
            "tabs. Choose from these layers: "
            f"{', '.join(dict.fromkeys(v.layer for v in variables))}.",
            GradscopeWarning,
            stacklevel=6,
        )
    return selected


def patterns(value: str | Iterable[str] | None, name: str) -> tuple[str, ...]:
    """Validate the patterns of the argument `include` or `exclude`.

    Args:
        value: The argument.
        name: Its name, for the error.

    Raises:
        TypeError: If the value is neither None, a string nor a list of strings.
    """
    if value is None:
        return ()
    names = (value,) if isinstance(value, str) else value
    try:
        names = tuple(names)
    except TypeError:
        names = (None,)
    if not all(isinstance(pattern, str) for pattern in names):
        raise TypeError(
            f"`{name}` must be a pattern of layer names like 'dense_*' or a "
            f"list of such patterns, got {value!r}."
        )
    return names


def width(count: int, kinds: tuple[str, ...] = KINDS) -> int:
    """Count the numbers in histograms and sketches of `count` variables."""
    return count * (len(kinds) * histogram_buckets.COUNT + len(SKETCH_COLUMNS))


def split(
    numbers: np.ndarray, count: int, kinds: tuple[str, ...] = KINDS
) -> tuple[np.ndarray, np.ndarray]:
    """Split a row into the histograms and the sketches of `count` variables.

    Returns:
        Histograms `[kinds, count, histogram_buckets.COUNT]`, and sketches
        `[count, SKETCH_COLUMNS]`.
    """
    end = count * len(kinds) * histogram_buckets.COUNT
    counts = numbers[:end].reshape(len(kinds), count, histogram_buckets.COUNT)
    return counts, numbers[end:].reshape(count, len(SKETCH_COLUMNS))


def step_panels(
    variables: list[Variable],
    statistics: np.ndarray,
    counts: np.ndarray,
    kinds: tuple[str, ...] = KINDS,
) -> list[event_bytes.Panel]:
    """Build the panels of one step.

    Args:
        variables: The n selected variables.
        statistics: Their rows of the record, `[n, VARIABLE_COLUMNS]`.
        counts: Histograms `[kinds, n, histogram_buckets.COUNT]`. A histogram
            without any count has no panel.
        kinds: Of `KINDS`.
    """
    names = [variable.name for variable in variables]
    panels = []
    for kind, numbers in zip(kinds, counts, strict=True):
        # A variable without a gradient in this step has no counts at all.
        is_measured = numbers.any(axis=1)
        rows = histogram_buckets.tensorboard_rows(numbers)
        for name, row, measured in zip(names, rows, is_measured, strict=True):
            if measured:
                panels.append(
                    event_writer.histogram_value(f"{kind}/{name}", row)
                )
    over = {"gradient": "gradients", "update": "updates"}
    for quantity in (q for q, kind in over.items() if kind in kinds):
        ratios = layer_ratios(variables, statistics, f"{quantity}_norm")
        panels += scalar_panels(
            {
                f"ratios/{layer}/{quantity}_to_weight": ratio
                for layer, ratio in ratios.items()
            }
        )
    return panels


def scalar_panels(numbers: Mapping[str, float]) -> list[event_bytes.Panel]:
    """Build panels of numbers by tag; an undefined number has none.

    Not every reader of event files can show NaN and infinity.
    """
    with np.errstate(over="ignore"):  # values beyond float32 become infinite
        scalars = {tag: np.float32(number) for tag, number in numbers.items()}
    return [
        event_writer.scalar_value(tag, scalar)
        for tag, scalar in scalars.items()
        if np.isfinite(scalar)
    ]


def layer_ratios(
    variables: Sequence[Variable], statistics: np.ndarray, norm: str
) -> dict[str, float]:
    """Divide a norm by the norm of the weights, layer by layer.

    The norms of a layer are those of its kernels and embeddings. A layer
    without any has no ratio, unless no layer has any.

    Args:
        variables: The variables.
        statistics: Their rows of the record, `[n, VARIABLE_COLUMNS]`.
        norm: `"gradient_norm"` or `"update_norm"`.
    """
    rows = [row for row, v in enumerate(variables) if _is_weight(v)]
    # In float64, since squares of large norms overflow float32.
    squares = np.asarray(
        statistics[
            :, [VARIABLE_COLUMNS.index(n) for n in (norm, "weight_norm")]
        ],
        np.float64,
    )
    squares = np.square(squares)
    sums: dict[str, np.ndarray] = {}
    for row in rows or range(len(variables)):
        if np.isfinite(squares[row]).all():
            layer = variables[row].layer
            sums[layer] = sums.get(layer, 0) + squares[row]
    with np.errstate(all="ignore"):
        return {
            layer: float(np.sqrt(over / under))
            for layer, (over, under) in sums.items()
        }


def _is_weight(variable: Variable) -> bool:
    name = variable.name.rpartition("/")[2].lower()
    return len(variable.shape) >= 2 and not any(
        word in name for word in _NO_WEIGHTS
    )
