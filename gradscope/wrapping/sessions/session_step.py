"""Steps of a graph that a `tf.compat.v1.Session` runs.

    reads -> the optimizer's own updates -> measure, deliver -> the train op

The train op is the optimizer's own op, and running it runs all of this; nothing
needs to be initialized. A step that is due delivers its numbers to the host
(`inbox`); the others only ask whether they are due.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gradscope.format.schema import Schema
from gradscope.format.step_layout import HEADER
from gradscope.measuring import first_nonfinite, gradients, statistics
from gradscope.runtime import tracing
from gradscope.runtime.described_variables import DescribedVariables
from gradscope.wrapping.forward import fallback, unstored_tensors
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.sessions import session_graph
from gradscope.wrapping.sessions.inbox import SessionInbox, TrainOp, deliver
from gradscope.wrapping.sessions.session_gate import SessionGate, SharedCounters
from gradscope.wrapping.steps.forward_row import ForwardMeasurement

# What a step that is not due delivers; numbers of steps begin with 0.
_NOT_ASKED = -1

#: Operations that read a resource variable, and a reference variable.
_READS = ("ReadVariableOp", "Identity")


class SessionObserver:
    """Observes the train ops that one optimizer makes in one graph.

    Args:
        graph: The graph.
        inbox: The inbox that takes the steps.
        counters: The optimizer's counters in this graph.
        optimizer: JSON description of the optimizer.

    Attributes:
        described: The variables of all train ops so far.
    """

    def __init__(
        self,
        graph,
        inbox: SessionInbox,
        counters: SharedCounters,
        optimizer: dict[str, Any],
    ):
        self.graph = graph
        self.counters = counters
        self.drain = inbox
        self.described = DescribedVariables.of([])
        self._optimizer = optimizer
        self._calls: list[tuple[list[tf.Variable], ForwardPass]] = []

    def add_train_op(
        self,
        variables: list[tf.Variable],
        described: DescribedVariables,
        forward_pass: ForwardPass,
        with_facts: Callable[..., Schema],
    ) -> int | None:
        """Add a train op.

        Args:
            variables: The variables that the train op updates.
            described: All variables that have rows, with these.
            forward_pass: Its forward pass.
            with_facts: `ForwardFinder.with_facts`.

        Returns:
            The train op's number; None if it is too late, since a step has been
            delivered.
        """
        row_of = {v.ref(): row for row, v in enumerate(described.variables)}
        calls = [*self._calls, (variables, forward_pass)]
        schema = None
        train_ops = []
        for trained, forward in calls:
            # Each train op adds its rows to those of the ops before it.
            rows = forward.schema(described.rows, self._optimizer, schema)
            schema = with_facts(rows, described, forward, schema)
            forward_schema = forward.schema((), {}, None)
            train_ops.append(
                TrainOp([row_of[v.ref()] for v in trained], forward_schema)
            )
        if not self.drain.announce(schema, train_ops):
            return None
        self.described, self._calls = described, calls
        return len(calls) - 1

    def covers(self, variables: list[tf.Variable]) -> bool:
        """Return whether each of these variables has a row."""
        refs = {v.ref() for v in self.described.variables}
        return all(v.ref() in refs for v in variables)

    def close(self) -> None:
        """Write the rest, and take no more steps."""
        self.drain.close()


class SessionStep:
    """One call of an optimizer in a graph that a session runs.

    Args:
        seam: The `Seam` that was called.
        observer: The observer of its train ops in this graph.
        number: The train op's number, the result of `observer.add_train_op`.
        call: The call, a `SessionCall`.
        forward_pass: The step's forward pass.
    """

    def __init__(
        self,
        seam,
        observer: SessionObserver,
        number: int,
        call,
        forward_pass: ForwardPass,
    ):
        self._seam = seam
        self._observer = observer
        self._number = number
        self._call = call
        self._forward_pass = forward_pass
        self._graph = tracing.current_graph()
        if tracing.in_xla(self._graph):
            raise NotImplementedError(
                "XLA compiles this train op as a whole, but cannot compile the "
                "operation that delivers measurements to the host. Use XLA's "
                "auto-clustering (`global_jit_level`) instead"
            )
        # Updates in place: a gradient may share the memory of a weight.
        self._in_place = any(map(_is_reference, call.variables))
        self._variables = call.variables
        with session_graph.untracked_ops(self._graph):
            self._grads_passed = as_tensors(call.grads)
            with session_graph.host_ops():
                self._gate = SessionGate(
                    observer.counters, seam.options, call.step_before()
                )
            self._values_before = self._read_before_if_due()

    def run(self, original: Callable[[], Any]) -> Any:
        """Add the optimizer's step to the graph as it is, and record it beside.

        Args:
            original: Calls the optimizer's own code.

        Returns:
            The train op.
        """
        # Unlike a function, a session's graph has no order but that of its
        # edges: the reads come first because the updates wait for them.
        with tf.control_dependencies(self._values_before):
            result = original()
        try:
            train_op = result.op if tf.is_tensor(result) else result
            self._check(train_op)
            with session_graph.untracked_ops(self._graph):
                measured = fallback.measure_with_fallback(
                    self._seam.finder,
                    self._forward_pass,
                    lambda forward_pass: self._add_measurement(
                        train_op, forward_pass
                    ),
                )
            # The train op waits, so that whoever runs it records the step.
            # There is no public way to add an input to an operation that
            # exists.
            train_op._add_control_inputs([measured])
        except Exception as error:
            self._seam.fail(error)
        return result

    def _check(self, train_op) -> None:
        """Check that ops can run between the updates and the train op."""
        if not isinstance(train_op, tf.Operation):
            raise TypeError(
                f"`apply_gradients` must return an operation, got {train_op!r}"
            )
        states = {_state(variable).name for variable in self._variables}
        if any(tensor.name in states for tensor in train_op.inputs):
            raise NotImplementedError(
                f"the train op {train_op.name!r} itself updates a variable. "
                "Let `apply_gradients` return `tf.group(updates)`"
            )
        # A session refuses an op that was changed after its first run.
        # This has no public name: a graph numbers its operations as they are
        # made.
        is_older = train_op._id < self._gate.due.op._id
        if train_op.graph is not self._graph or is_older:
            raise NotImplementedError(
                f"the train op {train_op.name!r} was made before this call. "
                "Let `apply_gradients` return a new one"
            )

    def _add_measurement(
        self, train_op, forward_pass: ForwardPass
    ) -> tf.Operation:
        """Add the ops that measure and deliver the step before the train op."""
        before = [*train_op.control_inputs, *(t.op for t in train_op.inputs)]
        with tf.control_dependencies(before):
            # In `tf.cond` of TensorFlow 1, the ops of the branches wait for
            # the predicate alone.
            due = tf.identity(self._gate.due)
        delivered = tf.cond(
            due,
            lambda: self._deliver(forward_pass),
            lambda: tf.constant(_NOT_ASKED, tf.int64),
        )
        with tf.control_dependencies([delivered]), session_graph.host_ops():
            return self._gate.remember_step(delivered)

    def _read_before_if_due(self) -> list[tf.Tensor]:
        """Read weights and gradients before the step; empty if not due."""
        values = tf.cond(
            self._gate.due,
            lambda: [*map(_copy, self._variables), *self._copied_grads()],
            # Both branches must return tensors of the same types.
            lambda: [
                tf.zeros([0], dtype)
                for dtype in [
                    *(v.dtype.base_dtype for v in self._variables),
                    *(t.dtype for t in self._grad_values()),
                ]
            ],
        )
        # For a single variable, `tf.cond` returns a tensor and no list.
        return tf.nest.flatten(values)

    def _grad_values(self) -> list[tf.Tensor]:
        """The values of those gradients that must be copied."""
        if not self._in_place:
            return []
        return [
            g.values if isinstance(g, tf.IndexedSlices) else g
            for g in self._grads_passed
            if g is not None
        ]

    def _copied_grads(self) -> list[tf.Tensor]:
        return [tf.raw_ops.DeepCopy(x=t) for t in self._grad_values()]

    def _grads(self) -> list:
        """The gradients, as they can be read at the step's end."""
        if not self._in_place:
            return [
                gradients.regenerate(g, self._graph) for g in self._grads_passed
            ]
        copies = iter(self._values_before[len(self._variables) :])
        return [
            None if g is None else _with_values(g, next(copies))
            for g in self._grads_passed
        ]

    def _deliver(self, forward_pass: ForwardPass) -> tf.Tensor:
        """Measure the step, and deliver it to the host; return the host's
        answer.

        Args:
            forward_pass: The forward pass, or an empty one: then its rows are
                NaN.
        """
        before = self._weights_before()
        after = [variable.read_value() for variable in self._variables]
        touched = [
            gradients.gradient_values(
                gradients.with_shape(gradient, variable.shape)
            )
            for gradient, variable in zip(
                self._grads(), self._variables, strict=True
            )
        ]
        missing = [gradient is None for gradient in touched]
        step = statistics.stack_step(touched, None, before, after)
        measured = statistics.measure(step, missing)
        readable = unstored_tensors.repeat(
            forward_pass, self._call.grads, self._graph, self._weights_read
        )
        forward = ForwardMeasurement(
            self._forward_pass.schema((), {}, None)
        ).measure(readable)
        row = tf.concat(
            [
                self._header(),
                tf.reshape(measured, [-1]),
                first_nonfinite.NOWHERE,
                forward,
            ],
            axis=0,
        )
        counts = self._counts(step)
        with session_graph.host_ops():
            return tf.ensure_shape(
                tf.numpy_function(
                    deliver,
                    [
                        tf.constant(self._observer.drain.number, tf.int64),
                        tf.constant(self._number, tf.int64),
                        self._gate.step,
                        row,
                        counts,
                    ],
                    tf.int64,
                ),
                [],
            )

    def _weights_before(self) -> list[tf.Tensor]:
        """The weights before the step, in the order of the variables."""
        # The branches of the `tf.cond` that read these values differ in shape,
        # so the results have none. Copies of gradients may follow them.
        return [
            tf.ensure_shape(value, variable.shape)
            for value, variable in zip(
                self._values_before, self._variables, strict=False
            )
        ]

    def _weights_read(self) -> dict[str, tf.Tensor]:
        """The weights before the step, by the names of the tensors that read
        them."""
        return {
            operation.outputs[0].name: value
            for variable, value in zip(
                self._variables, self._weights_before(), strict=True
            )
            for operation in _state(variable).consumers()
            if operation.type in _READS
        }

    def _header(self) -> tf.Tensor:
        nan = tf.constant(float("nan"))
        header = {
            "learning_rate": self._call.learning_rate(),
            "loss_scale": self._call.loss_scale(),
        }
        return tf.stack([header.get(name, nan) for name in HEADER])

    def _counts(self, step) -> tf.Tensor:
        """Count all histograms; empty if they are not due."""
        nothing = tf.zeros([0])
        inbox = self._observer.drain
        if not inbox.has_histograms:
            return nothing

        def count() -> tf.Tensor:
            return statistics.occasional(
                step, list(range(step.count)), inbox.histogram_kinds
            )

        return tf.cond(self._gate.histograms_due, count, lambda: tf.zeros([0]))


def as_tensors(grads: list) -> list:
    """Convert gradients to tensors, but for `IndexedSlices` and None."""
    return [
        g
        if g is None or isinstance(g, tf.IndexedSlices)
        else tf.convert_to_tensor(g)
        for g in grads
    ]


def _is_reference(variable) -> bool:
    """Return whether a variable is a reference variable, updated in place."""
    # Its dtype is `float32_ref` in place of `float32`.
    return variable.dtype != variable.dtype.base_dtype


def _state(variable) -> tf.Tensor:
    return variable._ref() if _is_reference(variable) else variable.handle


def _copy(variable) -> tf.Tensor:
    """Copy the present value of a variable."""
    value = variable.read_value()
    # A resource variable copies itself on an update if its value is in use.
    return tf.raw_ops.DeepCopy(x=value) if _is_reference(variable) else value


def _with_values(gradient, values):
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.ensure_shape(values, gradient.shape)
    values = tf.ensure_shape(values, gradient.values.shape)
    return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
