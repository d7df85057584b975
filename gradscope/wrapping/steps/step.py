"""One step of an optimizer, with what observes it around it."""

from __future__ import annotations

import tensorflow as tf

from gradscope.measuring import first_nonfinite, gradients
from gradscope.runtime import (
    own_variables,
    replay,
    replay_convolution,
    tf_variables,
    tracing,
)
from gradscope.wrapping.forward.forward_pass import Forward
from gradscope.wrapping.steps import guard
from gradscope.wrapping.steps.observer import Look


class Step:
    """One call of an optimizer, eager or in a graph that is being traced.

    With gradient accumulation only the calls that apply what was accumulated
    are steps, and the gradient is the mean that they apply.

    Args:
        seam: The `Seam` that was called.
        observer: The observer of the optimizer's variables.
        call: What the optimizer was given.
        seen: What there is to be seen of the forward pass.
    """

    def __init__(self, seam, observer, call, seen):
        self._seam = seam
        self._observer = observer
        self._call = call
        self._seen = seen
        self._part = observer.part(call.variables)
        if not tf.executing_eagerly():
            with own_variables.unchecked(), guard.scope():
                self._prepare_in_graph()

    def eagerly(self, original):
        """Runs the step; the host decides whether it is observed.

        Args:
            original: Calls the optimizer's own code.
        """
        due = bool(self._call.applies) and self._observer.gate.due_on_host(
            int(self._call.step), self._part
        )
        if not due:
            return original()
        try:
            with own_variables.unchecked():
                held, header = self._held(), self._header()
        except Exception as error:
            result = original()
            self._seam.fail(error)
            return result
        result = self._call.run(original)
        try:
            if not bool(self._call.made()):
                return result
            with own_variables.unchecked():
                grads = self._call.reduced()
                guard.with_forward_or_without(
                    self._seam,
                    self._seen,
                    lambda seen: self._recorded(header, held, grads, seen),
                )
            step = int(self._call.step)
            self._observer.gate.visited_on_host(step, self._part)
            self._observer.drain.stepped()
        except Exception as error:
            self._seam.fail(error)
        return result

    def in_graph(self, original):
        """Adds the step as it is to the graph, and observes it from beside.

        The optimizer's own part of the graph stays untouched: put into a
        conditional as a whole, it would be optimized in another way, and the
        last bit of a momentum changes (seen with the gamma of a batch norm).

        Args:
            original: Calls the optimizer's own code.
        """
        # A function's graph runs reads and writes of a variable in the order
        # of the program. Control dependencies would say it again, but keep
        # `tf.function` from lifting the slots that a first call creates.
        result = self._call.run(original)

        try:
            with own_variables.unchecked(), guard.scope():
                made = self._call.made()
                due = self._due if made is True else self._due & made
                guard.with_forward_or_without(
                    self._seam,
                    self._seen,
                    lambda seen: self._add_to_graph(due, seen),
                )
        except Exception as error:
            self._seam.fail(error)
        return result

    def _recorded(self, header, held, grads, seen: Forward) -> None:
        """Records an eager step."""
        self._seen = seen
        look = self._look(header, held, grads)
        self._observer.record_eagerly(look)

    def _add_to_graph(self, due, seen: Forward) -> None:
        """Adds what records the step where it is due."""

        def observed():
            self._seen = seen
            grads = self._copies()
            look = self._look(self._header_before, self._held_before, grads)
            self._observer.record(look)
            self._observer.gate.visited("record", look.step, self._part)
            return tf.constant(True)

        tf.cond(due, observed, lambda: tf.constant(False))

    def _copies(self) -> list:
        """Returns gradients that can be read, and has the forward pass be one
        that can."""
        grads = self._call.reduced()
        if not tracing.in_xla(self._graph):
            return [gradients.regenerate(g, self._graph) for g in grads]
        own = [t for g in grads for t in gradients.tensors(g)]
        suspects = self._seen.suspects
        outputs = suspects.outputs if suspects else []
        copies = replay.replayed(
            [*own, *outputs, *self._seen.tensors()],
            self._graph,
            repeat=replay_convolution.gradient if self._is_on_cpu() else None,
        )
        rest = iter(copies)
        grads = [gradients.with_tensors(g, rest) for g in grads]
        outputs = [next(rest) for _ in outputs]
        self._seen = self._seen.with_tensors(list(rest))
        if suspects:
            self._seen.suspects = suspects.with_outputs(outputs)
        return grads

    def _is_on_cpu(self) -> bool:
        return all("CPU" in v.device for v in self._call.variables)

    def _prepare_in_graph(self) -> None:
        self._graph = tracing.current_graph()
        self._seam.has_program_state |= tracing.has_program_state(self._graph)
        self._header_before = self._header()
        due = self._observer.gate.due("record", self._call.step, self._part)
        applies = self._call.applies
        self._due = due if applies is True else due & applies
        self._held_before = self._conditionally_held()

    def _header(self) -> tf.Tensor:
        numbers = [
            self._call.learning_rate(),
            self._call.loss_scale(),
            self._observer.skipped(),
        ]
        if self._observer.has_rates:
            rates = self._observer.in_rows(
                self._call.variables, self._call.rates()
            )
            numbers += [float("nan") if r is None else r for r in rates]
        return tf.stack(numbers)

    def _held(self) -> list[tf.Tensor]:
        """Returns what must be read before the step: weights, accumulators."""
        return [
            tf.convert_to_tensor(variable)
            for variable in [*self._call.variables, *self._call.accumulators]
        ]

    def _conditionally_held(self) -> list[tf.Tensor]:
        """Returns what must be read before, or nothing that means anything
        where the step is not due.

        Merely to hold a weight costs something, as its update must then copy
        it: with 104 small variables 1.29 times the plain step, against 1.14
        for asking first. XLA wants both branches to be of one shape, also of
        a function that was traced outside of it and is called inside.
        """
        if tracing.in_xla(self._graph):
            return self._held()
        variables = [*self._call.variables, *self._call.accumulators]
        held = tf.cond(
            self._due,
            self._held,
            lambda: [
                tf.raw_ops.Empty(shape=v.shape.as_list(), dtype=v.dtype)
                for v in variables
            ],
        )
        return tf.nest.flatten(held)  # of one variable it is not a list

    def _look(self, header, held: list, grads: list) -> Look:
        """Returns what there is to be measured, in the order of the rows.

        Args:
            header, held: What `_header` and `_held` returned before the step.
            grads: `call.reduced()`, or copies of them.
        """
        call = self._call
        chosen = [
            gradients.shaped(gradient, variable.shape)
            if call.takes_gradient(variable)
            else None
            for gradient, variable in zip(grads, call.variables, strict=True)
        ]
        count = len(call.variables)
        applied = call.applied(chosen, held[count:])
        clipped = call.clipped(applied)
        missing = [
            gradient is None if call.takes_gradient(variable) else None
            for gradient, variable in zip(grads, call.variables, strict=True)
        ]
        rows = self._observer.in_rows
        return Look(
            step=call.step,
            part=self._part,
            header=header,
            grads=rows(call.variables, applied),
            clipped=None if clipped is None else rows(call.variables, clipped),
            missing=rows(call.variables, missing),
            before=rows(call.variables, held[:count]),
            forward=self._observer.watch.measure(self._seen),
            origin=self._origin,
        )

    def _origin(self, broken) -> tf.Tensor:
        """Returns the first operation that made what is not finite, float32
        `[ORIGIN]`: in a graph of the forward pass that is computed again only
        where something is broken, since to read what lies inside of it would
        change the way in which it is computed.

        Args:
            broken: Whether something is not finite.
        """
        suspects, watch = self._seen.suspects, self._observer.watch
        nowhere = tf.constant(first_nonfinite.NOWHERE)
        if suspects is None:
            return nowhere
        if tf.executing_eagerly():
            return watch.origin(suspects) if broken else nowhere
        if tracing.in_xla(self._graph):
            return tf.where(broken, watch.origin(suspects), nowhere)

        def from_the_start():
            outputs = replay.replayed(
                suspects.outputs, self._graph, self._weights()
            )
            return watch.origin(suspects.with_outputs(outputs))

        return tf.cond(broken, from_the_start, lambda: nowhere)

    def _weights(self) -> dict[str, tf.Tensor]:
        """Returns the weights before the step, by the names of the tensors
        with which the forward pass reads them: to hold these would cost as
        much in all other steps; see `_conditionally_held`."""
        variables = [tf_variables.own_variable(v) for v in self._call.variables]
        held = {
            id(variable): value
            for variable, value in zip(
                variables, self._held_before, strict=False
            )
        }
        handles = tf_variables.handles(self._graph, variables)
        return {
            operation.outputs[0].name: tf.ensure_shape(
                held[id(handles[operation.inputs[0].name])],
                operation.outputs[0].shape,
            )
            for operation in self._graph.get_operations()
            if operation.type == "ReadVariableOp"
            and operation.inputs[0].name in handles
        }
