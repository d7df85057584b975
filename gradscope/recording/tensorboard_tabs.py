"""What goes into TensorBoard's own Histograms, Distributions and Scalars tabs.

Two hundred panels help nobody, so these have a cadence and a choice of layers
of their own; the plugin's picture does not depend on them.
"""

from __future__ import annotations

import fnmatch
import warnings

import numpy as np

from gradscope.errors import GradscopeWarning
from gradscope.format import histogram_buckets
from gradscope.format.schema import SKETCH_COLUMNS, VARIABLE_COLUMNS, Variable
from gradscope.recording import event_writer

#: First part of the histograms' tags, in the order of the recorded rows.
KINDS = ("gradients", "weights", "updates")

RATIOS = ("gradient_to_weight_ratio", "update_to_weight_ratio")


def select(
    variables: tuple[Variable, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
) -> list[int]:
    """Returns the indices of the variables that get panels; warns if a choice
    leaves none.

    Args:
        variables: All variables.
        include: Shell patterns as in `"dense_*"` of layer or variable names;
            none means all.
        exclude: Patterns of those that get none, even when included.
    """

    def matches(variable, patterns):
        return any(
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
            "tabs. There are "
            f"{', '.join(dict.fromkeys(v.layer for v in variables))}.",
            GradscopeWarning,
            stacklevel=6,
        )
    return selected


def patterns(value, name: str) -> tuple[str, ...]:
    """Returns the patterns of `include` or `exclude`.

    Raises:
        TypeError: If it is neither None, a string nor a list of strings.
    """
    if value is None:
        return ()
    chosen = (value,) if isinstance(value, str) else value
    try:
        chosen = tuple(chosen)
    except TypeError:
        chosen = (None,)
    if not all(isinstance(pattern, str) for pattern in chosen):
        raise TypeError(
            f"`{name}` must be a pattern like 'dense_*' or a list of patterns "
            f"of layer names, got {value!r}."
        )
    return chosen


def width(count: int) -> int:
    """Returns how many numbers there are of the histograms and the sketches of
    so many variables."""
    return count * (len(KINDS) * histogram_buckets.COUNT + len(SKETCH_COLUMNS))


def split(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns histograms `[KINDS, count, buckets.COUNT]` and sketches
    `[count, SKETCH_COLUMNS]` of so many variables."""
    end = count * len(KINDS) * histogram_buckets.COUNT
    counts = numbers[:end].reshape(len(KINDS), count, histogram_buckets.COUNT)
    return counts, numbers[end:].reshape(count, len(SKETCH_COLUMNS))


def values(
    variables: list[Variable], statistics: np.ndarray, counts: np.ndarray
) -> list:
    """Returns the panels of one step.

    Args:
        variables: The selected variables, n of them.
        statistics: Their rows of the record, `[n, VARIABLE_COLUMNS]`.
        counts: Histograms `[KINDS, n, buckets.COUNT]`.
    """
    names = [variable.name for variable in variables]
    panels = []
    for kind, numbers in zip(KINDS, counts, strict=True):
        there = numbers.any(axis=1)
        rows = histogram_buckets.tensorboard_rows(numbers)
        for name, row, is_there in zip(names, rows, there, strict=True):
            if is_there:
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
