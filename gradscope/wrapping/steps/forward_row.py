"""Measures the forward pass of a step: one row of numbers, on the device."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.format.schema import Activation, Schema
from gradscope.format.step_layout import (
    ACTIVATION_MEASURED,
    DATA_COLUMNS,
    MEASURED,
    STATE_MEASURED,
    Layout,
)
from gradscope.measuring import (
    activations,
    data,
    first_nonfinite,
    sampling,
    states,
)
from gradscope.runtime import tracing
from gradscope.wrapping.forward.forward_pass import NO_LOSS, ForwardPass
from gradscope.wrapping.forward.nan_suspects import Suspects

_NAN = np.float32(np.nan)


class ForwardMeasurement:
    """Measures what a schema has rows for.

    Args:
        schema: Of the record.
    """

    def __init__(self, schema: Schema):
        self._schema = schema
        self._layout = Layout.of(schema)

    def covers(self, seen: ForwardPass) -> bool:
        """Returns whether there is a row for all that is seen of a step."""
        return (
            set(seen.activations) <= set(self._schema.activations)
            and set(seen.states) <= set(self._schema.states)
            and set(seen.data) <= set(self._schema.rows("data"))
            and (seen.suspects is None or bool(self._schema.operations))
            and (seen.loss is None or NO_LOSS not in self._schema.unseen)
        )

    def origin(self, suspects: Suspects) -> tf.Tensor:
        """Returns which operation was the first to return what is not finite,
        float32 `[ORIGIN]`."""
        return first_nonfinite.find_first(
            first_nonfinite.classify(suspects.outputs),
            suspects.sources,
            suspects.places(self._schema.operations),
        )

    def is_broken(self, variables: tf.Tensor, forward: tf.Tensor) -> tf.Tensor:
        """Returns whether something of a step is not finite, a bool scalar.

        Args:
            variables: What was measured of variables, `[V, MEASURED]`.
            forward: What `measure` returned.
        """
        counts = [
            variables[:, MEASURED.index("gradient_nonfinite")],
            tf.gather(forward, self._layout.counts_of_nonfinite),
        ]
        return tf.reduce_any(tf.concat(counts, axis=0) > 0.0)

    def measure(self, seen: ForwardPass) -> tf.Tensor:
        """Returns the segments of `Layout.forward` of one step, float32
        `[forward_width]`; NaN for what the step does not have."""
        measured, activity = _of_activations(seen)
        kept, of_data = seen.states, _of_data(seen)
        schema = self._schema
        rows = {
            "activations": [measured.get(a) for a in schema.activations],
            "activity": [
                activity.get(a) for a in schema.activations if a.is_counted
            ],
            "state": [_of_state(kept.get(s), seen) for s in schema.states],
            "moving": [_moving(kept.get(s)) for s in schema.states if s.size],
            "data": [of_data.get(name) for name in schema.rows("data")],
            "loss": [None if seen.loss is None else _loss(seen.loss)],
        }
        widths = {
            "activations": [len(ACTIVATION_MEASURED)] * len(schema.activations),
            "activity": [a.units for a in schema.activations if a.is_counted],
            "state": [len(STATE_MEASURED)] * len(schema.states),
            "moving": [s.size for s in schema.states if s.size],
            "data": [len(DATA_COLUMNS)] * len(schema.data),
            "loss": [1],
        }
        parts = [
            tf.fill([width], _NAN) if row is None else row
            for name in self._layout.forward
            for row, width in zip(rows[name], widths[name], strict=True)
        ]
        return tf.ensure_shape(
            tf.concat(parts, axis=0), [self._layout.forward_width]
        )


def _of_activations(seen: ForwardPass) -> tuple[dict, dict]:
    """Returns `ACTIVATION_MEASURED` of each, and shares by unit."""
    measured: dict[Activation, tf.Tensor] = {}
    activity: dict[Activation, tf.Tensor] = {}
    fused = tracing.in_xla(tracing.current_graph())
    for alike in _alike(seen.activations):
        found = [seen.activations[one] for one in alike]
        kind = alike[0].kind
        looked = sampling.sample([one.read for one in found])
        numbers, shares = activations.measure_with_activity(
            kind, looked.values, fused, looked.rows
        )
        examples = looked.examples[:, tf.newaxis]
        measured |= _each(alike, tf.concat([numbers, examples], axis=1))
        if alike[0].is_counted:
            activity |= _each(alike, shares)
    return measured, activity


def _of_data(seen: ForwardPass) -> dict[str, tf.Tensor]:
    """Returns `DATA_COLUMNS` of what a model was given, and gave, by name."""
    if not seen.data:
        return {}
    measured = tf.unstack(data.measure(list(seen.data.values())))
    return dict(zip(seen.data, measured, strict=True))


def _alike(found: dict) -> list[list[Activation]]:
    """Returns the activations in groups that can be measured as one tensor:
    50 layers of one width take the operations of one. What has an axis of
    unknown size may be like no other, and stays alone."""
    groups: dict[tuple, list[Activation]] = {}
    for described, one in found.items():
        key: tuple = (described,)
        if sampling.have_same_shape(one.read):
            shape = tuple(one.read[0].shape.as_list()[1:])
            key = described.kind, shape, one.read[0].dtype, len(one.read)
        groups.setdefault(key, []).append(described)
    return list(groups.values())


def _each(alike: list[Activation], values: tf.Tensor) -> dict:
    return dict(zip(alike, tf.unstack(values, len(alike)), strict=True))


def _of_state(kept, seen: ForwardPass):
    """Returns `STATE_MEASURED` of a layer, None where it was not seen."""
    if kept is None:
        return None
    numbers = {}
    if kept.kept is not None:
        rate = tf.reduce_mean(tf.cast(kept.rate, tf.float32))
        numbers["dropout_rate"] = 1.0 - rate if kept.is_of_kept else rate
        numbers["dropped_fraction"] = states.dropped_fraction(kept.kept)
    if kept.training is not None:
        numbers["training_mode"] = tf.constant(float(kept.training))
    if kept.mean is not None:
        numbers |= _distances(kept, _examples(kept, seen))
    return tf.stack([numbers.get(name, _NAN) for name in STATE_MEASURED])


def _distances(kept, examples) -> dict[str, tf.Tensor]:
    """Returns how far statistics of a batch are from the moving ones."""
    tensors = [kept.mean, kept.variance, *kept.moving]
    sizes = {t.shape.num_elements() for t in tensors}
    # Of an axis of unknown size it is not known what belongs to what.
    if not kept.moving or len(sizes) > 1 or None in sizes:
        return {}
    mean, variance, held_mean, held_variance = map(_vector, tensors)
    if kept.factor is not None:
        mean = _added(mean, held_mean, kept.factor)
        variance = _added(variance, held_variance, kept.factor)
    return {
        "mean_distance": states.mean_distance(
            mean, variance, held_mean, examples
        ),
        "variance_distance": states.variance_distance(
            variance, held_variance, examples
        ),
    }


def _examples(kept, seen: ForwardPass) -> tf.Tensor:
    """Returns how many examples batch statistics are of; without end where
    that is not known."""
    if kept.batch is not None:
        return tf.cast(sampling.count_examples(kept.batch), tf.float32)
    for name, tensor in seen.data.items():
        if name.startswith("input"):
            return tf.cast(sampling.count_examples(tensor), tf.float32)
    return tf.constant(np.float32(np.inf))


def _added(moved, held, factor: float) -> tf.Tensor:
    """Returns the statistic of which a share was added to a moving one."""
    return (moved - (1 - factor) * held) / factor


def _moving(kept):
    if kept is None or not kept.moving:
        return None
    return tf.concat([states.sample(values) for values in kept.moving], axis=0)


def _loss(loss) -> tf.Tensor:
    return tf.reshape(tf.reduce_mean(tf.cast(loss, tf.float32)), [1])


def _vector(tensor) -> tf.Tensor:
    return tf.reshape(tensor, [-1])
