"""Computes the statistics of gradients, weights and updates.

`measure` reduces tensors on the device. `complete` derives all columns from its
result, on the host.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from gradscope.format import stored_columns
from gradscope.format.schema import VARIABLE_COLUMNS
from gradscope.format.step_layout import MEASURED
from gradscope.measuring import (
    extremes,
    gradient_sketch,
    histogram,
    norms,
    stacking,
)
from gradscope.measuring.gradients import GradientValues
from gradscope.measuring.stacking import Rows
from gradscope.measuring.unit_spread import unit_spread


@dataclasses.dataclass
class StepTensors:
    """The tensors of a step with V variables, stacked.

    Attributes:
        count: V.
        sources: The V gradients before clipping, None for a missing one.
        by_shape: The gradients in stacks of one shape.
        gradients: The gradients in fewer stacks.
        clipped: The gradients after clipping.
        before: The weights before the step.
        updates: The updates of the weights.
    """

    count: int
    sources: list[GradientValues | None]
    by_shape: list[Rows]
    gradients: list[Rows]
    clipped: list[Rows]
    before: list[Rows]
    updates: list[stacking.UpdateRows]


def stack_step(
    gradients: list[GradientValues | None],
    clipped: list[GradientValues | None] | None,
    before: list[tf.Tensor | None],
    after: list[tf.Tensor | None],
    fused: bool = False,
) -> StepTensors:
    """Stack the tensors of a step for `measure`.

    Args:
        gradients: V gradients before clipping, None for a variable without a
            gradient.
        clipped: V gradients after clipping, None without clipping.
        before: The V weights before the step, None for a variable that is
            no part of the step.
        after: The V weights after the step.
        fused: Whether XLA fuses consecutive operations into one pass.
    """

    def stack(tensors: list[tf.Tensor | None]) -> list[Rows]:
        by_shape = stacking.stack_by_shape(list(tensors))
        return stacking.pad_together(by_shape, fused)

    # The zeros at the end of a sparse gradient must not count as zeros of
    # others. (In eager steps and under XLA its shape is as known as theirs.)
    sparse = frozenset(n for n, g in enumerate(gradients) if _is_sparse(g))
    by_shape = stacking.stack_by_shape(
        list(map(_values, gradients, before)), sparse
    )
    after_clipping = (
        [] if clipped is None else list(map(_values, clipped, before))
    )
    # Both have the same shapes, so that their stacks go together in pairs.
    old, new = stack(before), stack(after)
    return StepTensors(
        count=len(before),
        sources=gradients,
        by_shape=by_shape,
        gradients=_with_padding(
            stacking.pad_together(by_shape, fused), gradients
        ),
        clipped=stack(after_clipping),
        before=old,
        updates=[
            stacking.UpdateRows(*pair) for pair in zip(old, new, strict=True)
        ],
    )


def measure(
    step: StepTensors, missing: list[bool | None], fused: bool = False
) -> tf.Tensor:
    """Measure the variables of a step, float32 `[V, MEASURED]`.

    Args:
        step: Result of `stack_step`.
        missing: Whether the gradient of each variable is missing, `[V]`; None
            for a variable that is no part of the step.
        fused: Whether XLA fuses consecutive operations into one pass.
    """
    kinds = [step.gradients, step.clipped, step.before, step.updates]
    norms_of_kinds = norms.norms(kinds, step.count, fused)
    largest, zeros, nonfinite = tf.unstack(
        extremes.extremes(step.gradients, norms_of_kinds[0], step.count, fused)
    )
    flags = [np.nan if flag is None else float(flag) for flag in missing]
    columns = {
        "gradient_norm": norms_of_kinds[0],
        "gradient_max": largest,
        "gradient_zeros": zeros,
        "gradient_size": _sizes(step),
        "gradient_nonfinite": nonfinite,
        "gradient_unit_spread": unit_spread(step.by_shape, step.sources),
        "clipped_gradient_norm": norms_of_kinds[1],
        "weight_norm": norms_of_kinds[2],
        "update_norm": norms_of_kinds[3],
        "gradient_missing": tf.constant(flags, tf.float32),
    }
    return tf.stack([columns[name] for name in MEASURED], axis=1)


def occasional(
    step: StepTensors, places: list[int], kinds: Sequence[str]
) -> tf.Tensor:
    """Measure histograms and sketches of selected variables.

    Args:
        step: Result of `stack_step`.
        places: Indices of the selected variables.
        kinds: Kinds of histograms, of `"gradients"`, `"weights"` and
            `"updates"`.

    Returns:
        Histograms kind by kind, followed by sketches of gradients, float32
        `[tensorboard_tabs.width(len(places), kinds)]`.
    """
    tensors: dict[str, list[Any]] = {
        "gradients": step.gradients,
        "weights": step.before,
        "updates": step.updates,
    }
    sparse = {n for n, g in enumerate(step.sources) if _is_sparse(g)}
    parts = [
        histogram.counts([tensors[kind] for kind in kinds], places),
        gradient_sketch.sketches(step.gradients, places, sparse),
    ]
    return tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0)


def _is_sparse(gradient: GradientValues | None) -> bool:
    return gradient is not None and gradient.is_sparse


def _values(
    gradient: GradientValues | None, weight: tf.Tensor
) -> tf.Tensor | None:
    """Select a gradient's values.

    Values of unknown shape are broadcast to the weight, as the optimizer does:
    a gradient may be one number for all elements of the weight.
    """
    if gradient is None or gradient.is_sparse:
        return gradient and gradient.values
    if gradient.values.shape.is_fully_defined():
        return gradient.values
    return tf.broadcast_to(gradient.values, weight.shape)


def _with_padding(stacks: list[Rows], gradients: list) -> list[Rows]:
    """Add the padding of sparse gradients to their stacks."""
    return [
        dataclasses.replace(
            rows,
            padding=tf.reshape(gradients[rows.places[0]].padding, [1]),
        )
        if gradients[rows.places[0]].is_sparse
        else rows
        for rows in stacks
    ]


def _sizes(step: StepTensors) -> tf.Tensor:
    """Count the elements of each gradient without padding, `[V]`."""
    sizes = [np.float32(np.nan)] * step.count
    for rows in step.by_shape:
        for place in rows.places:
            source = step.sources[place]
            sizes[place] = (
                tf.cast(source.size, tf.float32)
                if source.is_sparse or rows.shape is None
                else np.float32(np.prod(rows.shape))
            )
    return tf.stack(sizes)


def count_nonfinite(tensor: tf.Tensor) -> tf.Tensor:
    """Count the elements that are NaN or infinite, float32 scalar."""
    is_nonfinite = tf.logical_not(tf.math.is_finite(tensor))
    return tf.reduce_sum(tf.cast(is_nonfinite, tf.float32))


def complete(measured: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Derive all statistics of variables, float32 `[V, VARIABLE_COLUMNS]`.

    A ratio to a weight of norm zero is infinite, or NaN if the other norm is
    zero, too. All statistics of a missing gradient are NaN. For the rms and the
    zeros of a sparse gradient, only its own rows count. A gradient with any
    non-finite element has no `gradient_unit_spread`.

    Args:
        measured: Result of `measure`, `[V, MEASURED]`.
        sizes: Number of elements of the V variables.

    Examples:
        A weight of four elements, all 3, has the norm 6; a gradient of the norm
        2 has an rms of 2 / √4; the update's norm is 3 % of the weight's.

        >>> numbers = {
        ...     "gradient_norm": 2.0,
        ...     "gradient_size": 4.0,
        ...     "gradient_zeros": 1.0,
        ...     "weight_norm": 6.0,
        ...     "update_norm": 0.18,
        ... }
        >>> measured = np.array([[numbers.get(name, 0.0) for name in MEASURED]])
        >>> row = complete(measured, np.array([4]))[0].round(3).tolist()
        >>> named = dict(zip(VARIABLE_COLUMNS, row))
        >>> named["gradient_rms"], named["weight_rms"]
        (1.0, 3.0)
        >>> named["gradient_zero_fraction"]
        0.25
        >>> round(named["update_to_weight_ratio"], 3)
        0.03
    """
    value = dict(zip(MEASURED, measured.astype(np.float64).T, strict=True))
    with np.errstate(all="ignore"):
        # The norm is NaN if and only if an element is.
        value["gradient_max"] = np.where(
            np.isnan(value["gradient_norm"]), np.nan, value["gradient_max"]
        )
        value["gradient_unit_spread"] = np.where(
            value["gradient_nonfinite"] == 0,
            value["gradient_unit_spread"],
            np.nan,
        )
        count = value["gradient_size"]
        value["gradient_zero_fraction"] = value["gradient_zeros"] / count
        value |= stored_columns.derive(value, sizes)
        columns = [value[name] for name in VARIABLE_COLUMNS]
        return np.stack(columns, axis=1).astype(np.float32)
