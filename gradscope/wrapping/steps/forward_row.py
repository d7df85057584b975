"""Measurement of a step's forward pass: one row of numbers, on the device."""

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
    """Measures the activations, states and data that a schema has rows for.

    Args:
        schema: The record's schema.
    """

    def __init__(self, schema: Schema):
        self._schema = schema
        self._layout = Layout.of(schema)

    def covers(self, forward_pass: ForwardPass) -> bool:
        """Return whether the schema has a row for all of a forward pass."""
        schema, suspects = self._schema, forward_pass.suspects
        return (
            set(forward_pass.activations) <= set(schema.activations)
            and set(forward_pass.states) <= set(schema.states)
            and set(forward_pass.data) <= set(schema.rows("data"))
            and (suspects is None or bool(schema.operations))
            and (forward_pass.loss is None or NO_LOSS not in schema.unseen)
            and (forward_pass.loss is None or schema.loss_is_known is not False)
        )

    def origin(self, suspects: Suspects) -> tf.Tensor:
        """Find the first operation with an output that is not finite.

        Args:
            suspects: The operations to search.

        Returns:
            float32 `[ORIGIN]`.
        """
        return first_nonfinite.find_first(
            first_nonfinite.classify(suspects.outputs),
            suspects.sources,
            suspects.places(self._schema.operations),
        )

    def has_nonfinite(
        self, variables: tf.Tensor, forward: tf.Tensor
    ) -> tf.Tensor:
        """Return whether a number of a step is not finite, as a bool scalar.

        Args:
            variables: Statistics of the variables, `[V, MEASURED]`.
            forward: The result of `measure`.
        """
        counts = [
            variables[:, MEASURED.index("gradient_nonfinite")],
            tf.gather(forward, self._layout.counts_of_nonfinite),
        ]
        is_broken = tf.reduce_any(tf.concat(counts, axis=0) > 0.0)
        if self._schema.loss_is_known:
            # The log of a negative number is NaN, and its slope is finite.
            loss = forward[self._layout.place_of_loss]
            is_broken |= ~tf.math.is_finite(loss)
        return is_broken

    def measure(self, forward_pass: ForwardPass) -> tf.Tensor:
        """Measure a forward pass: the segments of `Layout.forward`, in order.

        Returns:
            float32 `[forward_width]`; NaN where the step lacks a row of the
                schema.
        """
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
    """Measure activations: `ACTIVATION_MEASURED` by row, and the shares of
    units that are active by row."""
    measured: dict[Activation, tf.Tensor] = {}
    activity: dict[Activation, tf.Tensor] = {}
    fused = tracing.in_xla(tracing.current_graph())
    for group in _stackable_groups(forward_pass.activations):
        tensors = [forward_pass.activations[row] for row in group]
        kind = group[0].kind
        sample = sampling.sample([row.measured for row in tensors])
        numbers, shares = activations.measure_with_activity(
            kind, sample.values, fused, sample.rows
        )
        examples = sample.examples[:, tf.newaxis]
        measured |= _by_row(group, tf.concat([numbers, examples], axis=1))
        if group[0].is_counted:
            activity |= _by_row(group, shares)
    return measured, activity


def _measure_data(forward_pass: ForwardPass) -> dict[str, tf.Tensor]:
    """Measure inputs, targets and outputs: `DATA_COLUMNS` by name."""
    if not forward_pass.data:
        return {}
    measured = tf.unstack(data.measure(list(forward_pass.data.values())))
    return dict(zip(forward_pass.data, measured, strict=True))


def _stackable_groups(activations_by_row: dict) -> list[list[Activation]]:
    """Group the activations that can be measured as one tensor.

    50 layers of one width then take the operations of one. A tensor with an
    axis of unknown size stays alone, since its shape may differ.
    """
    groups: dict[tuple, list[Activation]] = {}
    for row, tensors in activations_by_row.items():
        key: tuple = (row,)
        if sampling.have_same_shape(tensors.measured):
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
    """Pair each activation with its row of `values`."""
    return dict(zip(group, tf.unstack(values, len(group)), strict=True))


def _measure_state(state, forward_pass: ForwardPass):
    """Measure the state of a layer, `STATE_MEASURED`; None if the step lacks
    it."""
    if state is None:
        return None
    numbers = {}
    if state.mask is not None:
        # A scalar whose shape may be unknown while tracing.
        rate = tf.reduce_mean(tf.cast(state.rate, tf.float32))
        numbers["dropout_rate"] = 1.0 - rate if state.is_keep_rate else rate
        numbers["dropped_fraction"] = states.dropped_fraction(state.mask)
    if state.training is not None:
        numbers["training_mode"] = tf.constant(float(state.training))
    if state.mean is not None:
        numbers |= _distances(state, _example_count(state, forward_pass))
    return tf.stack([numbers.get(name, _NAN) for name in STATE_MEASURED])


def _distances(state, examples) -> dict[str, tf.Tensor]:
    """Compute how far a batch's statistics are from the moving ones."""
    tensors = [state.mean, state.variance, *state.moving]
    sizes = {t.shape.num_elements() for t in tensors}
    # Values of axes of unknown size cannot be paired.
    if not state.moving or len(sizes) > 1 or None in sizes:
        return {}
    mean, variance, moving_mean, moving_variance = map(_vector, tensors)
    if state.factor is not None:
        mean = _undo_moving_average(mean, moving_mean, state.factor)
        variance = _undo_moving_average(variance, moving_variance, state.factor)
    return {
        "mean_distance": states.mean_distance(
            mean, variance, moving_mean, examples
        ),
        "variance_distance": states.variance_distance(
            variance, moving_variance, examples
        ),
    }


def _example_count(state, forward_pass: ForwardPass) -> tf.Tensor:
    """Count the examples of batch statistics, float32; infinite if unknown."""
    if state.batch is not None:
        return tf.cast(sampling.count_examples(state.batch), tf.float32)
    for name, tensor in forward_pass.data.items():
        if name.startswith("input"):
            return tf.cast(sampling.count_examples(tensor), tf.float32)
    # Then nothing is subtracted for chance, see `states.mean_distance`.
    return tf.constant(np.float32(np.inf))


def _undo_moving_average(updated, before, factor: float) -> tf.Tensor:
    """Compute the batch statistic from which a moving one was updated.

    A moving average adds `factor` times the batch's statistic.
    """
    return (updated - (1 - factor) * before) / factor


def _sample_moving(state):
    if state is None or not state.moving:
        return None
    return tf.concat([states.sample(values) for values in state.moving], axis=0)


def _mean_loss(loss) -> tf.Tensor:
    return tf.reshape(tf.reduce_mean(tf.cast(loss, tf.float32)), [1])


def _vector(tensor) -> tf.Tensor:
    return tf.reshape(tensor, [-1])
