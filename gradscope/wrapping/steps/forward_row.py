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

    def covers(self, forward_pass: ForwardPass) -> bool:
        """Returns whether there is a row for all that is seen of a step."""
        return (
            set(forward_pass.activations) <= set(self._schema.activations)
            and set(forward_pass.states) <= set(self._schema.states)
            and set(forward_pass.data) <= set(self._schema.rows("data"))
            and (forward_pass.suspects is None or bool(self._schema.operations))
            and (
                forward_pass.loss is None or NO_LOSS not in self._schema.unseen
            )
        )

    def origin(self, suspects: Suspects) -> tf.Tensor:
        """Returns which operation was the first to return what is not finite,
        float32 `[ORIGIN]`."""
        return first_nonfinite.first(
            first_nonfinite.states(suspects.outputs),
            suspects.sources,
            suspects.places(self._schema.operations),
        )

    def has_nonfinite(
        self, variables: tf.Tensor, forward: tf.Tensor
    ) -> tf.Tensor:
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

    def measure(self, forward_pass: ForwardPass) -> tf.Tensor:
        """Returns the segments of `Layout.forward` of one step, float32
        `[forward_width]`; NaN for what the step does not have."""
        measured, activity = _measure_activations(forward_pass)
        data_rows = _measure_data(forward_pass)
        states_by_row, loss = forward_pass.states, forward_pass.loss
        schema = self._schema
        rows = {
            "activations": [measured.get(a) for a in schema.activations],
            "activity": [
                activity.get(a) for a in schema.activations if a.is_counted
            ],
            "state": [
                _measure_state(states_by_row.get(s), forward_pass)
                for s in schema.states
            ],
            "moving": [
                _sample_moving(states_by_row.get(s))
                for s in schema.states
                if s.size
            ],
            "data": [data_rows.get(name) for name in schema.rows("data")],
            "loss": [None if loss is None else _mean_loss(loss)],
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


def _measure_activations(forward_pass: ForwardPass) -> tuple[dict, dict]:
    """Returns `ACTIVATION_MEASURED` of each, and shares by unit."""
    measured: dict[Activation, tf.Tensor] = {}
    activity: dict[Activation, tf.Tensor] = {}
    fused = tracing.in_xla(tracing.current_graph())
    for group in _stackable_groups(forward_pass.activations):
        tensors = [forward_pass.activations[row] for row in group]
        kind = group[0].kind
        sample = sampling.sample([row.measured for row in tensors])
        numbers, shares = activations.with_activity(
            kind, sample.values, fused, sample.rows
        )
        examples = sample.examples[:, tf.newaxis]
        measured |= _by_row(group, tf.concat([numbers, examples], axis=1))
        if group[0].is_counted:
            activity |= _by_row(group, shares)
    return measured, activity


def _measure_data(forward_pass: ForwardPass) -> dict[str, tf.Tensor]:
    """Returns `DATA_COLUMNS` of what a model was given, and gave, by name."""
    if not forward_pass.data:
        return {}
    measured = tf.unstack(data.measure(list(forward_pass.data.values())))
    return dict(zip(forward_pass.data, measured, strict=True))


def _stackable_groups(activations_by_row: dict) -> list[list[Activation]]:
    """Returns the activations in groups that can be measured as one tensor:
    50 layers of one width take the operations of one. What has an axis of
    unknown size may be like no other, and stays alone."""
    groups: dict[tuple, list[Activation]] = {}
    for row, tensors in activations_by_row.items():
        key: tuple = (row,)
        if sampling.are_alike(tensors.measured):
            shape = tuple(tensors.measured[0].shape.as_list()[1:])
            key = (
                row.kind,
                shape,
                tensors.measured[0].dtype,
                len(tensors.measured),
            )
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _by_row(group: list[Activation], values: tf.Tensor) -> dict:
    return dict(zip(group, tf.unstack(values, len(group)), strict=True))


def _measure_state(state, forward_pass: ForwardPass):
    """Returns `STATE_MEASURED` of a layer, None where it was not seen."""
    if state is None:
        return None
    numbers = {}
    if state.mask is not None:
        rate = tf.reduce_mean(tf.cast(state.rate, tf.float32))
        numbers["dropout_rate"] = 1.0 - rate if state.is_keep_rate else rate
        numbers["dropped_fraction"] = states.dropped(state.mask)
    if state.training is not None:
        numbers["training_mode"] = tf.constant(float(state.training))
    if state.mean is not None:
        numbers |= _distances(state, _example_count(state, forward_pass))
    return tf.stack([numbers.get(name, _NAN) for name in STATE_MEASURED])


def _distances(state, examples) -> dict[str, tf.Tensor]:
    """Returns how far statistics of a batch are from the moving ones."""
    tensors = [state.mean, state.variance, *state.moving]
    sizes = {t.shape.num_elements() for t in tensors}
    # Of an axis of unknown size it is not known what belongs to what.
    if not state.moving or len(sizes) > 1 or None in sizes:
        return {}
    mean, variance, held_mean, held_variance = map(_vector, tensors)
    if state.factor is not None:
        mean = _undo_moving_average(mean, held_mean, state.factor)
        variance = _undo_moving_average(variance, held_variance, state.factor)
    return {
        "mean_distance": states.mean_distance(
            mean, variance, held_mean, examples
        ),
        "variance_distance": states.variance_distance(
            variance, held_variance, examples
        ),
    }


def _example_count(state, forward_pass: ForwardPass) -> tf.Tensor:
    """Returns how many examples batch statistics are of; without end where
    that is not known."""
    if state.batch is not None:
        return tf.cast(sampling.count(state.batch), tf.float32)
    for name, tensor in forward_pass.data.items():
        if name.startswith("input"):
            return tf.cast(sampling.count(tensor), tf.float32)
    return tf.constant(np.float32(np.inf))


def _undo_moving_average(moved, held, factor: float) -> tf.Tensor:
    """Returns the statistic of which a share was added to a moving one."""
    return (moved - (1 - factor) * held) / factor


def _sample_moving(state):
    if state is None or not state.moving:
        return None
    return tf.concat([states.sample(values) for values in state.moving], axis=0)


def _mean_loss(loss) -> tf.Tensor:
    return tf.reshape(tf.reduce_mean(tf.cast(loss, tf.float32)), [1])


def _vector(tensor) -> tf.Tensor:
    return tf.reshape(tensor, [-1])
