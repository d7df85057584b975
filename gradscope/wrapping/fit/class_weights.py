"""Class weights that are the wrong way round, or of other labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradscope.format.rows import Wiring

#: Labels that are counted at most.
_MOST_LABELS = 2_000_000

#: How many times more examples, and more weight, a class has at least.
_LEAST_RATIO = 2.0


def odd_weights(y: Any, class_weight: Any) -> Iterator[Wiring]:
    """Yield what is odd about `class_weight`, given the labels.

    Args:
        y: Labels `[n]` or `[n, 1]`, or one-hot rows `[n, classes]`.
        class_weight: Weights by label.
    """
    # Labels are counted only where there are weights to compare with.
    labels = _labels(y) if isinstance(class_weight, dict) else None
    if labels is None:
        return
    names, counts = np.unique(labels, return_counts=True)
    weights = {int(k): float(v) for k, v in class_weight.items()}
    absent = sorted(set(weights) - set(names.tolist()))
    unweighted = sorted(set(names.tolist()) - set(weights))
    # Either alone may be meant: a class that this part of the data lacks, or
    # one that counts 1.
    if absent and unweighted:
        detail = f"{absent[0]} {unweighted[0]}"
        yield Wiring("weight_of_no_class", "class_weight", detail)
    elif not unweighted and len(names) > 1:
        yield from _reversed(counts, np.array([weights[n] for n in names]))


def _reversed(counts: np.ndarray, weights: np.ndarray) -> Iterator[Wiring]:
    """Weights that rise with the number of examples, from class to class."""
    order = np.argsort(counts)
    counts, weights = counts[order], weights[order]
    rises = bool((np.diff(weights) > 0).all() and (np.diff(counts) > 0).all())
    if not rises or not weights[0] > 0:
        return
    ratios = counts[-1] / counts[0], weights[-1] / weights[0]
    if min(ratios) >= _LEAST_RATIO:
        detail = f"{counts[-1] / counts.sum():.3g} {ratios[0]:.3g} "
        yield Wiring(
            "weight_of_many", "class_weight", f"{detail}{ratios[1]:.3g}"
        )


def _labels(y: Any) -> np.ndarray | None:
    """The labels of the examples, as whole numbers `[n]`; None for others."""
    if not isinstance(y, np.ndarray) or not 0 < y.size < _MOST_LABELS:
        return None
    if y.ndim == 2 and y.shape[1] > 1:
        is_one_hot = (y.sum(axis=1) == 1).all() and ((y == 0) | (y == 1)).all()
        return y.argmax(axis=1) if is_one_hot else None
    flat = y.reshape(-1)
    if len(flat) != len(y) or flat.dtype.kind not in "iufb":
        return None
    # Labels of a sigmoid are floats, 0.0 and 1.0.
    whole = flat.astype(np.int64)
    return whole if (whole == flat).all() else None
