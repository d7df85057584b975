"""One call of a Keras optimizer's `apply`, with what observes it around it."""

from __future__ import annotations

import tensorflow as tf

from gradscope.measuring import gradients
from gradscope.wrapping import layers, tracing


class Step:
    """One call of `apply`, eager or in a graph that is being traced.

    With `gradient_accumulation_steps` only the calls that apply what was
    accumulated are steps, and the gradient is the mean that they apply.

    Args:
        seam: The `KerasSeam` that was called.
        grads: As passed to `apply`.
        trainable_variables: As passed to `apply`.
    """

    def __init__(self, seam, grads, trainable_variables=None):
        optimizer = seam.optimizer
        self._seam = seam
        self._arguments = (
            (grads,)
            if trainable_variables is None
            else (grads, trainable_variables)
        )
        passed = trainable_variables
        if passed is None:
            passed = optimizer._trainable_variables
        known = optimizer._trainable_variables if optimizer.built else passed
        self._observer = seam.observer(list(known))
        self._grads = self._observer.in_order(
            grads, [layers.tf_variable(v) for v in passed]
        )
        self._calls = optimizer.gradient_accumulation_steps or 1
        self._accumulators = _accumulators(optimizer, self._observer.variables)
        self._step = tf.cast(_value(optimizer.iterations), tf.int64)
        self._applies = True
        if self._calls > 1:
            calls = _value(optimizer._iterations)
            self._applies = calls % self._calls >= self._calls - 1
        if not tf.executing_eagerly():
            self._prepare_in_graph()

    def eagerly(self):
        """Runs the step; the host decides whether it is observed."""
        due = bool(self._applies) and self._observer.gate.due_on_host(
            int(self._step)
        )
        if not due:
            return self._seam.call_original(*self._arguments)
        held, rate = self._held(), _learning_rate(self._seam.optimizer)
        result = self._seam.call_original(*self._arguments)
        try:
            before, applied = self._split(held, self._grads)
            self._observer.record_eagerly(self._step, rate, applied, before)
            self._observer.drain.stepped()
        except Exception as error:
            self._seam.fail(error)
        return result

    def in_graph(self):
        """Adds the step as it is to the graph, and observes it from beside.

        The optimizer's own part of the graph stays untouched: put into a
        conditional as a whole, it would be optimized in another way, and the
        last bit of a momentum changes (seen with the gamma of a batch norm).
        """
        # A function's graph runs reads and writes of a variable in the order
        # of the program. Control dependencies would say it again, but keep
        # `tf.function` from lifting the slots that a first call creates.
        result = self._seam.call_original(*self._arguments)

        def observed():
            copies = [gradients.regenerate(g, self._graph) for g in self._grads]
            before, applied = self._split(self._held_before, copies)
            self._observer.record(self._step, self._rate, applied, before)
            return tf.constant(True)

        try:
            tf.cond(self._due, observed, lambda: tf.constant(False))
        except Exception as error:
            self._seam.fail(error)
        return result

    def _prepare_in_graph(self) -> None:
        self._graph = tracing.current_graph()
        self._seam.has_program_state |= tracing.has_program_state(self._graph)
        self._rate = _learning_rate(self._seam.optimizer)
        due = self._observer.gate.due("record", self._step)
        self._due = due & self._applies if self._calls > 1 else due
        self._held_before = self._conditionally_held()

    def _held(self) -> list[tf.Tensor]:
        """Returns what must be read before the step: weights, accumulators."""
        return [
            *self._observer.weights(),
            *(tf.identity(variable) for variable in self._accumulators),
        ]

    def _conditionally_held(self) -> list[tf.Tensor]:
        """Returns what must be read before, empty where the step is not due.

        Merely to hold a weight costs something, as its update must then copy
        it: with 104 small variables 1.29 times the plain step, against 1.14
        for asking first. XLA, though, wants both branches to be of one shape.
        """
        if tracing.in_xla(self._graph):
            return self._held()
        variables = [*self._observer.variables, *self._accumulators]
        held = tf.cond(
            self._due,
            self._held,
            lambda: [tf.zeros([0], v.dtype) for v in variables],
        )
        return tf.nest.flatten(held)  # of one variable it is not a list

    def _split(self, held: list, grads: list) -> tuple[list, list]:
        """Returns the weights before the step, and the gradients it applies."""
        count = len(self._observer.variables)
        before, accumulated = held[:count], held[count:]
        if not accumulated:
            return before, grads
        applied = [
            None
            if gradient is None
            else (gradient + tf.ensure_shape(sum_, v.shape)) / self._calls
            for gradient, sum_, v in zip(
                map(gradients.dense, grads),
                accumulated,
                self._observer.variables,
                strict=True,
            )
        ]
        return before, applied


def _accumulators(optimizer, variables: list) -> list[tf.Variable]:
    """Returns the sums of earlier gradients, one for each variable; none
    where the optimizer does not accumulate."""
    if not optimizer.gradient_accumulation_steps or not optimizer.built:
        return []
    return [
        layers.tf_variable(
            optimizer._accumulated_gradients[
                optimizer._get_variable_index(variable)
            ]
        )
        for variable in variables
    ]


def _value(variable):
    return tf.convert_to_tensor(getattr(variable, "value", variable))


def _learning_rate(optimizer) -> tf.Tensor:
    """Returns the learning rate of the step to come, NaN if only known by
    calling the user's own function a second time."""
    from keras.optimizers.schedules import LearningRateSchedule

    rate = optimizer._learning_rate
    if isinstance(rate, LearningRateSchedule) or not callable(rate):
        rate = optimizer.learning_rate
        return tf.cast(_value(rate), tf.float32)
    return tf.constant(float("nan"))
