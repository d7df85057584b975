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
from gradscope.wrapping import layers, tracing
from gradscope.wrapping.observer import Observer, Options, retire_with
from gradscope.wrapping.step import Step


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

    #: AutoGraph leaves an object with this attribute as it is. When it also
    #: converted our code, tracing 104 variables took 26.6 s instead of 7.4.
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
        self.resume()

    @property
    def suspended(self) -> bool:
        """Whether the optimizer has its own `apply` for the time being."""
        return vars(self.optimizer).get("apply") is not self

    def resume(self) -> None:
        """Stands in for the optimizer's `apply`."""
        # Not through setattr, where Keras and TensorFlow track attributes.
        vars(self.optimizer)["apply"] = self

    def suspend(self) -> None:
        """Gives the optimizer its own `apply` back."""
        vars(self.optimizer).pop("apply", None)

    def remove(self) -> None:
        """Gives the optimizer its own `apply` back and closes the record."""
        if not self.suspended:
            self.suspend()
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
            step = Step(self, *arguments)
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
            retire_with(self, self._observer)
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
