"""Steps of a graph that a `tf.compat.v1.Session` runs.

    reads -> the optimizer's own updates -> measure, deliver -> the train op

Whoever runs the train op, which is the very op that it was, runs all of it,
and nothing needs to be initialised. What is measured is delivered to the host
(`inbox`) in the steps that are due; the others only ask whether they are.
"""

from __future__ import annotations

import tensorflow as tf

from gradscope.format.step_layout import HEADER
from gradscope.measuring import first_nonfinite, gradients, statistics
from gradscope.runtime import tf_variables, tracing
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.sessions import session_graph
from gradscope.wrapping.sessions.inbox import Part, SessionInbox, deliver
from gradscope.wrapping.sessions.session_gate import SessionGate, SharedCounters
from gradscope.wrapping.steps import guard
from gradscope.wrapping.steps.forward_row import ForwardMeasurement

_NOT_ASKED = -1


class SessionObserver:
    """Observes the train ops that one optimizer makes in one graph.

    Args:
        graph: The graph.
        inbox: Where the steps go.
        shared: The optimizer's cells in this graph.
        optimizer: JSON description of the optimizer.
        variables: What there are to be rows for in any case.
    """

    def __init__(
        self,
        graph,
        inbox: SessionInbox,
        shared: SharedCounters,
        optimizer,
        variables=(),
    ):
        self.graph = graph
        self.shared = shared
        #: Has the methods of a drain.
        self.drain = inbox
        self.variables = list(variables)
        self._optimizer = optimizer
        self._calls: list[tuple[list[tf.Variable], ForwardPass]] = []

    def join(
        self, variables: list[tf.Variable], seen: ForwardPass, added
    ) -> int | None:
        """Adds a train op.

        Args:
            variables: That it updates.
            seen: What there is to be seen of its forward pass.
            added: `Seam.with_facts`.

        Returns:
            Its number, None if it is too late: a step has come already.
        """
        present = {v.ref() for v in self.variables}
        rows = self.variables + [v for v in variables if v.ref() not in present]
        order = tf_variables.forward_order(rows, self.graph)
        rows = [rows[index] for index in order]
        number = {v.ref(): row for row, v in enumerate(rows)}
        calls = [*self._calls, (variables, seen)]
        described, whole = tf_variables.describe(rows), None
        parts = []
        for own, forward in calls:
            before = whole
            whole = forward.schema(described, self._optimizer, before)
            whole = added(whole, rows, forward, before)
            part = forward.schema((), {}, None)
            parts.append(Part([number[v.ref()] for v in own], part))
        if not self.drain.expect(whole, parts):
            return None
        self.variables, self._calls = rows, calls
        return len(calls) - 1

    def close(self) -> None:
        """Writes what is left; no more steps are taken."""
        self.drain.close()


