"""Panels for TensorBoard's own Histograms, Distributions and Scalars tabs.

Hundreds of panels are hard to use, so users choose how often they are written
and for which layers. The plugin's page does not depend on them.
"""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Iterable

import numpy as np

from gradscope.errors import GradscopeWarning
from gradscope.format import histogram_buckets
from gradscope.format.schema import SKETCH_COLUMNS, VARIABLE_COLUMNS, Variable
from gradscope.recording import event_bytes, event_writer

#: First part of the histograms' tags, in the order of the recorded rows.
KINDS = ("gradients", "weights", "updates")

RATIOS = ("gradient_to_weight_ratio", "update_to_weight_ratio")


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


def width(count: int) -> int:
    """Count the numbers in histograms and sketches of `count` variables."""
    return count * (len(KINDS) * histogram_buckets.COUNT + len(SKETCH_COLUMNS))


def split(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Split a row into the histograms and the sketches of `count` variables.

    Returns:
        Histograms `[KINDS, count, histogram_buckets.COUNT]`, and sketches
        `[count, SKETCH_COLUMNS]`.
    """
    end = count * len(KINDS) * histogram_buckets.COUNT
    counts = numbers[:end].reshape(len(KINDS), count, histogram_buckets.COUNT)
    return counts, numbers[end:].reshape(count, len(SKETCH_COLUMNS))


def step_panels(
    variables: list[Variable], statistics: np.ndarray, counts: np.ndarray
) -> list[event_bytes.Panel]:
    """Build the panels of one step.

    Args:
        variables: The n selected variables.
        statistics: Their rows of the record, `[n, VARIABLE_COLUMNS]`.
        counts: Histograms `[KINDS, n, histogram_buckets.COUNT]`. A histogram
            without any count has no panel.
    """
    names = [variable.name for variable in variables]
    panels = []
    for kind, numbers in zip(KINDS, counts, strict=True):
        is_measured = numbers.any(axis=1)
        rows = histogram_buckets.tensorboard_rows(numbers)
        for name, row, measured in zip(names, rows, is_measured, strict=True):
            if measured:
                panels.append(
                    event_writer.histogram_value(f"{kind}/{name}", row)
                )
    for ratio in RATIOS:
        last = ratio.removesuffix("_ratio")
        column = statistics[:, VARIABLE_COLUMNS.index(ratio)]
        for name, number in zip(names, column, strict=True):
            panels.append(
                event_writer.scalar_value(f"ratios/{name}/{last}", number)
            )
    return panels
