"""Merges the numbers of a forward pass that several replicas measured.

Each replica has a part of the batch. Counts are added, means are weighted by
examples, and a unit has fired if it fired on any replica. `data_variation` is
the variation around each replica's own mean. A replica without examples (the
last batch can be too small for all replicas) has no weight.
"""

from __future__ import annotations

import numpy as np

from gradscope.format.columns import DATA_COLUMNS, STATISTICS
from gradscope.format.step_layout import ACTIVATION_MEASURED, STATE_MEASURED


def merge(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Merge the segments of `Layout.forward` of all replicas.

    Args:
        parts: The segments of each replica, by name.
    """
    if len(parts) == 1:
        return parts[0]
    stacked = {name: np.stack([p[name] for p in parts]) for name in parts[0]}
    examples = stacked["activations"][:, :, -1:]
    counts = np.array([_examples(part) for part in parts])[:, None, None]
    return {
        "activations": _combine(
            stacked["activations"], examples, ACTIVATION_MEASURED
        ),
        "activity": _mean(stacked["activity"], counts[:, 0]),
        "state": _combine(stacked["state"], counts, STATE_MEASURED),
        "moving": _mean(stacked["moving"], counts[:, 0]),
        "data": _combine(stacked["data"], counts, DATA_COLUMNS),
        # Keras divides each replica's loss by the number of replicas.
        "loss": stacked["loss"].sum(axis=0),
    }


def _examples(segments: dict[str, np.ndarray]) -> float:
    """Find the number of examples; 1 if nothing that was measured has one."""
    column = DATA_COLUMNS.index("data_examples")
    for examples in (
        segments["activations"][:, -1],
        segments["data"][:, column],
    ):
        counts = examples[np.isfinite(examples)]
        if len(counts):
            return float(counts.max())
    return 1.0


def _combine(
    values: np.ndarray, weights: np.ndarray, columns: tuple[str, ...]
) -> np.ndarray:
    """Combine columns `[replicas, rows, columns]` as they are declared."""
    combine = {
        "mean": _mean,
        "rms": lambda v, w: np.sqrt(_mean(v * v, w)),
        "max": _maximum,
        "min": lambda v, w: -_maximum(-v, w),
        "sum": lambda v, w: v.sum(axis=0),
    }
    out = [
        combine[_rule(name)](values[..., column], weights[..., 0])
        for column, name in enumerate(columns)
    ]
    return np.stack(out, axis=-1)


def _rule(name: str) -> str:
    # The count of examples weights the others, and is no statistic itself.
    return "sum" if name == "examples" else STATISTICS[name].of_replicas


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the weighted mean over the first axis."""
    with np.errstate(invalid="ignore"):
        # A replica without examples has NaN, which a weight of 0 would not
        # remove.
        weighted = np.where(weights == 0, 0, values * weights)
        return weighted.sum(axis=0) / weights.sum(axis=0)


def _maximum(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the maximum over the first axis of values with a weight."""
    # The maximum of NaN, which a replica without examples has, would be NaN.
    largest = np.where(weights == 0, -np.inf, values).max(axis=0)
    return np.where(np.all(weights == 0, axis=0), np.nan, largest)