class SessionStep:
    """One call of an optimizer in such a graph.

    Args:
        seam: The `Seam` that was called.
        observer: The observer of its train ops in this graph.
        part: What `observer.join` returned.
        call: What the optimizer was given, a `SessionCall`.
        seen: What there is to be seen of the forward pass.
    """

    def __init__(
        self,
        seam,
        observer: SessionObserver,
        part: int,
        call,
        seen: ForwardPass,
    ):
        self._seam = seam
        self._observer = observer
        self._part = part
        self._call = call
        self._seen = seen
        self._graph = tracing.current_graph()
        if tracing.in_xla(self._graph):
            raise NotImplementedError(
                "XLA is to compile this train op as a whole, and cannot "
                "compile what delivers measurements to the host. Leave it to "
                "XLA's auto-clustering (`global_jit_level`) instead"
            )
        # In place, so a gradient may be a weight's very memory.
        self._in_place = any(map(_is_reference, call.variables))
        self._variables = call.variables
        with session_graph.the_users(self._graph):
            self._passed = as_tensors(call.grads)
            with session_graph.on_host():
                self._gate = SessionGate(
                    observer.shared, seam.options, call.step_before()
                )
            self._held = self._conditionally_held()

    def in_graph(self, original):
        """Adds the step as it is to the graph, and observes it from beside.

        Args:
            original: Calls the optimizer's own code.
        """
        with tf.control_dependencies(self._held):
            result = original()
        try:
            train_op = result.op if tf.is_tensor(result) else result
            self._check(train_op)
            with session_graph.the_users(self._graph):
                observed = guard.with_forward_or_without(
                    self._seam,
                    self._seen,
                    lambda seen: self._observed(train_op, seen),
                )
            train_op._add_control_inputs([observed])
        except Exception as error:
            self._seam.fail(error)
        return result

    def _check(self, train_op) -> None:
        """Raises where nothing can be done between updates and train op."""
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
        # A session that has run an op refuses to run it changed.
        is_older = train_op._id < self._gate.due.op._id
        if train_op.graph is not self._graph or is_older:
            raise NotImplementedError(
                f"the train op {train_op.name!r} is older than this call. Let "
                "`apply_gradients` return a new one"
            )

    def _observed(self, train_op, seen: ForwardPass) -> tf.Operation:
        before = [*train_op.control_inputs, *(t.op for t in train_op.inputs)]
        with tf.control_dependencies(before):
            # `tf.cond` of TensorFlow 1 lets its branches' ops wait for the
            # predicate alone.
            due = tf.identity(self._gate.due)
        delivered = tf.cond(
            due,
            lambda: self._deliver(seen),
            lambda: tf.constant(_NOT_ASKED, tf.int64),
        )
        with tf.control_dependencies([delivered]), session_graph.on_host():
            return self._gate.passed(delivered)

    def _conditionally_held(self) -> list[tf.Tensor]:
        """Returns what must be read before the step, empty if it is not due."""
        held = tf.cond(
            self._gate.due,
            lambda: [*map(_copy, self._variables), *self._copied_grads()],
            lambda: [
                tf.zeros([0], dtype)
                for dtype in [
                    *(v.dtype.base_dtype for v in self._variables),
                    *(t.dtype for t in self._grad_values()),
                ]
            ],
        )
        return tf.nest.flatten(held)  # of one variable it is not a list

    def _grad_values(self) -> list[tf.Tensor]:
        """Returns the values of those gradients that must be copied."""
        if not self._in_place:
            return []
        return [
            g.values if isinstance(g, tf.IndexedSlices) else g
            for g in self._passed
            if g is not None
        ]

    def _copied_grads(self) -> list[tf.Tensor]:
        return [tf.raw_ops.DeepCopy(x=t) for t in self._grad_values()]

    def _grads(self) -> list:
        """Returns the gradients, for the step's end."""
        if not self._in_place:
            return [gradients.regenerate(g, self._graph) for g in self._passed]
        copies = iter(self._held[len(self._variables) :])
        return [
            None if g is None else _with_values(g, next(copies))
            for g in self._passed
        ]

    def _deliver(self, seen: ForwardPass) -> tf.Tensor:
        """Returns what the host says to the step's measurements.

        Args:
            seen: The forward pass, or an empty one: its rows are NaN then.
        """
        before = [
            tf.ensure_shape(held, variable.shape)
            for held, variable in zip(self._held, self._variables, strict=False)
        ]
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
        forward = ForwardMeasurement(self._seen.schema((), {}, None)).measure(
            seen
        )
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
        with session_graph.on_host():
            return tf.ensure_shape(
                tf.numpy_function(
                    deliver,
                    [
                        tf.constant(self._observer.drain.number, tf.int64),
                        tf.constant(self._part, tf.int64),
                        self._gate.step,
                        row,
                        counts,
                    ],
                    tf.int64,
                ),
                [],
            )

    def _header(self) -> tf.Tensor:
        nan = tf.constant(float("nan"))
        header = {
            "learning_rate": self._call.learning_rate(),
            "loss_scale": self._call.loss_scale(),
        }
        return tf.stack([header.get(name, nan) for name in HEADER])

    def _counts(self, step) -> tf.Tensor:
        """Returns all histograms, or nothing where they are not due."""
        nothing = tf.zeros([0])
        if not self._observer.drain.has_histograms:
            return nothing

        def counted():
            return statistics.occasional(step, list(range(step.count)))

        return tf.cond(
            self._gate.histograms_due, counted, lambda: tf.zeros([0])
        )


def as_tensors(grads: list) -> list:
    """Returns gradients as tensors, but for `IndexedSlices` and None."""
    return [
        g
        if g is None or isinstance(g, tf.IndexedSlices)
        else tf.convert_to_tensor(g)
        for g in grads
    ]


def _is_reference(variable) -> bool:
    """Returns whether a variable is updated in place, where readers look."""
    return variable.dtype != variable.dtype.base_dtype


def _state(variable) -> tf.Tensor:
    return variable._ref() if _is_reference(variable) else variable.handle


def _copy(variable) -> tf.Tensor:
    """Returns what a variable holds now."""
    value = variable.read_value()
    # A resource variable that somebody has read is copied when it is updated.
    return tf.raw_ops.DeepCopy(x=value) if _is_reference(variable) else value


def _with_values(gradient, values):
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.ensure_shape(values, gradient.shape)
    values = tf.ensure_shape(values, gradient.values.shape)
    return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
