"""The base of the seams of all tf_keras optimizers (Keras 2)."""

from __future__ import annotations

from typing import Any, ClassVar

import tensorflow as tf

from gradscope.runtime import replicas, tf_variables
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.call import Call
from gradscope.wrapping.optimizers.loss_scale import (
    TfKerasLossScale,
    innermost,
    outer_of,
)
from gradscope.wrapping.optimizers.seam import Seam
from gradscope.wrapping.optimizers.tf_keras_call import TfKerasCall
from gradscope.wrapping.steps.observer import Options

_GRAPH_MODE = (
    "it trains in the graph mode of TensorFlow 1, in a Session. Leave eager "
    "execution enabled, or use a tf.compat.v1.train optimizer in that mode"
)


def strategy(optimizer: Any) -> tf.distribute.Strategy | None:
    """The `tf.distribute.Strategy` of an optimizer; None without one."""
    return innermost(optimizer)._distribution_strategy


def unsupported(optimizer: Any) -> str | None:
    """Explain why an optimizer cannot be observed; None if it can be."""
    inner = innermost(optimizer)
    reason = _unsupported_mode(inner)
    if reason is None and inner is optimizer:
        reason = _hidden_loss_scale(inner)
    return reason


def _hidden_loss_scale(optimizer: Any) -> str | None:
    """Explain why an optimizer inside of a loss scale cannot be observed.

    Returns:
        A message; None without a loss scale.
    """
    if getattr(optimizer, "_is_wrapped_by_loss_scale_optimizer", False):
        return (
            "it is the inner optimizer of a LossScaleOptimizer. Pass the "
            "LossScaleOptimizer to `gradscope.wrap`"
        )
    return None


def _unsupported_mode(optimizer: Any) -> str | None:
    """Explain why no tf_keras optimizer can be observed here, or None."""
    if getattr(optimizer, "_mesh", None) is not None or getattr(
        optimizer, "_run_with_dtensor", False
    ):
        return (
            "it belongs to a DTensor mesh, which spreads each variable over "
            "devices. Train with a tf.distribute.MirroredStrategy to observe it"
        )
    if not tf.compat.v1.executing_eagerly_outside_functions():
        return _GRAPH_MODE
    return None


class TfKerasSeam(Seam):
    """Replacement of `apply_gradients` of one tf_keras optimizer.

    Args:
        optimizer: The optimizer.
        options: The arguments of `wrap`.
        outer: The `LossScaleOptimizer` around it, or None.
    """

    method: ClassVar[str] = "apply_gradients"
    counts_skips: ClassVar[bool] = True

    #: The class of a call, and the name of the method that computes gradients.
    kind: ClassVar[type[TfKerasCall]] = TfKerasCall
    compute: ClassVar[str] = "compute_gradients"

    def __init__(self, optimizer: Any, options: Options, outer: Any = None):
        super().__init__(optimizer, options, outer)
        self._loss_scale: TfKerasLossScale | None = None
        if outer is not None:
            self._loss_scale = TfKerasLossScale(self, outer)
        self._compute = MethodReplacement(
            optimizer, self.compute, self._observe_compute
        )

    def __call__(
        self, grads_and_vars: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        # Often a `zip`; gradscope and the optimizer both read it.
        pairs = list(grads_and_vars)
        if self._loss_scale is not None:
            return self._replacement.original(pairs, *arguments, **keywords)
        return super().__call__(pairs, *arguments, **keywords)

    def call_and_observe(
        self,
        replacement: MethodReplacement,
        pairs: list[Any],
        *arguments: Any,
        **keywords: Any,
    ) -> Any:
        """Call the replaced method, and observe the call."""
        if not pairs:  # the optimizer makes no step, either
            return replacement.original(pairs, *arguments, **keywords)
        return super().call_and_observe(
            replacement, pairs, *arguments, **keywords
        )

    def call(
        self, pairs: list[Any], *arguments: Any, **keywords: Any
    ) -> TfKerasCall:
        """Describe a call of `apply_gradients`."""
        self.check_supported()
        optimizer_variables = self.all_variables([v for _, v in pairs])
        aggregates = self.aggregates(*arguments, **keywords)
        call = self.kind(
            self.optimizer,
            pairs,
            optimizer_variables,
            aggregates,
            self._loss_scale,
        )
        if self._loss_scale is not None:
            self._loss_scale.call = call
        return call

    def replica_call(
        self, pairs: list[Any], *arguments: Any, **keywords: Any
    ) -> Call | None:
        """Describe a call on another replica than the first; None if it is too
        early."""
        grads, variables = zip(*pairs, strict=True)
        iterations = self.iterations()
        if iterations is None:
            # To create the count of another worker here, and not where its
            # optimizer does, would make all workers wait for each other.
            return None
        step = tf_variables.value(iterations)
        return Call(grads, variables, self.all_variables(list(variables)), step)

    def aggregates(
        self,
        *arguments: Any,
        skip_gradients_aggregation: bool = False,
        experimental_aggregate_gradients: bool = True,
        **_: Any,
    ) -> bool:
        """Return whether the optimizer sums the gradients of all replicas
        itself.

        Args:
            *arguments: Further arguments of the call.
            skip_gradients_aggregation: As passed to `apply_gradients`.
            experimental_aggregate_gradients: As passed to a loss scale's.
        """
        # No other positional argument may be a bool, here and for a loss scale.
        skips = skip_gradients_aggregation or True in arguments
        return experimental_aggregate_gradients and not skips

    def check_supported(self) -> None:
        """Check that this call can be observed; `wrap` could not know.

        Raises:
            NotImplementedError: If not.
        """
        current = tf.distribute.get_strategy()
        reason = replicas.unsupported(current) or _unsupported_mode(
            self.optimizer
        )
        if reason is None and self._loss_scale is None:
            reason = _hidden_loss_scale(self.optimizer)
        if reason is not None:
            raise NotImplementedError(reason)

    def all_variables(self, passed: list[Any]) -> list[Any]:
        """The variables of the optimizer, as far as they are known.

        Args:
            passed: The variables of a call.
        """
        return passed

    def current_step(self) -> int | None:
        """The optimizer's step, None in a trace or before its count exists."""
        iterations = self.iterations()
        if iterations is None or not tf.executing_eagerly():
            return None
        return int(tf_variables.tf_variable(iterations).numpy())

    def iterations(self) -> tf.Variable | None:
        """The optimizer's count of steps; None before it exists."""
        return self.optimizer.iterations

    def other_replacements(self) -> list[Any]:
        """The replacements around the computation of gradients and the loss
        scale."""
        scales = [] if self._loss_scale is None else [self._loss_scale]
        return [self._compute, *scales]

    def _observe_compute(self, *arguments: Any, **keywords: Any) -> Any:
        """Replacement of the method that computes gradients before a step.

        With the policy `mixed_float16`, `compile` puts a loss scale around an
        optimizer after `wrap`; it must be found before the first step.
        """
        if self.observes and self._loss_scale is None:
            try:
                self._find_loss_scale()
            except Exception as error:
                self.fail(error)
        return self._compute.original(*arguments, **keywords)

    def _find_loss_scale(self) -> None:
        self.outer = outer_of(self.optimizer)
        if self.outer is not None:
            self._loss_scale = TfKerasLossScale(self, self.outer)
            self._loss_scale.install()
