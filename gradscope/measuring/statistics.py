"""Statistics of gradients, weights and updates.

`measure` runs on the device and returns what must be reduced there; the rest
(`complete`) follows from it by arithmetic and is done on the host.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from gradscope.layout import MEASURED
from gradscope.measuring import alike, histogram, sketch
from gradscope.measuring.alike import Rows
from gradscope.measuring.gradients import Touched
from gradscope.measuring.unit_spread import unit_spread
from gradscope.schema import VARIABLE_COLUMNS


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
    updates: list[Rows]


def side_by_side(
    gradients: list[Touched | None],
    clipped: list[Touched | None] | None,
    before: list,
    after: list,
) -> Step:
    """Returns the tensors of a step, to be measured.

    Args:
        gradients: V gradients before clipping, None where a variable has
            none.
        clipped: V gradients after clipping, None where clipping is off.
        before: The V weights before the step, None for a variable that is
            no part of it.
        after: The V weights after it.
    """
    exact = alike.groups(list(map(_values, gradients, before)))
    others = [] if clipped is None else list(map(_values, clipped, before))
    old, new = (alike.merged(alike.groups(list(w))) for w in (before, after))
    return Step(
        count=len(before),
        touched=gradients,
        exact=exact,
        gradients=_with_padding(alike.merged(exact), gradients),
        clipped=alike.merged(alike.groups(others)),
        before=old,
        updates=[
            dataclasses.replace(a, values=update(a.values, b.values))
            for a, b in zip(old, new, strict=True)
        ],
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
    norms = _norms(kinds, step.count)
    largest, zeros, bad = tf.unstack(_of_gradients(step, norms[0], fused))
    flags = [np.nan if flag is None else float(flag) for flag in missing]
    columns = {
        "gradient_norm": norms[0],
        "gradient_max": largest,
        "gradient_zeros": zeros,
        "gradient_size": _sizes(step),
        "gradient_nonfinite": bad,
        "gradient_unit_spread": unit_spread(step.exact, step.touched),
        "clipped_gradient_norm": norms[1],
        "weight_norm": norms[2],
        "update_norm": norms[3],
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
    sparse = {n for n, g in enumerate(step.touched) if g and g.is_sparse}
    parts = [
        histogram.counts(kinds, places),
        sketch.sketches(step.gradients, places, sparse),
    ]
    return tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0)


def _values(gradient: Touched | None, weight) -> tf.Tensor | None:
    """Returns a gradient's values, which have the shape of the weight where
    they do not know it themselves."""
    if gradient is None or gradient.is_sparse:
        return gradient and gradient.values
    if gradient.values.shape.is_fully_defined():
        return gradient.values
    return tf.ensure_shape(gradient.values, weight.shape)


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


def _norms(kinds: list[list[Rows]], count: int) -> list[tf.Tensor]:
    """Returns for each kind of tensors V norms, NaN for None.

    Squares are added in float64: in float32 a gradient of 1e-23, which a deep
    sigmoid network reaches, squares to zero, and one of 1e19 to infinity.
    """
    every = [rows for kind in kinds for rows in kind]
    if not every:
        return [tf.fill([count], np.float32(np.nan)) for _ in kinds]
    squares = tf.concat([_squares(rows.values) for rows in every], axis=0)
    norms = tf.cast(tf.sqrt(squares), tf.float32)
    first, found = 0, []
    for kind in kinds:
        places = [place for rows in kind for place in rows.places]
        own = norms[first : first + len(places)]
        found.append(_in_order(own[tf.newaxis], places, count)[0])
        first += len(places)
    return found


def _of_gradients(step: Step, norms: tf.Tensor, fused: bool) -> tf.Tensor:
    """Returns the largest absolute values of V gradients, how many of their
    elements are zero, and how many NaN or infinite, `[3, V]`.

    Args:
        step, fused: As of `measure`.
        norms: Of the V gradients, NaN for None.
    """
    found = step.gradients
    if not found:
        return tf.fill([3, step.count], np.float32(np.nan))
    places = [place for rows in found for place in rows.places]
    finite = tf.reduce_all(tf.math.is_finite(tf.gather(norms, places)))
    counts = _counts(found, finite, fused)
    largest = tf.concat([_largest(rows.values) for rows in found], axis=0)
    zeros, bad = tf.unstack(tf.concat(counts, axis=1))
    zeros -= tf.concat([tf.cast(r.padding, tf.float32) for r in found], axis=0)
    return _in_order(tf.stack([largest, zeros, bad]), places, step.count)


def _counts(found: list[Rows], finite, fused: bool) -> list[tf.Tensor]:
    """Returns how many elements of rows are zero, and how many NaN or
    infinite, `[2, n]` of each of `found`.

    Args:
        finite: Whether all are finite, bool scalar.
        fused: Whether one pass over a tensor can do it all, as under XLA.
            Without, four passes are saved where all is finite: a mask and its
            sum take .9 ms of a million floats, the sum of squared signs .3.
    """
    if fused:
        return [_counted_at_once(rows.values) for rows in found]

    def quickly():
        return [_signless(rows.values) for rows in found]

    def exactly():
        return [_counted_apart(rows.values) for rows in found]

    return tf.nest.flatten(tf.cond(finite, quickly, exactly))


def _signless(x) -> tf.Tensor:
    """Returns the counts of rows that are finite."""
    signs = _squares(tf.sign(x))
    zeros = tf.cast(tf.shape(x)[1], tf.float64) - signs
    return tf.cast(tf.stack([zeros, tf.zeros_like(zeros)]), tf.float32)


def _counted_apart(x) -> tf.Tensor:
    bad = tf.logical_not(tf.math.is_finite(x))
    masks = [tf.equal(x, tf.zeros([], x.dtype)), bad]
    return tf.stack([_count(mask) for mask in masks])


def _counted_at_once(x) -> tf.Tensor:
    """Returns both counts from one sum of integers: 2^32 zeros are one more
    that is not finite."""
    one, many = tf.constant(1, tf.int64), tf.constant(2**32, tf.int64)
    none = tf.zeros_like(one)
    zero = tf.where(tf.equal(x, tf.zeros([], x.dtype)), one, none)
    each = tf.where(tf.math.is_finite(x), zero, many)
    total = tf.reduce_sum(each, axis=1)
    return tf.cast(tf.stack([total % many, total // many]), tf.float32)


def _in_order(found: tf.Tensor, places: list[int], count: int) -> tf.Tensor:
    """Returns the columns of `[k, n]` at their places among V, else NaN."""
    if not places:
        return tf.fill([found.shape.as_list()[0], count], np.float32(np.nan))
    if places == list(range(count)):
        return found
    position = {place: index for index, place in enumerate(places)}
    order = [position.get(place, len(places)) for place in range(count)]
    nan = tf.fill([found.shape.as_list()[0], 1], np.float32(np.nan))
    return tf.gather(tf.concat([found, nan], axis=1), order, axis=1)


def _squares(rows) -> tf.Tensor:
    wide = tf.cast(rows, tf.float64)
    if rows.shape.as_list()[0] == 1:
        return tf.reshape(2.0 * tf.nn.l2_loss(wide), [1])
    return tf.reduce_sum(wide * wide, axis=1)


def _largest(rows) -> tf.Tensor:
    """Returns the largest absolute value of each row, 0 of an empty one.

    Anything if there is a NaN: XLA leaves it out on CPUs, TensorFlow does not.
    """
    if rows.shape.as_list()[1] == 0:
        return tf.zeros([rows.shape.as_list()[0]])
    return tf.cast(tf.reduce_max(tf.abs(rows), axis=1), tf.float32)


def _count(mask) -> tf.Tensor:
    """Returns how many are true in each row, float32 `[n]`."""
    return tf.reduce_sum(tf.cast(mask, tf.float32), axis=1)


def update(before, after) -> tf.Tensor | None:
    """Returns how far a step moved a weight, at least in float32.

    The difference of two bfloat16 numbers can need more than its 8 bits. None
    for a weight that is None.
    """
    if before is None:
        return None
    if before.dtype.size < 4:
        before, after = (tf.cast(t, tf.float32) for t in (before, after))
    return after - before


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
