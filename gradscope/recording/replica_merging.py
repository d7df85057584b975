"""One step's forward pass from those of several replicas.

Each replica had a part of the batch: what is counted is added up, what is a
mean is that of all examples. A unit has fired if it did on any replica. How
much examples vary is what they vary on each replica, around its own mean. What
a replica has of no examples at all (the last batch is too small) says nothing.
"""

from __future__ import annotations

import numpy as np

from gradscope.format.schema import DATA_COLUMNS
from gradscope.format.step_layout import ACTIVATION_MEASURED, STATE_MEASURED

#: How the numbers of replicas become one; means are weighted by examples.
_RULES = {
    "zero_fraction": "mean",
    "saturated_fraction": "mean",
    "activation_mean": "mean",
    "activation_rms": "rms",
    "activation_max": "max",
    "activation_nonfinite": "sum",
    "examples": "sum",
    "data_mean": "mean",
    "data_rms": "rms",
    "data_variation": "rms",
    "data_min": "min",
    "data_max": "max",
    "data_nonfinite": "mean",
}


def merged(parts: list[dict]) -> dict[str, np.ndarray]:
    """Returns the segments of `Layout.forward` of a whole step.

    Args:
        parts: Those of each replica.
    """
    if len(parts) == 1:
        return parts[0]
    stacked = {name: np.stack([p[name] for p in parts]) for name in parts[0]}
    examples = stacked["activations"][:, :, -1:]
    counts = np.array([_examples(part) for part in parts])[:, None, None]
    return {
        "activations": _combined(
            stacked["activations"], examples, ACTIVATION_MEASURED
        ),
        "activity": _mean(stacked["activity"], counts[:, 0]),
        "state": _combined(stacked["state"], counts, STATE_MEASURED),
        "moving": _mean(stacked["moving"], counts[:, 0]),
        "data": _combined(stacked["data"], counts, DATA_COLUMNS),
        # Keras divides each replica's loss by the number of replicas.
        "loss": stacked["loss"].sum(axis=0),
    }


def _examples(part) -> float:
    examples = part["activations"][:, -1]
    known = examples[np.isfinite(examples)]
    if len(known):
        return float(known.max())
    return 0.0 if part["data"].size and _is_nothing(part["data"]) else 1.0


def _is_nothing(values) -> bool:
    return bool(np.isnan(values).all())


def _combined(values, weights, columns) -> np.ndarray:
    combine = {
        "mean": _mean,
        "rms": lambda v, w: np.sqrt(_mean(v * v, w)),
        "max": _most,
        "min": lambda v, w: -_most(-v, w),
        "sum": lambda v, w: v.sum(axis=0),
    }
    out = [
        combine[_RULES.get(name, "mean")](values[..., column], weights[..., 0])
        for column, name in enumerate(columns)
    ]
    return np.stack(out, axis=-1)


def _mean(values, weights) -> np.ndarray:
    """Returns the weighted mean over the first axis."""
    with np.errstate(invalid="ignore"):
        weighted = np.where(weights == 0, 0, values * weights)
        return weighted.sum(axis=0) / weights.sum(axis=0)


def _most(values, weights) -> np.ndarray:
    """Returns the largest over the first axis of what has any weight."""
    most = np.where(weights == 0, -np.inf, values).max(axis=0)
    return np.where(np.all(weights == 0, axis=0), np.nan, most)
