"""One step of an optimizer: reads before it, and measurements after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from gradscope.measuring import first_nonfinite, gradients
from gradscope.runtime import (
    ordered_reads,
    own_variables,
    replay,
    replay_convolution,
    tf_variables,
    tracing,
)
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward import fallback, unstored_tensors
from gradscope.wrapping.forward.forward_finder import ForwardFinder
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.steps.observer import Measurables, Observer


class AnyStep(Protocol):
    """What a seam asks of the step that it made, in a session or not."""

    def run(self, original: Callable[[], Any]) -> Any:
        """Run the optimizer's own code, and record the step if it is due."""


class StepOwner(Protocol):
    """What a step asks of the seam that made it.

    Attributes:
        finder: Finds the forward pass; it stops where measuring one fails.
        has_program_state: Whether a traced step has random ops whose state
            belongs to the program.
    """

    finder: ForwardFinder
    has_program_state: bool

    def fail(self, error: Exception) -> None:
        """Stop to observe, with one warning."""


class Step:
    """One call of an optimizer, eager or in a graph that is being traced.

    With gradient accumulation, only calls that apply the accumulated gradients
    are steps, and the gradient is the mean that they apply.

    Args:
        seam: The `Seam` that was called.
        observer: The observer of the optimizer's variables.
        call: The optimizer's call.
        forward_pass: The step's forward pass.
    """

    def __init__(
        self,
        seam: StepOwner,
        observer: Observer,
        call: Call,
        forward_pass: ForwardPass,
    ):
        self._seam = seam
        self._observer = observer
        self._call = call
        self._forward_pass = forward_pass
        self._subset = observer.subset(call.variables)
        if not tf.executing_eagerly():
            with own_variables.unchecked(), fallback.scope():
                self._prepare_in_graph()

    def run(self, original: Callable[[], Any]) -> Any:
        """Run the optimizer's own code, and record the step if it is due.

        Args:
            original: Calls the optimizer's own code.

        Returns:
            The result of `original`.
        """
        if tf.executing_eagerly():
            return self._run_eagerly(original)
        return self._run_in_graph(original)

    def _run_eagerly(self, original: Callable[[], Any]) -> Any:
        """Run the step; the host decides whether it is recorded."""
        # With gradient accumulation most calls change no weight, and are no
        # steps.
        due = bool(self._call.applies) and self._observer.gate.due_on_host(
            int(self._call.step), self._subset
        )
        if not due:
            return original()
        try:
            with own_variables.unchecked():
                # If this fails, the step has not been made yet, and is made
                # without us.
                values_before, header = self._read_before(), self._header()
        except Exception as error:
            result = original()
            self._seam.fail(error)
            return result
        result = self._call.run(original)
        try:
            if not bool(self._call.was_applied()):
                return result
            with own_variables.unchecked():
                grads = self._call.reduced_gradients()
                fallback.measure_with_fallback(
                    self._seam.finder,
                    self._forward_pass,
                    lambda forward_pass: self._record_eagerly(
                        header, values_before, grads, forward_pass
                    ),
                )
            step = int(self._call.step)
            self._observer.gate.mark_recorded_on_host(step, self._subset)
            self._observer.drain.count_steps()
        except Exception as error:
            self._seam.fail(error)
        return result

    def _run_in_graph(self, original: Callable[[], Any]) -> Any:
        """Add the optimizer's step to the graph as it is, and record it beside.

        The optimizer's part of the graph stays unchanged. Inside of a
        conditional, TensorFlow would optimize it in another way, which changes
        the last bit of a momentum (as of a batch norm's gamma).
        """
        # A function's graph runs reads and writes of a variable in program
        # order. Control dependencies are not needed, and would keep
        # `tf.function` from lifting the slots that a first call creates.
        result = self._call.run(original)

        try:
            with own_variables.unchecked(), fallback.scope():
                was_applied = self._call.was_applied()
                due = self._due
                # True is known while tracing, and costs no operation.
                if was_applied is not True:
                    due &= was_applied
                fallback.measure_with_fallback(
                    self._seam.finder,
                    self._forward_pass,
                    lambda forward_pass: self._add_to_graph(due, forward_pass),
                )
        except Exception as error:
            self._seam.fail(error)
        return result

    def _record_eagerly(
        self, header, values_before, grads, forward_pass: ForwardPass
    ) -> None:
        """Record an eager step."""
        self._forward_pass = forward_pass
        measurables = self._measurables(header, values_before, grads)
        self._observer.record_eagerly(measurables)

    def _add_to_graph(self, due, forward_pass: ForwardPass) -> None:
        """Add the ops that record the step if it is due."""

        def record() -> tf.Tensor:
            self._forward_pass = forward_pass
            grads = self._readable_gradients()
            measurables = self._measurables(
                self._header_before, self._values_before, grads
            )
            self._observer.record(measurables)
            self._observer.gate.mark_recorded(
                "record", measurables.step, self._subset
            )
            return tf.constant(True)

        tf.cond(due, record, lambda: tf.constant(False))

    def _readable_gradients(self) -> list:
        """Make copies of the gradients, and of the forward pass, that can be
        read here."""
        grads = self._call.reduced_gradients()
        if not tracing.in_xla(self._graph):
            self._forward_pass = unstored_tensors.repeat(
                self._forward_pass, self._call.grads, self._graph, self._weights
            )
            return [gradients.regenerate(g, self._graph) for g in grads]
        gradient_tensors = [t for g in grads for t in gradients.tensors(g)]
        suspects = self._forward_pass.suspects
        outputs = suspects.outputs if suspects else []
        copies = replay.replay(
            [*gradient_tensors, *outputs, *self._forward_pass.tensors()],
            self._graph,
            self._weights_read_before,
            # Only on CPUs does XLA make slow convolutions of a branch.
            repeat=replay_convolution.gradient if self._is_on_cpu() else None,
        )
        remaining = iter(copies)
        grads = [gradients.with_tensors(g, remaining) for g in grads]
        outputs = [next(remaining) for _ in outputs]
        self._forward_pass = self._forward_pass.with_tensors(list(remaining))
        if suspects:
            self._forward_pass.suspects = suspects.with_outputs(outputs)
        return grads

    def _is_on_cpu(self) -> bool:
        return all("CPU" in v.device for v in self._call.variables)

    def _prepare_in_graph(self) -> None:
        self._graph = tracing.current_graph()
        # Random operations that count in their kernels have a count of their
        # own in each program, so that `Callback` may not change between two of
        # them.
        self._seam.has_program_state |= tracing.has_program_state(self._graph)
        self._header_before = self._header()
        due = self._observer.gate.due("record", self._call.step, self._subset)
        applies = self._call.applies
        self._due = due if applies is True else due & applies
        in_xla = tracing.in_xla(self._graph)
        reads = self._reads_of_weights() if in_xla else {}
        self._values_before = self._read_before_if_due()
        self._weights_read_before = {
            name: self._values_before[index] for name, index in reads.items()
        }

    def _header(self) -> tf.Tensor:
        numbers = [
            self._call.learning_rate(),
            self._call.loss_scale(),
            self._observer.skipped_steps(),
        ]
        if self._observer.has_rates:
            rates = self._observer.in_row_order(
                self._call.variables, self._call.variable_rates()
            )
            numbers += [float("nan") if r is None else r for r in rates]
        return tf.stack(numbers)

    def _read_before(self) -> list[tf.Tensor]:
        """Read the weights and accumulators, which the step changes."""
        return [
            tf.convert_to_tensor(variable)
            for variable in [*self._call.variables, *self._call.accumulators]
        ]

    def _read_before_if_due(self) -> list[tf.Tensor]:
        """Read the weights and accumulators if the step is due; else make
        fillers.

        To hold a weight costs time, since its update must then copy it, and
        asking first costs less. XLA needs both branches of one shape, also of a
        function that was traced outside of XLA and is called inside; and where
        it compiles the step, see `ordered_reads`.
        """
        variables = [*self._call.variables, *self._call.accumulators]
        if tracing.in_xla(self._graph):
            return ordered_reads.read_before_updates(
                self._due, variables, self._call.update_inputs()
            )
        values_before = tf.cond(
            self._due,
            self._read_before,
            lambda: [
                tf.raw_ops.Empty(shape=v.shape.as_list(), dtype=v.dtype)
                for v in variables
            ],
        )
        # For a single variable, `tf.cond` returns a tensor and no list.
        return tf.nest.flatten(values_before)

    def _measurables(
        self, header, values_before: list, grads: list
    ) -> Measurables:
        """Collect the tensors to measure, in the order of the rows.

        Args:
            header, values_before: `_header` and `_read_before`, before the
                step.
            grads: `call.reduced_gradients()`, or copies of them.
        """
        call = self._call
        passed = [
            gradients.with_shape(gradient, variable.shape)
            if call.takes_gradient(variable)
            else None
            for gradient, variable in zip(grads, call.variables, strict=True)
        ]
        count = len(call.variables)
        applied = call.applied_gradients(passed, values_before[count:])
        clipped = call.clipped_gradients(applied)
        missing = [
            gradient is None if call.takes_gradient(variable) else None
            for gradient, variable in zip(grads, call.variables, strict=True)
        ]
        rows = self._observer.in_row_order
        return Measurables(
            step=call.step,
            subset=self._subset,
            header=header,
            grads=rows(call.variables, applied),
            clipped=None if clipped is None else rows(call.variables, clipped),
            missing=rows(call.variables, missing),
            before=rows(call.variables, values_before[:count]),
            forward=self._observer.measurement.measure(self._forward_pass),
            origin=self._origin,
        )

    def _origin(self, broken) -> tf.Tensor:
        """Find the first operation with an output that is not finite.

        In a graph, the forward pass is computed again for this, and only if a
        number is not finite: a read of its inner tensors would change how it is
        computed.

        Args:
            broken: Whether a number of the step is not finite.

        Returns:
            float32 `[ORIGIN]`.
        """
        suspects = self._forward_pass.suspects
        measurement = self._observer.measurement
        nowhere = tf.constant(first_nonfinite.NOWHERE)
        if suspects is None:
            return nowhere
        if tf.executing_eagerly():
            return measurement.origin(suspects) if broken else nowhere
        if tracing.in_xla(self._graph):
            return tf.where(broken, measurement.origin(suspects), nowhere)

        def from_the_start() -> tf.Tensor:
            outputs = replay.replay(
                suspects.outputs, self._graph, self._weights()
            )
            return measurement.origin(suspects.with_outputs(outputs))

        return tf.cond(broken, from_the_start, lambda: nowhere)

    def _reads_of_weights(self) -> dict[str, int]:
        """Which tensors of the graph are weights, as they are before the step.

        Returns:
            Indices of `call.variables` by the names of the tensors.
        """
        variables = self._call.variables
        indices = {id(v): index for index, v in enumerate(variables)}
        reads = ordered_reads.reads_of(
            self._graph, tf_variables.handles(self._graph, variables)
        )
        return {name: indices[id(v)] for name, v in reads.items()}

    def _weights(self) -> dict[str, tf.Tensor]:
        """The weights before the step, by the names of the tensors that read
        them.

        The forward pass is computed again with these values; reads of their own
        would cost as much in all other steps, see `_read_before_if_due`.
        """
        variables = [
            tf_variables.replica_variable(v) for v in self._call.variables
        ]
        values_before = {
            id(variable): value
            for variable, value in zip(
                variables, self._values_before, strict=False
            )
        }
        handles = tf_variables.handles(self._graph, variables)
        return {
            operation.outputs[0].name: tf.ensure_shape(
                values_before[id(handles[operation.inputs[0].name])],
                operation.outputs[0].shape,
            )
            for operation in self._graph.get_operations()
            if operation.type == "ReadVariableOp"
            and operation.inputs[0].name in handles
        }
