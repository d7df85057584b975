"""The seam of Keras 3 optimizers: `apply`, and what happens around it."""

from __future__ import annotations

import sys
from typing import ClassVar

import tensorflow as tf

from gradscope.runtime import own_variables, replicas, tf_variables
from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.optimizers import keras_call, loss_scale
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.seam import Seam

#: What a `LossScaleOptimizer` calls for a step that it skips.
_SKIP = "_stateful_handle_non_finite_grads"


def is_supported(optimizer) -> bool:
    """Returns whether this is a Keras 3 optimizer."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(
        optimizer, keras.optimizers.Optimizer
    )


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
    counts_skips: ClassVar[bool] = True

    def __init__(self, optimizer, options):
        inner = innermost(optimizer)
        outer = None if optimizer is inner else optimizer
        self._skip = self._build = None
        if outer is None:
            self._build = MethodReplacement(inner, "build", self._observe_build)
        else:
            self._skip = MethodReplacement(outer, _SKIP, self._observe_skip)
        super().__init__(inner, options, outer)

    def __call__(self, grads, trainable_variables=None):
        arguments = (grads,)
        if trainable_variables is not None:
            # Often a generator, which can be read only once, and two read it.
            arguments = grads, list(trainable_variables)
        if not len(grads):  # which is no step for the optimizer either
            return self._replacement.original(*arguments)
        return super().__call__(*arguments)

    def call(self, grads, trainable_variables=None) -> Call:
        self._check_replicas()
        return keras_call.KerasCall(
            self.optimizer, self.outer, grads, trainable_variables
        )

    def replica_call(self, grads, trainable_variables=None):
        if keras_call.reduction(self.optimizer) == "again":
            replicas.all_reduce(grads)
        optimizer = self.optimizer
        variables = trainable_variables
        if variables is None:
            variables = optimizer._trainable_variables
        return Call(
            grads,
            variables,
            optimizer._trainable_variables,
            tf_variables.value(optimizer.iterations),
        )

    def other_replacements(self):
        replacements = (self._skip, self._build)
        return [each for each in replacements if each is not None]

    def _check_replicas(self) -> None:
        """Raises what was not to be seen at `wrap`."""
        current = tf.distribute.get_strategy()
        created_in = strategy(self.optimizer)
        if current.num_replicas_in_sync > created_in.num_replicas_in_sync:
            raise NotImplementedError(
                f"it steps on {current.num_replicas_in_sync} replicas, and "
                "was made outside of their strategy, so that its own count is "
                "wrong. Create the optimizer inside of `strategy.scope()`"
            )

    def _observe_build(self, *arguments, **keywords):
        """Stands in for the optimizer's `build`.

        With the policy `mixed_float16`, `compile` puts a loss scale around
        the optimizer after it was wrapped, and that one calls this.
        """
        build, self._build = self._build, None
        build.remove()
        self.outer = loss_scale.outer_of(self.optimizer)
        if self.outer is not None:
            self._skip = MethodReplacement(
                self.outer, _SKIP, self._observe_skip
            )
            self._skip.install()
        return build.original(*arguments, **keywords)

    def _record_skip(self) -> None:
        optimizer, outer = self.optimizer, self.outer
        with own_variables.unchecked():
            observer = self.observer(
                optimizer._trainable_variables, ForwardPass()
            )
            observer.record_skip(
                tf.cast(tf_variables.value(optimizer.iterations), tf.int64),
                keras_call.learning_rate(optimizer),
                tf.cast(tf_variables.value(outer.dynamic_scale), tf.float32),
            )

    def _observe_skip(self):
        """Stands in for what the loss scale does where it skips a step."""
        if not (self.plain or self.failed):
            self._was_called = True
            try:
                self._record_skip()
            except Exception as error:
                self.fail(error)
        return self._skip.original()

    def current_step(self):
        if not tf.executing_eagerly():
            return None
        return int(tf_variables.tf_variable(self.optimizer.iterations).numpy())


#: What the other kinds of optimizer call theirs, too.
SEAM = KerasSeam
