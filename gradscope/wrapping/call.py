"""One call of an optimizer, told in the same words for every kind."""

from __future__ import annotations

import tensorflow as tf

from gradscope.runtime import scopes, tf_variables


class Call:
    """What one call of an optimizer was given, and what it will do with it.

    Made before the optimizer's own code runs, for what it says of the step's
    start. Here are the answers for an optimizer without any options; the
    kinds of optimizer have subclasses.

    Attributes:
        grads: The gradients as they were passed: tensors, `IndexedSlices`,
            None where a variable has none.
        variables: The `tf.Variable`s they belong to.
        known: All variables of the optimizer as its user knows them, Keras
            variables or `tf.Variable`s: what the record has rows for.
        step: int64 scalar, the optimizer's step before the update.
        accumulators: Sums of the gradients of earlier calls, one for each of
            `variables`; empty where the optimizer does not accumulate.
        applies: Whether the call changes weights: True, or a bool scalar
            where the optimizer accumulates.
    """

    def __init__(self, grads: list, variables: list, known: list, step):
        self.grads = list(grads)
        self.variables = [tf_variables.tf_variable(v) for v in variables]
        self.known = list(known)
        check_distinct(self.variables)
        self.step = tf.cast(step, tf.int64)
        self.accumulators: list[tf.Variable] = []
        self.applies = True

    def learning_rate(self) -> tf.Tensor:
        """Returns the learning rate, float32 scalar, NaN where not known."""
        return _nan()

    def loss_scale(self) -> tf.Tensor:
        """Returns the loss scale, float32 scalar, NaN where there is none."""
        return _nan()

    def takes_gradient(self, variable: tf.Variable) -> bool:
        """Returns whether what was passed for a variable is a gradient."""
        return True

    def run(self, original):
        """Calls `original`, the optimizer's own code."""
        return original()

    def made(self):
        """Returns whether the step was made after all; after `run`.

        True, or a bool scalar where a loss scale skips steps that overflow.
        """
        return True

    def applied(self, grads: list, accumulated: list) -> list:
        """Returns the gradients that the step applied, before clipping.

        Args:
            grads: `self.reduced()`, or copies of them.
            accumulated: The values of `accumulators` before the step.
        """
        return grads

    def reduced(self) -> list:
        """Returns the gradients of all replicas; after `run`."""
        return self.grads

    def clipped(self, applied: list) -> list | None:
        """Returns what clipping makes of `applied`, None where it is off."""
        return None


def check_distinct(variables: list) -> None:
    """Raises where a call has a variable more than once."""
    if len({v.ref() for v in variables}) < len(variables):
        raise NotImplementedError(
            "one call has a variable twice, as where two models share a "
            "layer. Pass each variable once, with the sum of its gradients"
        )


def clips(optimizer) -> bool:
    """Returns whether the clipping of a Keras optimizer is on."""
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
