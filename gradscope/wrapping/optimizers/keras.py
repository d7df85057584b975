"""The seam of Keras 3 optimizers, at the method `apply`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from gradscope.runtime import (
    own_variables,
    replicas,
    tf_variables,
    versions,
)
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.call import Call
from gradscope.wrapping.optimizers import (
    keras_call,
    keras_rates,
    keras_versions,
    loss_scale,
)
from gradscope.wrapping.optimizers.loss_scale import (
    KerasLossScale,
    innermost,
)
from gradscope.wrapping.optimizers.seam import Seam
from gradscope.wrapping.steps.observer import Options

__all__ = [
    "NAME",
    "SEAM",
    "innermost",
    "is_supported",
    "strategy",
    "unsupported",
]

NAME = "Keras 3 with the TensorFlow backend"

#: Method that a `LossScaleOptimizer` calls for a step that it skips.
_SKIP = "_stateful_handle_non_finite_grads"


def is_supported(optimizer: Any) -> bool:
    """Return whether an optimizer is one of Keras 3."""
    # Whoever has an optimizer of Keras has imported Keras. Importing it here
    # would load it into programs that do not use it.
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(
        optimizer, keras.optimizers.Optimizer
    )


def strategy(optimizer: Any) -> tf.distribute.Strategy | None:
    """The `tf.distribute.Strategy` of an optimizer; None without one."""
    # Keras has no public name for it.
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
    if (reason := versions.too_old("keras")) is not None:
        return reason
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
    if _replica_count(optimizer) == 1:
        return None
    if (reason := keras_versions.replicas_apart()) is not None:
        return reason
    if optimizer.gradient_accumulation_steps:
        return (
            "gradients that several replicas accumulate are summed where "
            "gradscope cannot observe the sum. Train without "
            "`gradient_accumulation_steps`, or on one replica"
        )
    return None


def _replica_count(optimizer: Any) -> int:
    """Number of replicas of the strategy in which an optimizer was made."""
    made_in = strategy(optimizer)
    return 1 if made_in is None else int(made_in.num_replicas_in_sync)


class KerasSeam(Seam):
    """Replacement of the `apply` of one Keras 3 optimizer.

    Args:
        optimizer: The Keras optimizer.
        options: The arguments of `wrap`.
        outer: The `LossScaleOptimizer` around it, or None.
    """

    method: ClassVar[str] = "apply"
    counts_skips: ClassVar[bool] = True

    def __init__(self, optimizer: Any, options: Options, outer: Any = None):
        super().__init__(optimizer, options, outer)
        # Each holds at most one: that of `build`, as long as a loss scale may
        # still come, and that of a loss scale's method for skipped steps.
        self._build: list[MethodReplacement] = []
        self._skip: list[MethodReplacement] = []
        self._loss_scale: KerasLossScale | None = None
        if outer is None:
            build = MethodReplacement(optimizer, "build", self._observe_build)
            self._build.append(build)
        else:
            self._observe_scale(outer)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        if self._running_scale is not None:  # which is observed itself
            return self._replacement.original(*arguments, **keywords)
        return self.call_and_observe(self._replacement, *arguments, **keywords)

    def call_and_observe(
        self,
        replacement: MethodReplacement,
        grads: Any,
        trainable_variables: Iterable[Any] | None = None,
    ) -> Any:
        """Call the replaced method, and observe the call."""
        arguments: tuple[Any, ...] = (grads,)
        if trainable_variables is not None:
            # Often a generator; gradscope and the optimizer both read it.
            arguments = grads, list(trainable_variables)
        if not len(grads):  # the optimizer makes no step, either
            return replacement.original(*arguments)
        return super().call_and_observe(replacement, *arguments)

    def call(
        self, grads: list[Any], trainable_variables: list[Any] | None = None
    ) -> Call:
        """Describe a call of `apply`."""
        self._check_replicas()
        if keras_versions.clips_first(self.optimizer):
            self.warn_once(keras_versions.clips_first_warning())
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
        self, grads: list[Any], trainable_variables: list[Any] | None = None
    ) -> Call:
        """Describe a call on another replica than the first."""
        if keras_call.reduction(self.optimizer) == "again":
            # The first replica reads the sum. All replicas have to take part,
            # or it would wait for them for ever.
            replicas.all_reduce(grads)
        optimizer = self.optimizer
        variables = trainable_variables
        if variables is None:
            # The model's variables, which have no public name; `variables` are
            # the optimizer's own.
            variables = optimizer._trainable_variables
        return Call(
            grads,
            variables,
            optimizer._trainable_variables,
            keras_versions.step(optimizer),
        )

    def part_names(self, variables: Sequence[Any]) -> list[str]:
        """Name the part that updates each variable; none with one rate."""
        if not keras_rates.has_several_rates(self.optimizer):
            return []
        return keras_rates.part_names(self.optimizer, variables)

    def other_replacements(self) -> list[Any]:
        """The replacements of `build` and of the loss scale's methods."""
        scales = [] if self._loss_scale is None else [self._loss_scale]
        return [*self._skip, *self._build, *scales]

    @property
    def _running_scale(self) -> KerasLossScale | None:
        """The loss scale that is making a step; None without one."""
        scale = self._loss_scale
        return scale if scale is not None and scale.is_running else None

    def _observe_scale(self, outer: Any) -> None:
        """Observe the steps of a loss scale.

        With one replica, steps are observed around the loss scale. Several
        replicas sum their gradients in the branch of its conditional that calls
        the optimizer. Only there can the sums be read; XLA cannot compile that
        conditional.
        """
        if _replica_count(self.optimizer) == 1:
            self._loss_scale = KerasLossScale(self, outer)
        else:
            skip = MethodReplacement(outer, _SKIP, self._observe_skip)
            self._skip.append(skip)

    def _check_replicas(self) -> None:
        """Check that the optimizer belongs to the present strategy.

        Raises:
            NotImplementedError: If it was created outside of the strategy.
        """
        current = tf.distribute.get_strategy()
        if current.num_replicas_in_sync > _replica_count(self.optimizer):
            raise NotImplementedError(
                f"it makes steps on {current.num_replicas_in_sync} replicas "
                "but was created outside their strategy, so its own count of "
                "steps is wrong. Create the optimizer inside `strategy.scope()`"
            )

    def _observe_build(self, *arguments: Any, **keywords: Any) -> Any:
        """Replacement of the optimizer's `build`.

        With the policy `mixed_float16`, `compile` puts a loss scale around the
        optimizer after `wrap`, and the loss scale calls `build`.
        """
        build = self._build.pop()
        build.remove()
        outer = loss_scale.outer_of(self.optimizer)
        if outer is not None:
            self.outer = outer
            self._observe_scale(outer)
            for replacement in self.other_replacements():
                replacement.install()
        return build.original(*arguments, **keywords)

    def _record_skip(self) -> None:
        optimizer, outer = self.optimizer, self.outer
        with own_variables.unchecked():
            observer = self.observer_of(optimizer._trainable_variables)
            observer.record_skip(
                tf.cast(keras_versions.step(optimizer), tf.int64),
                keras_rates.common_rate(optimizer),
                tf.cast(tf_variables.value(outer.dynamic_scale), tf.float32),
            )

    def _observe_skip(self) -> Any:
        """Replacement of the loss scale's method for skipped steps."""
        if self.observes:
            self._was_called = True
            try:
                self._record_skip()
            except Exception as error:
                self.fail(error)
        return self._skip[0].original()

    def current_step(self) -> int | None:
        """The optimizer's step, None in a trace."""
        if not tf.executing_eagerly():
            return None
        return int(keras_versions.step(self.optimizer))


SEAM = KerasSeam
