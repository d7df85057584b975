"""The seam of Keras 3 optimizers: `apply`, overridden on the instance.

The optimizer stays the object that it was: same class, same configuration,
same variables, same checkpoint. Its `apply` is called exactly where and as
often as before; what is added lies around it.
"""

from __future__ import annotations

import types
import warnings
from typing import ClassVar

import tensorflow as tf

from gradscope.errors import GradscopeWarning
from gradscope.measuring import gradients
from gradscope.wrapping import layers, tracing
from gradscope.wrapping.observer import Observer, Options, retire_with


def is_supported(optimizer) -> bool:
    """Returns whether this is a Keras 3 optimizer on TensorFlow."""
    import keras

    return isinstance(optimizer, keras.optimizers.Optimizer) and isinstance(
        optimizer, tf.Module | tf.__internal__.tracking.AutoTrackable
    )


def replicas(optimizer) -> int:
    """Returns on how many replicas at once a Keras optimizer works."""
    strategy = optimizer._distribution_strategy
    return 1 if strategy is None else strategy.num_replicas_in_sync


def innermost(optimizer):
    """Returns the optimizer to observe: the one inside of a loss scale.

    There the gradients arrive unscaled.
    """
    return getattr(optimizer, "inner_optimizer", optimizer)


class KerasSeam:
    """Stands in for the `apply` of one optimizer instance.

    Args:
        optimizer: The Keras optimizer; its instance attribute `apply` is set.
        options: The arguments of `wrap`.
    """

    #: AutoGraph leaves an object with this attribute as it is. Converting our
    #: code as well takes half as long again as tracing 50 layers.
    autograph_info__: ClassVar[dict] = {}

    def __init__(self, optimizer, options: Options):
        self.options = options
        #: While True, `apply` is the optimizer's own and nothing else, also
        #: in what is traced meanwhile: the callback's unobserved program.
        self.plain = False
        #: Whether a traced step holds random ops whose state belongs to the
        #: program (`tf.random.*`): two programs would draw two streams.
        self.has_program_state = False
        self.optimizer = optimizer
        self._apply = optimizer.apply
        self._observer: Observer | None = None
        self._failed = False
        self._first_step = self._host_step()
        # Not through setattr, where Keras and TensorFlow track attributes.
        vars(optimizer)["apply"] = self

    def remove(self) -> None:
        """Gives the optimizer its own `apply` back and closes the record."""
        vars(self.optimizer).pop("apply", None)
        self.plain = True
        self._warn_if_bypassed()
        if self._observer is not None:
            self._observer.close()

    def drain(self) -> None:
        """Writes what was measured so far."""
        self._warn_if_bypassed()
        if self._observer is not None:
            self._observer.drain.drain()

    def stepped(self, steps: int) -> None:
        """Tells that observed steps were made, so that no ring overflows."""
        if self._observer is not None:
            self._observer.drain.stepped(steps)

    def due(self, step: int) -> bool:
        """Returns whether the step is recorded; True while not known."""
        return self._observer is None or self._observer.gate.due_on_host(step)

    def __deepcopy__(self, memo):
        # A copy of the optimizer is not observed.
        copied = memo.get(id(self.optimizer))
        return types.MethodType(type(self.optimizer).apply, copied)

    def __call__(self, grads, trainable_variables=None):
        arguments = (
            (grads,)
            if trainable_variables is None
            else (grads, trainable_variables)
        )
        if self.plain or self._failed:
            return self.call_original(*arguments)
        try:
            step = _Step(self, self.optimizer, *arguments)
        except Exception as error:
            return self._give_up(error, arguments)
        if tf.executing_eagerly():
            return step.eagerly()
        return step.in_graph()

    def observer(self, variables: list) -> Observer:
        """Returns the observer, created for these variables if need be."""
        if self._observer is None:
            graph = tracing.current_graph()
            order = layers.forward_order(variables, graph)
            variables = [variables[index] for index in order]
            self._observer = Observer(
                [layers.tf_variable(v) for v in variables],
                layers.describe(variables),
                _description(self.optimizer),
                self.options,
            )
            retire_with(self.optimizer, self._observer)
        return self._observer

    def call_original(self, *arguments):
        """Calls the optimizer's own `apply` as it would be called here."""
        return tracing.converted(self._apply)(*arguments)

    def fail(self, error: Exception) -> None:
        """Stops observing, with one warning."""
        if not self._failed:
            self._failed = True
            warnings.warn(
                f"gradscope cannot observe {type(self.optimizer).__name__}: "
                f"{type(error).__name__}: {error}. Training goes on without "
                "it. Please report this.",
                GradscopeWarning,
                stacklevel=4,
            )

    def _host_step(self) -> int:
        return int(self.optimizer.iterations) if tf.executing_eagerly() else 0

    def _warn_if_bypassed(self) -> None:
        if self._observer is None and self._host_step() > self._first_step:
            warnings.warn(
                "gradscope has seen no step of this optimizer, though it made "
                "some: the training step was traced before `wrap`. Call "
                "`gradscope.wrap(optimizer, logdir, model=model)` before "
                "`fit`, and before the first call of your own `tf.function`.",
                GradscopeWarning,
                stacklevel=4,
            )

    def _give_up(self, error, arguments):
        # The optimizer has the first word: a call that it refuses too is the
        # user's error and not ours.
        result = self.call_original(*arguments)
        self.fail(error)
        return result


class _Step:
    """One call of `apply` with what is needed to observe it.

    Args:
        seam: The seam that was called.
        optimizer: Its optimizer.
        grads: As passed to `apply`.
        trainable_variables: As passed to `apply`.
    """

    def __init__(self, seam, optimizer, grads, trainable_variables=None):
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
        self._step = tf.cast(_value(optimizer.iterations), tf.int64)
        self._optimizer = optimizer
        if tf.executing_eagerly():
            return
        self._rate = _learning_rate(optimizer)
        self._graph = tracing.current_graph()
        seam.has_program_state |= tracing.has_program_state(self._graph)
        self._due = self._observer.gate.due("record", self._step)
        self._weights = self._before()

    def eagerly(self):
        """Runs the step; the host decides whether it is observed."""
        if not self._observer.gate.due_on_host(int(self._step)):
            return self._seam.call_original(*self._arguments)
        before, rate = self._observer.weights(), _learning_rate(self._optimizer)
        result = self._seam.call_original(*self._arguments)
        try:
            self._observer.record_eagerly(self._step, rate, self._grads, before)
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
            self._observer.record(self._step, self._rate, copies, self._weights)
            return tf.constant(True)

        try:
            tf.cond(self._due, observed, lambda: tf.constant(False))
        except Exception as error:
            self._seam.fail(error)
        return result

    def _before(self) -> list:
        """Returns the weights before the step, empty where it is not due.

        Merely to hold a weight costs something, as its update must then copy
        it: with 104 small variables 1.29 times the plain step, against 1.14
        for asking first. XLA, though, wants both branches to be of one shape.
        """
        if tracing.in_xla(self._graph):
            return self._observer.weights()
        weights = tf.cond(
            self._due,
            self._observer.weights,
            lambda: [tf.zeros([0], v.dtype) for v in self._observer.variables],
        )
        return tf.nest.flatten(weights)  # of one variable it is not a list


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


def _description(optimizer) -> dict:
    import keras

    try:
        config = keras.optimizers.serialize(optimizer)["config"]
    except Exception:  # a user's optimizer need not be serializable
        config = {}
    return {
        "class": type(optimizer).__name__,
        "config": {k: v for k, v in config.items() if _is_json(v)},
    }


def _is_json(value) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
