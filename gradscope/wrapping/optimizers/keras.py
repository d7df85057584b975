"""The seam of Keras 3 optimizers, at the method `apply`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
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
from gradscope.wrapping.optimizers.loss_scale import (
    KerasLossScale,
    innermost,
)
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
            f"Keras runs on its {backend!r} backend, and gradscope observes "
            "Keras on TensorFlow. Set KERAS_BACKEND=tensorflow before Keras "
            "is imported, or do not wrap it"
        )
    optimizer = innermost(optimizer)
    parts = keras_rates.parts_of(optimizer)
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
        self._build = self._skip = self._loss_scale = None
        if outer is None:
            self._build = MethodReplacement(inner, "build", self._observe_build)
        else:
            self._observe_scale(outer)

    def __call__(self, *arguments, **keywords):
        if self._running_scale is not None:
            return self._replacement.original(*arguments, **keywords)
        return super().__call__(*arguments, **keywords)

    def call_and_observe(
        self,
        replacement: MethodReplacement,
        grads: list,
        trainable_variables: Iterable | None = None,
    ) -> Any:
        """Call the replaced method, and observe the call."""
        arguments = (grads,)
        if trainable_variables is not None:
            # Often a generator; gradscope and the optimizer both read it.
            arguments = grads, list(trainable_variables)
        if not len(grads):  # the optimizer makes no step, either
            return replacement.original(*arguments)
        return super().call_and_observe(replacement, *arguments)

    def call(
        self, grads: list, trainable_variables: list | None = None
    ) -> Call:
        """Describe a call of `apply`."""
        self._check_replicas()
        if trainable_variables is not None:
            keras_rates.assign_parts(self.optimizer, trainable_variables)
        call = keras_call.KerasCall(
            self.optimizer,
            self.outer,
            grads,
            trainable_variables,
            self._running_scale,
        )
        if self._running_scale is not None:
            self._running_scale.call = call
        return call

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
        """The replacements of `build` and of the loss scale's methods."""
        replacements = (self._skip, self._build, self._loss_scale)
        return [each for each in replacements if each is not None]

    @property
    def _running_scale(self) -> KerasLossScale | None:
        """The loss scale that is making a step; None without one."""
        scale = self._loss_scale
        return scale if scale is not None and scale.is_running else None

    def _observe_scale(self, outer) -> None:
        """Observe the steps of a loss scale.

        Several replicas add up their gradients in the branch of its conditional
        where it calls the optimizer. There they can be read, and XLA cannot
        compile that conditional.
        """
        self.outer = outer
        if strategy(self.optimizer).num_replicas_in_sync == 1:
            self._loss_scale = KerasLossScale(self, outer)
        else:
            self._skip = MethodReplacement(outer, _SKIP, self._observe_skip)

    def _check_replicas(self) -> None:
        """Check that the optimizer belongs to the present strategy.

        Raises:
            NotImplementedError: If it was created outside of the strategy.
        """
        current = tf.distribute.get_strategy()
        created_in = strategy(self.optimizer)
        if current.num_replicas_in_sync > created_in.num_replicas_in_sync:
            raise NotImplementedError(
                f"it steps on {current.num_replicas_in_sync} replicas, and "
                "was made outside of their strategy, so that its own count is "
                "wrong. Create the optimizer inside of `strategy.scope()`"
            )

    def _observe_build(self, *arguments, **keywords):
        """Replacement of the optimizer's `build`.

        With the policy `mixed_float16`, `compile` puts a loss scale around the
        optimizer after `wrap`, and the loss scale calls `build`.
        """
        build, self._build = self._build, None
        build.remove()
        outer = loss_scale.outer_of(self.optimizer)
        if outer is not None:
            self._observe_scale(outer)
            for replacement in self.other_replacements():
                replacement.install()
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
        if self.observes:
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
