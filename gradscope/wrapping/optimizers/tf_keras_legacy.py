"""The seam of tf_keras's legacy optimizers (`OptimizerV2`)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from gradscope.measuring import gradients
from gradscope.runtime import replicas, tracing
from gradscope.wrapping.call import clips
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.tf_keras_call import TfKerasCall
from gradscope.wrapping.optimizers.tf_keras_seam import (
    TfKerasSeam,
    strategy,
    unsupported,
)

__all__ = [
    "NAME",
    "SEAM",
    "innermost",
    "is_supported",
    "strategy",
    "unsupported",
]

NAME = "tf_keras.optimizers.legacy"

_TRANSFORM = "_transform_gradients"


def is_supported(optimizer: Any) -> bool:
    """Return whether an optimizer is one of tf_keras's legacy ones."""
    module = sys.modules.get("tf_keras")
    return module is not None and isinstance(
        optimizer, module.optimizers.legacy.Optimizer
    )


class LegacyCall(TfKerasCall):
    """One call of a legacy optimizer's `apply_gradients`.

    Clipping and the user's own transformations of gradients are one method.
    """

    aggregate: ClassVar[str] = "_aggregate_gradients"

    def __init__(self, optimizer: Any, *arguments: Any):
        super().__init__(optimizer, *arguments)
        self._graph = tracing.current_graph()
        self._transformed: list[Any] = []
        base = sys.modules["tf_keras"].optimizers.legacy.Optimizer
        method = getattr(type(optimizer), _TRANSFORM)
        #: Whether a user's function transforms the gradients. A second call of
        #: it might have side effects, so its results are kept instead.
        self._custom = bool(optimizer.gradient_transformers) or (
            method is not getattr(base, _TRANSFORM)
        )
        # A loss scale calls it inside of a conditional, where its results
        # cannot be read from outside.
        self._is_out_of_reach = self._custom and self._loss_scale is not None

    def learning_rate(self) -> tf.Tensor:
        """The learning rate, see the function `learning_rate`."""
        return learning_rate(self._optimizer)

    def run(self, original: Callable[[], Any]) -> Any:
        """Call `original`, and keep the gradients that a user's function
        returns."""
        with contextlib.ExitStack() as stack:
            if self._custom:
                noted = replicas.capture_results(
                    self._optimizer, _TRANSFORM, self._transformed
                )
                stack.enter_context(noted)
            return super().run(original)

    def clipped_gradients(self, grads: list[Any]) -> list[Any] | None:
        """Clip or transform gradients as the optimizer does.

        Returns:
            The clipped gradients; None if clipping is off or cannot be
                observed.
        """
        if self._is_out_of_reach:
            return None
        if self._custom:
            clipped = self.in_order(self._transformed[0])
            if self._graph is None:
                return clipped
            return [gradients.regenerate(g, self._graph) for g in clipped]
        if not clips(self._optimizer):
            return None
        pairs = [
            (gradient, variable)
            for gradient, variable in zip(grads, self.variables, strict=True)
            if gradient is not None
        ]
        return self.in_order(self._optimizer._transform_gradients(pairs))


class LegacySeam(TfKerasSeam):
    """Replacement of `apply_gradients` of one legacy optimizer."""

    kind: ClassVar[type[TfKerasCall]] = LegacyCall
    compute: ClassVar[str] = "_compute_gradients"

    def aggregates(
        self,
        *arguments: Any,
        experimental_aggregate_gradients: bool = True,
        **_: Any,
    ) -> bool:
        """Return whether the optimizer sums the gradients of all replicas
        itself."""
        # No other positional argument may be a bool.
        return experimental_aggregate_gradients and False not in arguments

    def check_supported(self) -> None:
        """Check that this call can be observed; create the hyperparameters."""
        super().check_supported()
        optimizer = self.optimizer
        if self.iterations() is not None and optimizer._hypers_created:
            return
        # Otherwise the first call would create its count and hyperparameters
        # later than the reads, and its trace would contain constants.
        with _future_name_scope(optimizer._name), tf.init_scope():
            _ = optimizer.iterations
            optimizer._create_hypers()

    def config(self) -> dict[str, Any]:
        """The optimizer's configuration; empty if a user's function is part of
        it."""
        # `get_config` would call a user's functions, as for the learning rate.
        if any(map(_is_function, self.optimizer._hyper.values())):
            return {}
        return super().config()

    def iterations(self) -> tf.Variable | None:
        """The optimizer's count of steps; None before it exists."""
        # The property `iterations` would create one.
        return self.optimizer._iterations


def learning_rate(optimizer: Any) -> tf.Tensor:
    """The learning rate of the next step with its decay, float32 scalar.

    NaN for a user's own function, which must not be called a second time.
    """
    rate = optimizer._hyper.get("learning_rate")
    if rate is None or _is_function(rate):
        return tf.constant(float("nan"))
    return tf.identity(optimizer._decayed_lr(tf.float32))


def _is_function(value: Any) -> bool:
    """Return whether a hyperparameter is a user's own function."""
    schedules = sys.modules["tf_keras"].optimizers.schedules
    return callable(value) and not isinstance(
        value, schedules.LearningRateSchedule
    )


def _future_name_scope(name: str) -> contextlib.AbstractContextManager[str]:
    """The name scope that `with tf.name_scope(name)` will open later.

    Its name is not used up: otherwise the later scope would be `name_1`.
    """
    graph = tracing.current_graph()
    if graph is not None:
        name = graph.unique_name(name, mark_as_used=False) + "/"
    scope: contextlib.AbstractContextManager[str] = tf.name_scope(name)
    return scope


SEAM = LegacySeam
