"""One call of `apply_gradients` of a tf_keras optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from gradscope.runtime import replicas, tf_variables
from gradscope.wrapping.call import Call, clips

if TYPE_CHECKING:
    from gradscope.wrapping.optimizers.loss_scale import TfKerasLossScale


class TfKerasCall(Call):
    """One call of `apply_gradients`.

    Args:
        optimizer: The optimizer.
        pairs: The pairs of gradients and variables.
        optimizer_variables: All variables of the optimizer.
        aggregates: Whether the optimizer sums the gradients of all replicas
            itself.
        loss_scale: The `TfKerasLossScale` around it, or None.
    """

    #: The method that sums the gradients of all replicas.
    aggregate: ClassVar[str] = "aggregate_gradients"

    def __init__(
        self,
        optimizer: Any,
        pairs: list[tuple[Any, Any]],
        optimizer_variables: list[Any],
        aggregates: bool,
        loss_scale: TfKerasLossScale | None,
    ):
        grads, variables = zip(*pairs, strict=True)
        super().__init__(
            grads,
            variables,
            optimizer_variables,
            tf_variables.value(optimizer.iterations),
        )
        self._optimizer = optimizer
        self._aggregates = aggregates
        self._loss_scale = loss_scale
        self._scale = super().loss_scale()
        if loss_scale is not None:
            self._scale = loss_scale.current_scale()
        self._all_reduce_results: list[Any] = []

    def learning_rate(self) -> tf.Tensor:
        """The learning rate, see the function `learning_rate`."""
        return learning_rate(self._optimizer)

    def loss_scale(self) -> tf.Tensor:
        """The loss scale before the step, float32 scalar; NaN without one."""
        return self._scale

    def was_applied(self) -> bool | tf.Tensor:
        """Return whether the loss scale applied the step; call this after
        `run`."""
        return True if self._loss_scale is None else self._loss_scale.applies

    def run(self, original: Callable[[], Any]) -> Any:
        """Call `original`, and keep the results of its all-reduce."""
        if not self._aggregates:
            return original()
        # With one replica, too: a user's subclass may override the method.
        with replicas.capture_results(
            self._optimizer, self.aggregate, self._all_reduce_results
        ):
            return original()

    def reduced_gradients(self) -> list[Any]:
        """The gradients summed over all replicas; call this after `run`.

        Raises:
            RuntimeError: If the optimizer did not call its own method.
        """
        if not self._aggregates:
            return self.grads
        if not self._all_reduce_results:
            raise RuntimeError(f"it never calls its own `{self.aggregate}`")
        return self.in_order(self._all_reduce_results[0])

    def clipped_gradients(self, grads: list[Any]) -> list[Any] | None:
        """Clip gradients as the optimizer does; None if clipping is off."""
        if not clips(self._optimizer):
            return None
        indices = [i for i, g in enumerate(grads) if g is not None]
        clipped = self._optimizer._clip_gradients([grads[i] for i in indices])
        by_index = dict(zip(indices, clipped, strict=True))
        return [by_index.get(i) for i in range(len(grads))]

    def in_order(self, pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
        """Order the gradients of pairs by `variables`."""
        grads = {tf_variables.tf_variable(v).ref(): g for g, v in pairs}
        return [grads.get(v.ref()) for v in self.variables]


def learning_rate(optimizer: Any) -> tf.Tensor:
    """The learning rate of the next step, float32 scalar; NaN without one."""
    # Of a schedule, the public `learning_rate` is a variable with the rate of
    # the step before.
    rate = getattr(optimizer, "_learning_rate", None)
    if rate is None:
        return tf.constant(float("nan"))
    if callable(rate):  # a schedule
        rate = rate(optimizer.iterations)
    return tf.cast(tf_variables.value(rate), tf.float32)
