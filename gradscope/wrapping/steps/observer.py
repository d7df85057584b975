"""Measures each step of an optimizer after its update, and records it."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from gradscope.format.schema import Schema
from gradscope.format.step_layout import HEADER, MEASURED, Layout
from gradscope.measuring import gradients, statistics
from gradscope.recording import (
    background,
    device_ring,
    drain,
    event_writer,
    tensorboard_tabs,
)
from gradscope.recording.interfaces import Closable
from gradscope.runtime import own_variables, tf_variables, tracing
from gradscope.runtime.described_variables import DescribedVariables
from gradscope.schedule import NEVER, Every, Schedule
from gradscope.wrapping.steps.forward_row import ForwardMeasurement
from gradscope.wrapping.steps.gate import Gate

#: Skipped steps that are recorded: each of the first, then every hundredth. A
#: network whose loss is NaN skips all further steps.
_SKIPS = Every(100, dense=100)


@dataclasses.dataclass(frozen=True)
class Options:
    """The checked arguments of `wrap`.

    Attributes:
        directory: Directory of the event files.
        schedule: Steps to record.
        histograms: Of these, steps with histograms and ratios.
        include, exclude: Patterns of layers with histograms and ratios.
        activations: Whether the forward pass is measured, too.
        window: Number of examples for which a dead unit was zero.
    """

    directory: str
    schedule: Schedule
    histograms: Schedule
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    activations: bool
    window: int

    @property
    def histogram_kinds(self) -> tuple[str, ...]:
        """Kinds of histograms, see `tensorboard_tabs.kinds`."""
        return tensorboard_tabs.kinds(self.include)


@dataclasses.dataclass
class Measurables:
    """The tensors of one step before they are measured, in the order of the
    rows.

    Attributes:
        step: int64 scalar, the optimizer's step before its update.
        subset: Rows of the call's variables, None for all.
        header: float32 `[HEADER]`, and behind it, with `has_rates`, the
            learning rate of each row's variable.
        grads: Gradients before clipping; None for a variable without one.
        clipped: Gradients after clipping; None if clipping is off.
        missing: Whether a gradient is missing; None where no gradient is
            expected.
        before: The weights before the step; None for variables that the step
            leaves out.
        forward: Numbers of the forward pass, a row of `Layout.forward`.
        origin: Function of a bool scalar, whether a number is not finite. It
            returns the first operation with an output that is not finite,
            float32 `[ORIGIN]`.
    """

    step: tf.Tensor
    subset: tuple[int, ...] | None
    header: tf.Tensor
    grads: list[Any]
    clipped: list[Any] | None
    missing: list[bool | None]
    before: list[Any]
    forward: tf.Tensor
    origin: Callable[[tf.Tensor], tf.Tensor]


class Observer:
    """Measures the steps of one optimizer, in eager mode and in graphs.

    Args:
        described: The variables, in the order of the record's rows.
        file: Writer of the record.
        schema: Names of the record's rows.
        options: The arguments of `wrap`.

    Attributes:
        has_rates: Whether variables have learning rates of their own.
    """

    def __init__(
        self,
        described: DescribedVariables,
        file: event_writer.EventWriter,
        schema: Schema,
        options: Options,
    ):
        self.described = described
        self.variables = [
            tf_variables.tf_variable(v) for v in described.variables
        ]
        # By reference: variables have no hash, since `==` compares their
        # values.
        self._rows = {v.ref(): row for row, v in enumerate(self.variables)}
        self._device = self.variables[0].device
        self.gate = Gate(options.schedule, options.histograms, self._device)
        self.measurement = ForwardMeasurement(schema)
        self._selected = []
        if options.histograms != NEVER:
            self._selected = tensorboard_tabs.select(
                schema.variables, options.include, options.exclude
            )
        self.has_rates = schema.has_rates
        self._layout = Layout.of(schema)
        self._ring = device_ring.ring(self._layout.width, self._device)
        self._histograms: device_ring.Ring | None = None
        if self._selected:
            width = tensorboard_tabs.width(
                len(self._selected), options.histogram_kinds
            )
            self._histograms = device_ring.ring(width, self._device)
        #: Counts the steps that a loss scale skips; None without one.
        self._skip_counter: Any = None
        self._replica_rings: dict[int, device_ring.Ring] = {}
        self.drain = drain.Drain(
            file,
            schema,
            self._ring,
            self._histograms,
            self._selected,
            options.window,
            options.histogram_kinds,
            self.gate.by_time,
        )
        self._histogram_kinds = options.histogram_kinds
        if self.gate.by_time:
            background.watch(self.gate)

    def close(self) -> None:
        """Write the recorded steps; no step is recorded any more."""
        self.gate.close()
        self.drain.close()
        background.forget(self.gate)

    def covers(self, variables: list[Any]) -> bool:
        """Return whether each of these variables has a row."""
        return all(
            tf_variables.tf_variable(v).ref() in self._rows for v in variables
        )

    def subset(self, variables: list[Any]) -> tuple[int, ...] | None:
        """The rows of a call's variables; None if they are all variables."""
        rows = tuple(sorted(self._rows[v.ref()] for v in variables))
        return None if len(rows) == len(self.variables) else rows

    def replica_ring(self, replica: int, device: str) -> device_ring.Ring:
        """The ring of another replica's forward passes, made on first use."""
        if replica not in self._replica_rings:
            ring = device_ring.ring(self._layout.forward_width, device)
            self._replica_rings[replica] = ring
            self.drain.add_replica(replica, ring)
        return self._replica_rings[replica]

    def in_row_order(
        self, variables: list[Any], values: list[Any]
    ) -> list[Any]:
        """Order values of variables by row; None for other variables."""
        ordered = [None] * len(self.variables)
        for variable, value in zip(variables, values, strict=True):
            ordered[self._rows[variable.ref()]] = value
        return ordered

    def record(self, measurables: Measurables) -> None:
        """Add the ops that measure a step and append its row, after it."""
        before = [
            None if weight is None else _shaped(weight, variable.shape)
            for weight, variable in zip(
                measurables.before, self.variables, strict=True
            )
        ]
        after = [
            None if weight is None else tf.convert_to_tensor(variable)
            for weight, variable in zip(before, self.variables, strict=True)
        ]
        grads = [gradients.gradient_values(g) for g in measurables.grads]
        clipped = measurables.clipped and [
            gradients.gradient_values(g) for g in measurables.clipped
        ]
        fused = tracing.in_xla(tracing.current_graph())
        step_tensors = statistics.stack_step(
            grads, clipped, before, after, fused
        )
        appended_first = self._append_histograms_if_due(
            measurables, step_tensors
        )
        measured = statistics.measure(step_tensors, measurables.missing, fused)
        broken = self.measurement.has_nonfinite(measured, measurables.forward)
        # With weights that are NaN, no operation is at fault.
        broken &= _are_weights_finite(measured, before)
        row = tf.concat(
            [
                measurables.header,
                tf.reshape(measured, [-1]),
                measurables.origin(broken),
                measurables.forward,
            ],
            axis=0,
        )
        # The drain pairs a step with the histograms that have been appended.
        with tf.control_dependencies(appended_first):
            self._ring.append(measurables.step, row)
        self.gate.clear_request("record")

    def skipped_steps(self) -> tf.Tensor:
        """Count of the steps that a loss scale skipped, float32; NaN without
        one."""
        if self._skip_counter is None:
            return tf.constant(float("nan"))
        return tf.cast(self._skip_counter, tf.float32)

    def count_skips(self, before: Observer | None) -> None:
        """Begin to count skipped steps; call this before the first step.

        Args:
            before: The observer whose count goes on, None to begin at 0.
        """
        if before is not None and before._skip_counter is not None:
            # Of one optimizer there is one count, whoever observes it.
            self._skip_counter = before._skip_counter
        else:
            self._skip_counter = own_variables.create(
                np.zeros([], np.int64), self._device
            )

    def record_skip(
        self, step: tf.Tensor, rate: tf.Tensor, loss_scale: tf.Tensor
    ) -> None:
        """Add the ops that count and append a skipped step.

        A skipped step has a row of its own, without gradients and update. It
        comes before the row of the step that is applied later under the same
        number.

        Args:
            step: int64 scalar.
            rate, loss_scale: float32 scalars.
        """
        tf.raw_ops.AssignAddVariableOp(
            resource=self._skip_counter.handle, value=tf.ones([], tf.int64)
        )
        nothing = tf.fill([self._layout.width - len(HEADER)], float("nan"))

        def append() -> tf.Tensor:
            header = tf.stack([rate, loss_scale, self.skipped_steps()])
            self._ring.append(step, tf.concat([header, nothing], axis=0))
            return tf.constant(True)

        # The first skip has the number 0, as the first step has.
        skips = tf.identity(self._skip_counter) - 1
        tf.cond(
            _SKIPS.due(skips) & self.gate.open,
            append,
            lambda: tf.constant(False),
        )

    def record_eagerly(self, measurables: Measurables) -> None:
        """Measure one eager step and append its row."""
        fixed = measurables.subset, tuple(measurables.missing)
        arrays = (
            measurables.step,
            measurables.header,
            measurables.grads,
            measurables.clipped,
            measurables.before,
        )
        # An eager step has all tensors of its forward pass.
        origin = measurables.origin(self._is_broken_eagerly(measurables))
        self._compiled(*fixed, *arrays, measurables.forward, origin)

    def _is_broken_eagerly(self, measurables: Measurables) -> bool:
        values = [t for g in measurables.grads for t in gradients.tensors(g)]
        # The variables have not been measured yet; their gradients are looked
        # at below.
        nothing = tf.zeros([0, len(MEASURED)])
        broken = bool(
            self.measurement.has_nonfinite(nothing, measurables.forward)
        ) or any(bool(statistics.count_nonfinite(t) > 0) for t in values)
        weights = [
            weight for weight in measurables.before if weight is not None
        ]
        # As in `record`: with weights that are NaN, no operation is at fault.
        return broken and not any(
            bool(statistics.count_nonfinite(t) > 0) for t in weights
        )

    @functools.cached_property
    def _compiled(self) -> Callable[..., None]:
        def record(
            subset: Any,
            missing: Any,
            step: Any,
            header: Any,
            grads: Any,
            clipped: Any,
            before: Any,
            forward: Any,
            origin: Any,
        ) -> None:
            self.record(
                Measurables(
                    step,
                    subset,
                    header,
                    grads,
                    clipped,
                    missing,
                    before,
                    forward,
                    lambda broken: origin,
                )
            )

        # Without reduced retracing, slices of each new length, as of an
        # embedding's gradient, would be traced again.
        compiled: Callable[..., None] = tf.function(
            record, autograph=False, reduce_retracing=True
        )
        return compiled

    def _append_histograms_if_due(
        self, measurables: Measurables, step: statistics.StepTensors
    ) -> list[tf.Tensor]:
        """Add the ops that append histograms; return tensors to wait for."""
        ring = self._histograms
        if ring is None:
            return []
        appended = tf.cond(
            self.gate.due("histograms", measurables.step, measurables.subset),
            lambda: self._append_histograms(ring, measurables, step),
            lambda: tf.constant(False),
        )
        return [appended] if tf.is_symbolic_tensor(appended) else []

    def _append_histograms(
        self,
        ring: device_ring.Ring,
        measurables: Measurables,
        step: statistics.StepTensors,
    ) -> tf.Tensor:
        numbers = statistics.occasional(
            step, self._selected, self._histogram_kinds
        )
        ring.append(measurables.step, numbers)
        self.gate.mark_recorded(
            "histograms", measurables.step, measurables.subset
        )
        self.gate.clear_request("histograms")
        return tf.constant(True)


def _are_weights_finite(measured: tf.Tensor, weights: list[Any]) -> tf.Tensor:
    rows = [row for row, weight in enumerate(weights) if weight is not None]
    rows = tf.constant(rows, tf.int32)
    norms = tf.gather(measured[:, MEASURED.index("weight_norm")], rows)
    return tf.reduce_all(tf.math.is_finite(norms))


def _shaped(weight: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    if weight.shape.is_fully_defined():
        return weight
    return tf.ensure_shape(weight, shape)


def retire_with(owner: Any, observer: Closable) -> None:
    """Write the rest of a record when its owner is deleted.

    Args:
        owner: The seam, which lives as long as its optimizer is wrapped, or the
            callback that made it.
        observer: The observer or inbox to close.
    """
    # At exit, `background` closes all observers, in the main thread.
    weakref.finalize(owner, background.retire, observer).atexit = False
