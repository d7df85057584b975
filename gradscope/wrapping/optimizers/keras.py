"""The seam of Keras 3 optimizers, at the method `apply`."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import tensorflow as tf

from gradscope.runtime import own_variables, replicas, tf_variables
from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.optimizers import (
    keras_call,
    keras_rates,
    loss_scale,
)
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.seam import Seam

#: Method that a `LossScaleOptimizer` calls for a step that it skips.
_SKIP = "_stateful_handle_non_finite_grads"


def is_supported(optimizer: Any) -> bool:
    """Return whether an optimizer is one of Keras 3."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(
        optimizer, keras.optimizers.Optimizer
    )


def strategy(optimizer: Any) -> tf.distribute.Strategy | None:
    """The `tf.distribute.Strategy` of an optimizer; None without one."""
    return getattr(innermost(optimizer), "_distribution_strategy", None)


def unsupported(optimizer: Any) -> str | None:
    """Explain why an optimizer cannot be observed; None if it can be."""
    backend = sys.modules["keras"].backend.backend()
    if backend != "tensorflow":
        # Steps on other backends are pure functions. Measurements could leave
        # them only as variables of the optimizer, and so in each checkpoint.
        return (
            f"Keras runs on its {backend!r} backend, but gradscope observes "
            "only Keras on TensorFlow. Set KERAS_BACKEND=tensorflow before "
            "Keras is imported, or do not wrap the optimizer"
        )
    optimizer = innermost(optimizer)
    parts = keras_rates.parts_of(optimizer)
    if optimizer not in parts and any(
        part.gradient_accumulation_steps for part in parts
    ):
        return (
            "the inner optimizers of this MultiOptimizer accumulate gradients "
            "and so step at different rates. Wrap each inner optimizer with "
            "its own directory"
        )
    several = strategy(optimizer).num_replicas_in_sync > 1
    if several and optimizer.gradient_accumulation_steps:
        return (
            "gradients that several replicas accumulate are summed where "
            "gradscope cannot observe the sum. Train without "
            "`gradient_accumulation_steps`, or on one replica"
        )
    return None


class KerasSeam(Seam):
    """Replacement of the `apply` of one Keras 3 optimizer.

    Args:
        optimizer: The Keras optimizer, or a `LossScaleOptimizer` around it.
        options: The arguments of `wrap`.
    """

    method: ClassVar[str] = "apply"
    counts_skips: ClassVar[bool] = True

    def __init__(self, optimizer, options):
        inner = innermost(optimizer)
        outer = None if optimizer is inner else optimizer
        super().__init__(inner, options, outer)
        self._skip = self._build = None
        if outer is None:
            self._build = MethodReplacement(inner, "build", self._observe_build)
        else:
            self._skip = MethodReplacement(outer, _SKIP, self._observe_skip)

    def __call__(self, grads, trainable_variables=None):
        arguments = (grads,)
        if trainable_variables is not None:
            # Often a generator; gradscope and the optimizer both read it.
            arguments = grads, list(trainable_variables)
        if not len(grads):  # the optimizer makes no step, either
            return self._replacement.original(*arguments)
        return super().__call__(*arguments)

    def call(
        self, grads: list, trainable_variables: list | None = None
    ) -> Call:
        """Describe a call of `apply`."""
        self._check_replicas()
        if trainable_variables is not None:
            keras_rates.assign_parts(self.optimizer, trainable_variables)
        return keras_call.KerasCall(
            self.optimizer, self.outer, grads, trainable_variables
        )

    def replica_call(
        self, grads: list, trainable_variables: list | None = None
    ) -> Call:
        """Describe a call on another replica than the first."""
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

    def part_names(self, variables: list) -> list[str]:
        """Name the part that updates each variable; none with one rate."""
        if not keras_rates.has_several_rates(self.optimizer):
            return []
        return keras_rates.part_names(self.optimizer, variables)

    def other_replacements(self) -> list:
        """The replacements of `build` and of the loss scale's skips."""
        replacements = (self._skip, self._build)
        return [each for each in replacements if each is not None]

    def _check_replicas(self) -> None:
        """Check that the optimizer belongs to the present strategy.

        Raises:
            NotImplementedError: If it was created outside of the strategy.
        """
        current = tf.distribute.get_strategy()
        created_in = strategy(self.optimizer)
        if current.num_replicas_in_sync > created_in.num_replicas_in_sync:
            raise NotImplementedError(
                f"it makes steps on {current.num_replicas_in_sync} replicas "
                "but was created outside their strategy, so its own count of "
                "steps is wrong. Create the optimizer inside `strategy.scope()`"
            )

    def _observe_build(self, *arguments, **keywords):
        """Replacement of the optimizer's `build`.

        With the policy `mixed_float16`, `compile` puts a loss scale around the
        optimizer after `wrap`, and the loss scale calls `build`.
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
            observer = self.observers.get(
                optimizer._trainable_variables, ForwardPass()
            )
            observer.record_skip(
                tf.cast(tf_variables.value(optimizer.iterations), tf.int64),
                keras_rates.common_rate(optimizer),
                tf.cast(tf_variables.value(outer.dynamic_scale), tf.float32),
            )

    def _observe_skip(self):
        """Replacement of the loss scale's method for skipped steps."""
        if not (self.plain or self.failed):
            self._was_called = True
            try:
                self._record_skip()
            except Exception as error:
                self.fail(error)
        return self._skip.original()

    def current_step(self) -> int | None:
        """The optimizer's step, None in a trace."""
        if not tf.executing_eagerly():
            return None
        return int(tf_variables.tf_variable(self.optimizer.iterations).numpy())


#: Each module of a kind of optimizer has its seam under this name.
SEAM = KerasSeam
