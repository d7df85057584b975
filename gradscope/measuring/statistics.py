"""Statistics of gradients, weights and updates.

`measure` runs on the device and returns what must be reduced there; the rest
(`complete`) follows from it by arithmetic and is done on the host.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from gradscope.format.schema import VARIABLE_COLUMNS
from gradscope.format.step_layout import MEASURED
from gradscope.measuring import (
    extremes,
    gradient_sketch,
    histogram,
    norms,
    stacking,
)
from gradscope.measuring.gradients import Touched
from gradscope.measuring.stacking import Rows
from gradscope.measuring.unit_spread import unit_spread


@dataclasses.dataclass
class Step:
    """What a step has of V variables, put side by side.

    Attributes:
        count: V.
        touched: V gradients before clipping, None where there is none.
        exact: Their values in groups of one shape.
        gradients: The same in fewer groups.
        clipped: Gradients after clipping.
        before: Weights before the step.
        updates: How far the step moved them.
    """

    count: int
    touched: list[Touched | None]
    exact: list[Rows]
    gradients: list[Rows]
    clipped: list[Rows]
    before: list[Rows]
    updates: list[stacking.Moved]


def side_by_side(
    gradients: list[Touched | None],
    clipped: list[Touched | None] | None,
    before: list,
    after: list,
    fused: bool = False,
) -> Step:
    """Returns the tensors of a step, to be measured.

    Args:
        gradients: V gradients before clipping, None where a variable has
            none.
        clipped: V gradients after clipping, None where clipping is off.
        before: The V weights before the step, None for a variable that is
            no part of it.
        after: The V weights after it.
        fused: Whether XLA makes one pass of operations that follow each other.
    """

    # Zeros behind a sparse gradient are not to be counted among others'. (In
    # eager steps and under XLA its shape is known as well as theirs.)
    sparse = frozenset(n for n, g in enumerate(gradients) if _is_sparse(g))
    exact = stacking.groups(list(map(_values, gradients, before)), sparse)
    others = [] if clipped is None else list(map(_values, clipped, before))
    old, new = (
        stacking.merged(stacking.groups(list(w)), fused)
        for w in (before, after)
    )
    return Step(
        count=len(before),
        touched=gradients,
        exact=exact,
        gradients=_with_padding(stacking.merged(exact, fused), gradients),
        clipped=stacking.merged(stacking.groups(others), fused),
        before=old,
        updates=[stacking.Moved(a, b) for a, b in zip(old, new, strict=True)],
    )


def measure(
    step: Step, missing: list[bool | None], fused: bool = False
) -> tf.Tensor:
    """Returns the measured statistics of a step, float32 `[V, MEASURED]`.

    Args:
        step: Of `side_by_side`.
        missing: Whether there should be a gradient but is none, `[V]`; None
            for NaN.
        fused: Whether XLA makes one pass of operations that follow each other.
    """
    kinds = [step.gradients, step.clipped, step.before, step.updates]
    found = norms.norms(kinds, step.count, fused)
    largest, zeros, bad = tf.unstack(
        extremes.extremes(step.gradients, found[0], step.count, fused)
    )
    flags = [np.nan if flag is None else float(flag) for flag in missing]
    columns = {
        "gradient_norm": found[0],
        "gradient_max": largest,
        "gradient_zeros": zeros,
        "gradient_size": _sizes(step),
        "gradient_nonfinite": bad,
        "gradient_unit_spread": unit_spread(step.exact, step.touched),
        "clipped_gradient_norm": found[1],
        "weight_norm": found[2],
        "update_norm": found[3],
        "gradient_missing": tf.constant(flags, tf.float32),
    }
    return tf.stack([columns[name] for name in MEASURED], axis=1)


def occasional(step: Step, places: list[int]) -> tf.Tensor:
    """Returns histograms of gradients, weights and updates of some variables,
    and sketches of their gradients, float32 `[tabs.width(places)]`.

    Args:
        step: Of `side_by_side`.
        places: Which of the V variables.
    """
    kinds = [step.gradients, step.before, step.updates]
    sparse = {n for n, g in enumerate(step.touched) if _is_sparse(g)}
    parts = [
        histogram.counts(kinds, places),
        gradient_sketch.sketches(step.gradients, places, sparse),
    ]
    return tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0)


def _is_sparse(gradient: Touched | None) -> bool:
    return gradient is not None and gradient.is_sparse


def _values(gradient: Touched | None, weight) -> tf.Tensor | None:
    """Returns a gradient's values. Where their shape is not known, they become
    what the optimizer makes of them: some add a number to each weight."""
    if gradient is None or gradient.is_sparse:
        return gradient and gradient.values
    if gradient.values.shape.is_fully_defined():
        return gradient.values
    return tf.broadcast_to(gradient.values, weight.shape)


def _with_padding(found: list[Rows], gradients: list) -> list[Rows]:
    """Returns rows that know how many zeros behind sparse gradients mean
    nothing."""
    return [
        dataclasses.replace(
            rows,
            padding=tf.reshape(gradients[rows.places[0]].padding, [1]),
        )
        if gradients[rows.places[0]].is_sparse
        else rows
        for rows in found
    ]


def _sizes(step: Step) -> tf.Tensor:
    """Returns how many elements of each gradient mean something, `[V]`."""
    sizes = [np.float32(np.nan)] * step.count
    for rows in step.exact:
        for place in rows.places:
            one = step.touched[place]
            sizes[place] = (
                tf.cast(one.size, tf.float32)
                if one.is_sparse or rows.shape is None
                else np.float32(np.prod(rows.shape))
            )
    return tf.stack(sizes)


def nonfinite(tensor) -> tf.Tensor:
    """Returns how many elements are NaN or infinite, a float32 scalar."""
    bad = tf.logical_not(tf.math.is_finite(tensor))
    return tf.reduce_sum(tf.cast(bad, tf.float32))


def complete(measured: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns all statistics of variables, float32 `[V, VARIABLE_COLUMNS]`.

    A ratio to a weight of norm zero is infinite, and NaN where the other norm
    is zero too. What belongs to a missing gradient is NaN. Of a sparse
    gradient only the rows that it has count for its rms and its zeros. A
    gradient that is not finite in any unit has no `gradient_unit_spread`.

    Args:
        measured: `[V, MEASURED]`, the result of `measure`.
        sizes: Number of elements of the V variables.
    """
    value = dict(zip(MEASURED, measured.astype(np.float64).T, strict=True))
    with np.errstate(all="ignore"):
        # The norm is NaN just where an element is.
        value["gradient_max"] = np.where(
            np.isnan(value["gradient_norm"]), np.nan, value["gradient_max"]
        )
        value["gradient_unit_spread"] = np.where(
            value["gradient_nonfinite"] == 0,
            value["gradient_unit_spread"],
            np.nan,
        )
        touched = value["gradient_size"]
        value["gradient_rms"] = value["gradient_norm"] / np.sqrt(touched)
        value["gradient_zero_fraction"] = value["gradient_zeros"] / touched
        value["weight_rms"] = value["weight_norm"] / np.sqrt(sizes)
        value["gradient_to_weight_ratio"] = (
            value["gradient_norm"] / value["weight_norm"]
        )
        value["update_to_weight_ratio"] = (
            value["update_norm"] / value["weight_norm"]
        )
        columns = [value[name] for name in VARIABLE_COLUMNS]
        return np.stack(columns, axis=1).astype(np.float32)
