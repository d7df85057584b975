"""The `LossScaleOptimizer` around an optimizer; what that of tf_keras does."""

from __future__ import annotations

import sys

import tensorflow as tf

from gradscope.runtime import own_variables, replicas, tf_variables
from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.forward.forward_pass import ForwardPass

#: How far up its caller a `LossScaleOptimizer` is looked for.
_FRAMES = 8


def is_loss_scale(optimizer) -> bool:
    """Returns whether this is a `LossScaleOptimizer`, of whichever Keras."""
    kinds = (kind.__name__ for kind in type(optimizer).__mro__)
    return any("LossScaleOptimizer" in kind for kind in kinds)


def innermost(optimizer):
    """Returns the optimizer to observe: the one inside of a loss scale.

    There the gradients arrive unscaled.
    """
    scaled = is_loss_scale(optimizer)
    return optimizer.inner_optimizer if scaled else optimizer


def outer_of(optimizer):
    """Returns the `LossScaleOptimizer` that is just calling an optimizer,
    None without. Nothing else leads from the inner one to the outer."""
    frame = sys._getframe(1)
    for _ in range(_FRAMES):
        owner = frame.f_locals.get("self")
        if is_loss_scale(owner) and owner.inner_optimizer is optimizer:
            return owner
        frame = frame.f_back
        if frame is None:
            break
    return None


class LossScale:
    """What a `LossScaleOptimizer` does around an observed optimizer.

    It calls the optimizer inside of a conditional. XLA makes a small one a
    mere selection, but not if it holds more than the optimizer: then the last
    bits of a momentum change. So steps are observed around the outer one.

    Args:
        seam: The seam of the inner optimizer.
        outer: The `LossScaleOptimizer`.
    """

    def __init__(self, seam, outer):
        #: Whether the last step was applied: True, or a bool scalar.
        self.applies = True
        #: The call of the outer optimizer that is being made.
        self.call = None
        self._seam = seam
        self._outer = outer
        self._apply = MethodReplacement(outer, seam.method, self._observe_apply)
        self._replacements = [self._apply]
        if outer.dynamic:
            scale = outer._loss_scale
            self._update = MethodReplacement(
                scale, "update", self._observe_update
            )
            self._replacements.append(self._update)

    @property
    def copies(self) -> int:
        """How many copies of the outer optimizer were made."""
        return self._apply.copies

    def install(self) -> None:
        """Stands in for the methods that tell of a step."""
        for replacement in self._replacements:
            replacement.install()

    def remove(self) -> None:
        """Gives the methods their places back."""
        for replacement in self._replacements:
            replacement.remove()

    def current_scale(self) -> tf.Tensor:
        """Returns the scale of the step to come, float32 scalar."""
        scale = self._outer._loss_scale
        if self._outer.dynamic:
            scale = tf_variables.tf_variable(scale.current_loss_scale)
        return tf.identity(tf.cast(scale, tf.float32))

    def _observe_apply(self, grads_and_vars, *arguments, **keywords):
        """Stands in for `apply_gradients` of the `LossScaleOptimizer`."""
        pairs = list(grads_and_vars)
        result = self._seam.call_and_observe(
            self._apply, pairs, *arguments, **keywords
        )
        if replicas.is_first():
            self.call, self.applies = None, True  # they hold the gradients
        return result

    def _observe_update(self, grads):
        """Stands in for what changes the scale and decides about a step."""
        result = self._update.original(grads)
        if self._seam.observes and replicas.is_first():
            try:
                self.applies = result[1]
                self._count_skip()
            except Exception as error:
                self._seam.fail(error)
        return result

    def _count_skip(self) -> None:
        """Adds the ops that count and append a step that is skipped."""
        call = self.call
        observer = self._seam.observer(call.optimizer_variables, ForwardPass())
        rate, scale = call.learning_rate(), call.loss_scale()

        def record_skip():
            observer.record_skip(call.step, rate, scale)
            return tf.constant(True)

        with own_variables.unchecked():
            tf.cond(self.applies, lambda: tf.constant(False), record_skip)
