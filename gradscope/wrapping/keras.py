"""The seam of Keras 3 optimizers: `apply`, and what happens around it."""

from __future__ import annotations

import sys
from typing import ClassVar

import tensorflow as tf

from gradscope import state
from gradscope.wrapping import keras_call, layers, loss_scale, replicas
from gradscope.wrapping.call import Call
from gradscope.wrapping.seam import Seam
from gradscope.wrapping.standin import StandIn

#: What a `LossScaleOptimizer` calls for a step that it skips.
_SKIP = "_stateful_handle_non_finite_grads"


def is_supported(optimizer) -> bool:
    """Returns whether this is a Keras 3 optimizer."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(
        optimizer, keras.optimizers.Optimizer
    )


def innermost(optimizer):
    """Returns the optimizer to observe: the one inside of a loss scale.

    There the gradients arrive unscaled.
    """
    scaled = loss_scale.is_loss_scale(optimizer)
    return optimizer.inner_optimizer if scaled else optimizer


def strategy(optimizer):
    """Returns the `tf.distribute.Strategy` of an optimizer, None without."""
    return getattr(innermost(optimizer), "_distribution_strategy", None)


def unsupported(optimizer) -> str | None:
    """Returns why an optimizer cannot be observed, None if it can."""
    backend = sys.modules["keras"].backend.backend()
    if backend != "tensorflow":
        # Their steps are pure functions: what is measured could only leave
        # them among the optimizer's variables, and so in every checkpoint.
        return (
            f"Keras runs on its {backend!r} backend, and gradscope observes "
            "Keras on TensorFlow. Set KERAS_BACKEND=tensorflow before Keras "
            "is imported, or do not wrap it"
        )
    optimizer = innermost(optimizer)
    parts = keras_call.parts_of(optimizer)
    if optimizer not in parts and any(
        part.gradient_accumulation_steps for part in parts
    ):
        return (
            "a MultiOptimizer whose parts accumulate gradients steps at "
            "several rates. Wrap each of its parts in its own directory"
        )
    several = strategy(optimizer).num_replicas_in_sync > 1
    if several and optimizer.gradient_accumulation_steps:
        return (
            "what several replicas accumulate is added up where it cannot be "
            "seen. Train without `gradient_accumulation_steps`, or on one "
            "replica"
        )
    return None


class KerasSeam(Seam):
    """Stands in for the `apply` of one Keras 3 optimizer instance.

    Args:
        optimizer: The Keras optimizer, or a `LossScaleOptimizer` around it.
        options: The arguments of `wrap`.
    """

    method: ClassVar[str] = "apply"

    def __init__(self, optimizer, options):
        inner = innermost(optimizer)
        self._outer = None
        self._skip: StandIn | None = None
        self._build: StandIn | None = None
        super().__init__(inner, options)
        if optimizer is not inner:
            self._scaled_by(optimizer)
        else:
            self._build = StandIn(optimizer, "build", self._built)
            self._build.install()

    def __call__(self, grads, trainable_variables=None):
        if not len(grads):  # which is no step for the optimizer either
            return self._stand_in.original(grads, trainable_variables)
        # Often a generator, which can be read only once, and two read it.
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
        return super().__call__(grads, trainable_variables)

    def call(self, grads, trainable_variables=None) -> Call:
        self._check_replicas()
        return keras_call.KerasCall(
            self.optimizer, self._outer, grads, trainable_variables
        )

    def follow(self, grads, trainable_variables=None) -> None:
        if keras_call.reduction(self.optimizer) == "again":
            replicas.all_reduced(grads)

    def description(self) -> dict:
        description = super().description()
        if self._outer is not None:
            description["loss_scale"] = type(self._outer).__name__
        return description

    def observer(self, known, *watched):
        observer = super().observer(known, *watched)
        if self._outer is not None:
            observer.count_skips()
        return observer

    def resume(self) -> None:
        super().resume()
        if self._skip is not None:
            self._skip.install()

    def suspend(self) -> None:
        super().suspend()
        for stand_in in (self._skip, self._build):
            if stand_in is not None:
                stand_in.remove()

    def _check_replicas(self) -> None:
        """Raises what was not to be seen at `wrap`."""
        present = tf.distribute.get_strategy()
        own = strategy(self.optimizer)
        if present.num_replicas_in_sync > own.num_replicas_in_sync:
            raise NotImplementedError(
                f"it steps on {present.num_replicas_in_sync} replicas, and "
                "was made outside of their strategy, so that its own count is "
                "wrong. Create the optimizer inside of `strategy.scope()`"
            )

    def _scaled_by(self, outer) -> None:
        """Takes notice of the loss scale around the optimizer."""
        self._outer = outer
        self._skip = StandIn(outer, _SKIP, self._skipped)
        self._skip.install()
        for observer in self._observers:
            observer.count_skips()

    def _built(self, *arguments, **keywords):
        """Stands in for the optimizer's `build`.

        With the policy `mixed_float16`, `compile` puts a loss scale around
        the optimizer after it was wrapped, and that one calls this.
        """
        self._build.remove()
        outer = loss_scale.outer_of(self.optimizer)
        if outer is not None:
            self._scaled_by(outer)
        return self._build.original(*arguments, **keywords)

    def _count_skip(self) -> None:
        optimizer, outer = self.optimizer, self._outer
        with state.unchecked():
            self.observer(optimizer._trainable_variables).skip(
                tf.cast(keras_call.value(optimizer.iterations), tf.int64),
                keras_call.learning_rate(optimizer),
                tf.cast(keras_call.value(outer.dynamic_scale), tf.float32),
            )

    def _skipped(self):
        """Stands in for what the loss scale does where it skips a step."""
        if not (self.plain or self._failed):
            self._called = True
            try:
                self._count_skip()
            except Exception as error:
                self.fail(error)
        return self._skip.original()

    def steps_made(self) -> int:
        if not tf.executing_eagerly():
            return 0
        return int(layers.tf_variable(self.optimizer.iterations).numpy())


#: What the other kinds of optimizer call theirs, too.
SEAM = KerasSeam
