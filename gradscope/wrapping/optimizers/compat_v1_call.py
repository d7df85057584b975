"""One call of `apply_gradients` of a `tf.compat.v1.train` optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from gradscope.wrapping.call import Call, check_distinct
from gradscope.wrapping.sessions import session_loss
from gradscope.wrapping.sessions.session_step import as_tensors

_FixedLossScale = tf.compat.v1.train.experimental.FixedLossScale

#: Attributes with an optimizer's learning rate: as passed by the user, and as
#: the tensor that the last `apply_gradients` used.
_RATES = ("_lr", "_learning_rate")
RATE_TENSORS = ("_lr_t", "_learning_rate_tensor")


class V1Call(Call):
    """One call of a v1 optimizer, in eager mode or a `tf.function`.

    Args:
        optimizer: The optimizer.
        outer: The optimizer around it, or None.
        losses: The losses whose gradients were computed since the last call.
        grads_and_vars: The argument of `apply_gradients`, a list.
        step: The step before the update, int64.
    """

    def __init__(
        self,
        optimizer: Any,
        outer: Any,
        losses: list[Any],
        grads_and_vars: Iterable[tuple[Any, Any]],
        step: Any,
    ):
        grads, variables = _unzip(grads_and_vars)
        # A cast to the same dtype would return the variable itself.
        step = tf.identity(step)
        super().__init__(as_tensors(grads), variables, variables, step)
        self._optimizer = optimizer
        self._outer = outer
        self._losses = losses

    def learning_rate(self) -> tf.Tensor:
        """The learning rate as passed by the user, float32 scalar; NaN if
        unknown."""
        return _as_rate(first_attribute(self._optimizer, _RATES))

    def loss_scale(self) -> tf.Tensor:
        """The fixed loss scale, float32 scalar; NaN without one."""
        return _loss_scale(self._outer)

    def loss(self) -> tf.Tensor | None:
        """The loss passed to `compute_gradients`; None if several were."""
        if len(self._losses) != 1:  # each, as of towers, is a part of the loss
            return None
        return session_loss.readable_loss(self._losses[0], self.grads)


class SessionCall(V1Call):
    """One call of a v1 optimizer in a graph that a session runs.

    It adds ops to the graph only when a method is called.
    """

    def __init__(
        self,
        optimizer: Any,
        outer: Any,
        losses: list[Any],
        grads_and_vars: Iterable[tuple[Any, Any]],
        global_step: Any,
    ):
        self.grads, self.variables = _unzip(grads_and_vars)
        self.optimizer_variables = self.variables
        check_distinct(self.variables)
        self._optimizer = optimizer
        self._outer = outer
        self._losses = losses
        self._global_step = global_step

    def step_before(self) -> tf.Tensor | None:
        """The global step, int64 scalar; None without one."""
        global_step = self._global_step
        if global_step is None:
            return None
        if hasattr(global_step, "read_value"):
            global_step = global_step.read_value()
        # A reference variable is incremented in place, so it is copied.
        return tf.raw_ops.DeepCopy(x=tf.cast(global_step, tf.int64))

    def learning_rate(self) -> tf.Tensor:
        """The tensor that the updates used; call this after they were made."""
        used = first_attribute(self._optimizer, RATE_TENSORS)
        if used is not None and tf.is_symbolic_tensor(used):
            return tf.cast(used, tf.float32)
        return super().learning_rate()


def _unzip(
    grads_and_vars: Iterable[tuple[Any, Any]],
) -> tuple[list[Any], list[Any]]:
    pairs = [(gradient, variable) for gradient, variable in grads_and_vars]
    for _, variable in pairs:
        if not isinstance(variable, tf.Variable):
            raise TypeError(f"{variable!r} is not a tf.Variable")
    return [g for g, _ in pairs], [v for _, v in pairs]


def first_attribute(optimizer: Any, names: tuple[str, ...]) -> Any:
    """The first attribute that an optimizer has; None without any."""
    values = (getattr(optimizer, name, None) for name in names)
    return next((value for value in values if value is not None), None)


def _as_rate(rate: Any) -> tf.Tensor:
    """Convert a learning rate to a tensor.

    NaN for a user's own function, which must not be called a second time.
    """
    if rate is None or (callable(rate) and not isinstance(rate, tf.Variable)):
        return tf.constant(float("nan"))
    return tf.cast(rate, tf.float32)


def _loss_scale(outer: Any) -> tf.Tensor:
    """A loss scale that never changes; NaN for others.

    Others may be adapted before or after a read.
    """
    scale = getattr(outer, "_loss_scale", None)
    if isinstance(scale, _FixedLossScale):
        return tf.cast(scale(), tf.float32)
    return tf.constant(float("nan"))
