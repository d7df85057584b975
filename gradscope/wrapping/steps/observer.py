"""What is measured of one optimizer step, after it, and where it is kept."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Callable

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
from gradscope.runtime import own_variables, tf_variables, tracing
from gradscope.schedule import NEVER, Every, Schedule
from gradscope.wrapping.steps.forward_row import Watch
from gradscope.wrapping.steps.gate import Gate

#: Of the steps that a loss scale skipped: each of the first, then some. A
#: network whose loss is NaN skips all that follow.
_SKIPS = Every(100, dense=100)


@dataclasses.dataclass(frozen=True)
class Options:
    """The checked arguments of `wrap`.

    Attributes:
        directory: Of the event files.
        schedule: Steps to record.
        histograms: Of these, steps with histograms and ratios.
        include, exclude: Patterns of layers with histograms and ratios.
        activations: Whether the forward pass is looked at, too.
        window: Examples for which a dead unit was zero.
    """

    directory: str
    schedule: Schedule
    histograms: Schedule
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    activations: bool
    window: int


@dataclasses.dataclass
class Look:
    """One step, to be measured; lists are in the order of the rows.

    Attributes:
        step: int64 scalar, the optimizer's step before its update.
        part: The rows that it is about, None for all.
        header: float32 `[HEADER]`, and with `has_rates` the learning rate of
            each row's variable.
        grads: Gradients before clipping, None where there is none.
        clipped: Gradients after clipping, None where clipping is off.
        missing: Whether there should be a gradient but is none; None where
            there is nothing to expect.
        before: The weights before the step, None where it left them out.
        forward: What was measured of the forward pass, a row of
            `Layout.forward`.
        origin: From whether something is not finite, a bool scalar, to the
            operation that was the first, float32 `[ORIGIN]`.
    """

    step: tf.Tensor
    part: tuple[int, ...] | None
    header: tf.Tensor
    grads: list
    clipped: list | None
    missing: list[bool | None]
    before: list
    forward: tf.Tensor
    origin: Callable[[tf.Tensor], tf.Tensor]


class Observer:
    """Measures the steps of one optimizer, in whatever mode they run.

    Args:
        known: The variables, Keras variables or `tf.Variable`s, in the order
            of the record's rows.
        file: Where the record goes.
        schema: Names of what is recorded.
        options: The arguments of `wrap`.

    Attributes:
        has_rates: Whether variables have learning rates of their own.
    """

    def __init__(
        self,
        known: list,
        file: event_writer.EventWriter,
        schema: Schema,
        options: Options,
    ):
        self.known = known
        self.variables = [tf_variables.tf_variable(v) for v in known]
        self._rows = {v.ref(): row for row, v in enumerate(self.variables)}
        self._device = self.variables[0].device
        self.gate = Gate(options.schedule, options.histograms, self._device)
        self.watch = Watch(schema)
        self._selected = []
        if options.histograms != NEVER:
            self._selected = tensorboard_tabs.select(
                schema.variables, options.include, options.exclude
            )
        self.has_rates = schema.has_rates
        self._layout = Layout.of(schema)
        self._ring = device_ring.ring(self._layout.width, self._device)
        self._histograms = None
        if self._selected:
            width = tensorboard_tabs.width(len(self._selected))
            self._histograms = device_ring.ring(width, self._device)
        self._skipped: tf.Variable | None = None
        self._replica_rings: dict[int, device_ring.Ring] = {}
        self.drain = drain.Drain(
            file,
            schema,
            self._ring,
            self._histograms,
            self._selected,
            options.window,
        )
        if self.gate.by_time:
            background.watch(self.gate)

    def close(self) -> None:
        """Writes what is left; no step is recorded any more."""
        self.gate.close()
        self.drain.close()
        background.forget(self.gate)

    def covers(self, variables: list) -> bool:
        """Returns whether there is a row for each of these variables."""
        return all(
            tf_variables.tf_variable(v).ref() in self._rows for v in variables
        )

    def part(self, variables: list) -> tuple[int, ...] | None:
        """Returns the rows of a call's variables, None where it is all."""
        rows = tuple(sorted(self._rows[v.ref()] for v in variables))
        return None if len(rows) == len(self.variables) else rows

    def replica_ring(self, replica: int, device: str) -> device_ring.Ring:
        """Returns the ring of another replica's forward passes."""
        if replica not in self._replica_rings:
            ring = device_ring.ring(self._layout.forward_width, device)
            self._replica_rings[replica] = ring
            self.drain.listen(replica, ring)
        return self._replica_rings[replica]

    def in_rows(self, variables: list, values: list) -> list:
        """Returns values of variables in the order of the rows, None for
        variables that are not among these."""
        ordered = [None] * len(self.variables)
        for variable, value in zip(variables, values, strict=True):
            ordered[self._rows[variable.ref()]] = value
        return ordered

    def record(self, look: Look) -> None:
        """Adds the ops that measure and append one step, after the step."""
        before = [
            None if weight is None else _shaped(weight, variable.shape)
            for weight, variable in zip(
                look.before, self.variables, strict=True
            )
        ]
        after = [
            None if weight is None else tf.convert_to_tensor(variable)
            for weight, variable in zip(before, self.variables, strict=True)
        ]
        grads = [gradients.touched(g) for g in look.grads]
        clipped = look.clipped and [gradients.touched(g) for g in look.clipped]
        fused = tracing.in_xla(tracing.current_graph())
        step = statistics.side_by_side(grads, clipped, before, after, fused)
        first = []
        if self._histograms is not None:
            appended = tf.cond(
                self.gate.due("histograms", look.step, look.part),
                lambda: self._append_histograms(look, step),
                lambda: tf.constant(False),
            )
            first = [appended] if tf.is_symbolic_tensor(appended) else []
        measured = statistics.measure(step, look.missing, fused)
        broken = self.watch.is_broken(measured, look.forward)
        # What is computed with weights that are NaN is no operation's fault.
        held = [row for row, weight in enumerate(before) if weight is not None]
        held = tf.constant(held, tf.int32)
        norms = tf.gather(measured[:, MEASURED.index("weight_norm")], held)
        broken &= tf.reduce_all(tf.math.is_finite(norms))
        row = tf.concat(
            [
                look.header,
                tf.reshape(measured, [-1]),
                look.origin(broken),
                look.forward,
            ],
            axis=0,
        )
        # The drain takes a step with whatever histograms are there by then.
        with tf.control_dependencies(first):
            self._ring.append(look.step, row)
        self.gate.answered("record")

    def skipped(self) -> tf.Tensor:
        """Returns how many steps a loss scale skipped, float32, NaN where
        there is no loss scale."""
        if self._skipped is None:
            return tf.constant(float("nan"))
        return tf.cast(self._skipped, tf.float32)

    def count_skips(self, before: Observer | None) -> None:
        """Has `skipped` count; called before the first step.

        Args:
            before: The observer whose count goes on, None for a new one.
        """
        if before is not None and before._skipped is not None:
            self._skipped = before._skipped
        else:
            self._skipped = own_variables.variable(
                np.zeros([], np.int64), self._device
            )

    def skip(self, step, rate, loss_scale) -> None:
        """Adds the ops that count and append a step that was skipped.

        It has a row of its own, with no gradients and no update, before that
        of the step that was applied under the same number later.

        Args:
            step: int64 scalar.
            rate, loss_scale: float32 scalars.
        """
        tf.raw_ops.AssignAddVariableOp(
            resource=self._skipped.handle, value=tf.ones([], tf.int64)
        )
        nothing = tf.fill([self._layout.width - len(HEADER)], float("nan"))

        def append():
            header = tf.stack([rate, loss_scale, self.skipped()])
            self._ring.append(step, tf.concat([header, nothing], axis=0))
            return tf.constant(True)

        skips = tf.identity(self._skipped) - 1
        tf.cond(
            _SKIPS.due(skips) & self.gate.open,
            append,
            lambda: tf.constant(False),
        )

    def record_eagerly(self, look: Look) -> None:
        """`record` for steps without a graph."""
        fixed = look.part, tuple(look.missing)
        arrays = look.step, look.header, look.grads, look.clipped, look.before
        # An eager step has all its tensors: nothing is computed again.
        found = look.origin(self._is_broken(look))
        self._compiled(*fixed, *arrays, look.forward, found)

    def _is_broken(self, look: Look) -> bool:
        values = [t for g in look.grads for t in gradients.tensors(g)]
        nothing = tf.zeros([0, len(MEASURED)])
        broken = bool(self.watch.is_broken(nothing, look.forward)) or any(
            bool(statistics.nonfinite(t) > 0) for t in values
        )
        weights = [weight for weight in look.before if weight is not None]
        return broken and not any(
            bool(statistics.nonfinite(t) > 0) for t in weights
        )

    @functools.cached_property
    def _compiled(self):
        def record(
            part, missing, step, header, grads, clipped, before, forward, found
        ):
            self.record(
                Look(
                    step,
                    part,
                    header,
                    grads,
                    clipped,
                    missing,
                    before,
                    forward,
                    lambda broken: found,
                )
            )

        # Slices of changing length would be traced again and again: 16 times
        # slower for an embedding with sentences of all lengths.
        return tf.function(record, autograph=False, reduce_retracing=True)

    def _append_histograms(self, look: Look, step) -> tf.Tensor:
        numbers = statistics.occasional(step, self._selected)
        self._histograms.append(look.step, numbers)
        self.gate.visited("histograms", look.step, look.part)
        self.gate.answered("histograms")
        return tf.constant(True)


def _shaped(weight: tf.Tensor, shape) -> tf.Tensor:
    if weight.shape.is_fully_defined():
        return weight
    return tf.ensure_shape(weight, shape)


def retire_with(owner, observer: Observer) -> None:
    """Has what is left written when the owner dies: the seam, which lives as
    long as its optimizer is wrapped, or the callback that made it."""
    # At exit `background` closes everything itself, in the main thread.
    weakref.finalize(owner, background.retire, observer).atexit = False
