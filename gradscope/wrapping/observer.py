"""What happens around one optimizer step: look before, step, look after."""

from __future__ import annotations

import dataclasses
import functools
import weakref

import tensorflow as tf

from gradscope import background, drain, recorder, tabs
from gradscope.measuring import buckets, gradients, histogram, statistics
from gradscope.schedule import NEVER, Schedule
from gradscope.schema import Schema, Variable
from gradscope.wrapping.gate import Gate


@dataclasses.dataclass(frozen=True)
class Options:
    """The checked arguments of `wrap`.

    Attributes:
        directory: Of the event files.
        schedule: Steps to record.
        histograms: Of these, steps with histograms and ratios.
        include, exclude: Patterns of layers with histograms and ratios.
    """

    directory: str
    schedule: Schedule
    histograms: Schedule
    include: tuple[str, ...]
    exclude: tuple[str, ...]


class Observer:
    """Measures the steps of one optimizer, in whatever mode they run.

    Args:
        variables: The `tf.Variable`s, in the order of the record's rows.
        described: Their names.
        optimizer: JSON description of the optimizer.
        options: The arguments of `wrap`.
    """

    def __init__(
        self,
        variables: list[tf.Variable],
        described: tuple[Variable, ...],
        optimizer: dict,
        options: Options,
    ):
        self.variables = variables
        self._rows = {v.ref(): row for row, v in enumerate(variables)}
        device = variables[0].device
        self.gate = Gate(options.schedule, options.histograms, device)
        selected = tabs.select(described, options.include, options.exclude)
        self._selected = [] if options.histograms == NEVER else selected
        width = 1 + len(described) * len(statistics.MEASURED)
        self._ring = recorder.ring(width, device)
        self._histograms = None
        if self._selected:
            width = len(tabs.KINDS) * len(self._selected) * buckets.COUNT
            self._histograms = recorder.ring(width, device)
        self.drain = drain.Drain(
            options.directory,
            Schema(described, optimizer),
            self._ring,
            self._histograms,
            self._selected,
        )
        if self.gate.by_time:
            background.watch(self.gate)

    def close(self) -> None:
        """Writes what is left; no step is recorded any more."""
        self.gate.close()
        self.drain.close()
        background.forget(self.gate)

    def weights(self) -> list[tf.Tensor]:
        """Returns the present value of every variable."""
        return [tf.identity(variable) for variable in self.variables]

    def in_order(self, grads, variables: list[tf.Variable]) -> list:
        """Returns the gradients in the order of the rows, None if missing."""
        ordered = [None] * len(self.variables)
        for gradient, variable in zip(grads, variables, strict=True):
            row = self._rows.get(variable.ref())
            if row is not None:
                ordered[row] = gradients.shaped(gradient, variable.shape)
        return ordered

    def record(self, step, rate, grads: list, before: list) -> None:
        """Adds the ops that measure and append one step, after the step.

        Args:
            step: int64 scalar, the optimizer's step before its update.
            rate: float32 scalar, the learning rate.
            grads: Gradients in the order of the rows.
            before: The weights before the step.
        """
        grads = [gradients.dense(g) for g in grads]
        before = [
            tf.ensure_shape(weight, variable.shape)
            for weight, variable in zip(before, self.variables, strict=True)
        ]
        after = self.weights()
        first = []
        if self._histograms is not None:
            appended = tf.cond(
                self.gate.due("histograms", step),
                lambda: self._append_histograms(step, grads, before, after),
                lambda: tf.constant(False),
            )
            first = [appended] if tf.is_symbolic_tensor(appended) else []
        measured = statistics.measure(grads, before, after)
        row = tf.concat([[rate], tf.reshape(measured, [-1])], axis=0)
        # The drain takes a step with whatever histograms are there by then.
        with tf.control_dependencies(first):
            self._ring.append(step, row)
        self.gate.answered("record")

    @functools.cached_property
    def record_eagerly(self):
        """`record` as one compiled function, for steps without a graph."""
        return tf.function(self.record, autograph=False)

    def _append_histograms(self, step, grads, before, after) -> tf.Tensor:
        updates = map(statistics.update, before, after)
        tensors = [
            tf.zeros([0]) if all_of[row] is None else all_of[row]
            for all_of in (grads, before, list(updates))
            for row in self._selected
        ]
        self._histograms.append(
            step, tf.reshape(histogram.counts(tensors), [-1])
        )
        self.gate.answered("histograms")
        return tf.constant(True)


def retire_with(owner, observer: Observer) -> None:
    """Has what is left written when the owner dies: the seam, which lives as
    long as its optimizer is wrapped, or the callback that made it."""
    # At exit `background` closes everything itself, in the main thread.
    weakref.finalize(owner, background.retire, observer).atexit = False
