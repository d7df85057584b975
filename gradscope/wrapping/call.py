"""One call of an optimizer, in the same words for every kind of optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from gradscope.runtime import scopes, tf_variables


class Call:
    """One call of an optimizer: its gradients, its variables and its effect.

    A call is described before the optimizer's own code runs, while all
    variables still have the values from before the step. This class has the
    answers for an optimizer without any options; each kind of optimizer has a
    subclass.

    Attributes:
        grads: The gradients as they were passed: tensors, `IndexedSlices`, or
            None for a variable without a gradient.
        variables: The `tf.Variable`s to which the gradients belong.
        optimizer_variables: All variables that the optimizer trains, as its
            user sees them (Keras variables or `tf.Variable`s). The record has
            rows for these.
        step: int64 scalar, the optimizer's step before the update.
        accumulators: Sums of the gradients of earlier calls, one for each of
            `variables`; empty if the optimizer does not accumulate gradients.
        applies: Whether the call changes weights: True, or a bool scalar if
            the optimizer accumulates gradients.
    """

    def __init__(
        self,
        grads: Sequence[Any],
        variables: Sequence[Any],
        optimizer_variables: Sequence[Any],
        step: tf.Tensor,
    ):
        self.grads = list(grads)
        self.variables = [tf_variables.tf_variable(v) for v in variables]
        self.optimizer_variables = list(optimizer_variables)
        check_distinct(self.variables)
        self.step = tf.cast(step, tf.int64)
        self.accumulators: list[tf.Variable] = []
        self.applies = True

    def learning_rate(self) -> tf.Tensor:
        """The learning rate, float32 scalar; NaN if unknown, or if variables
        have several."""
        return _nan()

    def variable_rates(self) -> list[tf.Tensor]:
        """The learning rate of each of `variables`, float32 scalars.

        Called only if the seam has `part_names`.
        """
        return [self.learning_rate() for _ in self.variables]

    def loss_scale(self) -> tf.Tensor:
        """The loss scale, float32 scalar; NaN without one."""
        return _nan()

    def update_inputs(self) -> list[tf.Variable]:
        """Small variables of which the update of each weight makes use, as the
        learning rate; empty if unknown."""
        return []

    def loss(self) -> tf.Tensor | None:
        """The loss that the optimizer was given to minimize, a scalar that a
        step can read; None if unknown."""
        return None

    def takes_gradient(self, variable: tf.Variable) -> bool:
        """Return whether the value passed for a variable is a gradient."""
        return True

    def run(self, original: Callable[[], Any]) -> Any:
        """Call `original`, which runs the optimizer's own code."""
        return original()

    def was_applied(self) -> bool:
        """Return whether the step changed the weights; call this after `run`.

        Returns:
            True, or a bool scalar if a loss scale skips steps that overflow.
        """
        return True

    def applied_gradients(
        self, grads: list[Any], accumulated: list[Any]
    ) -> list[Any]:
        """Compute the gradients that the step applied, before clipping.

        Args:
            grads: `self.reduced_gradients()`, or copies of them.
            accumulated: The values of `accumulators` before the step.
        """
        return grads

    def reduced_gradients(self) -> list[Any]:
        """The gradients summed over all replicas; call this after `run`."""
        return self.grads

    def clipped_gradients(self, grads: list[Any]) -> list[Any] | None:
        """Clip gradients as the optimizer does.

        Args:
            grads: The result of `applied_gradients`.

        Returns:
            The clipped gradients, or None if clipping is off.
        """
        return None


def check_distinct(variables: Sequence[tf.Variable]) -> None:
    """Check that a call has no variable twice.

    Raises:
        NotImplementedError: If it has.
    """
    if len({v.ref() for v in variables}) < len(variables):
        raise NotImplementedError(
            "one call contains the same variable twice, for example because "
            "two models share a layer. Pass each variable once, with the sum "
            "of its gradients"
        )


def clips(optimizer: Any) -> bool:
    """Return whether a Keras optimizer clips gradients."""
    return any(
        limit is not None and limit > 0
        for limit in (
            optimizer.clipnorm,
            optimizer.global_clipnorm,
            optimizer.clipvalue,
        )
    )


def _nan() -> tf.Tensor:
    with tf.name_scope(scopes.SCOPE):
        return tf.constant(float("nan"))
