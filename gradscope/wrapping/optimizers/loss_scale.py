"""Find the loss scale around an optimizer, and count the steps it skips."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from gradscope.runtime import own_variables, replicas, tf_variables
from gradscope.runtime.stand_in import MethodReplacement

if TYPE_CHECKING:
    from gradscope.wrapping.optimizers.tf_keras_call import TfKerasCall
    from gradscope.wrapping.optimizers.tf_keras_seam import TfKerasSeam

#: Number of callers among which a `LossScaleOptimizer` is searched.
_FRAMES = 8


def is_loss_scale(optimizer: Any) -> bool:
    """Return whether an optimizer is a `LossScaleOptimizer`, of any Keras."""
    kinds = (kind.__name__ for kind in type(optimizer).__mro__)
    return any("LossScaleOptimizer" in kind for kind in kinds)


def innermost(optimizer: Any) -> Any:
    """The optimizer to observe: the one inside of a loss scale.

    Its gradients are unscaled.
    """
    scaled = is_loss_scale(optimizer)
    return optimizer.inner_optimizer if scaled else optimizer


def outer_of(optimizer: Any) -> Any:
    """The `LossScaleOptimizer` that is calling an optimizer now; None without
    one.

    The inner optimizer has no reference to the outer, so the callers' local
    variables are searched.
    """
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_FRAMES):
        if frame is None:
            break
        owner = frame.f_locals.get("self")
        if is_loss_scale(owner) and innermost(owner) is optimizer:
            return owner
        frame = frame.f_back
    return None


class LossScale:
    """Observes steps around the `LossScaleOptimizer` of an optimizer.

    The `LossScaleOptimizer` calls the optimizer inside of a conditional. XLA
    turns a small one into a selection, but not one that also holds
    measurements; then the last bits of a momentum change. So steps are observed
    around the outer optimizer.

    Args:
        seam: The seam of the inner optimizer.
        outer: The `LossScaleOptimizer`.
    """

    def __init__(self, seam: TfKerasSeam, outer: Any):
        #: Whether the last step was applied: True, or a bool scalar.
        self.applies: bool | tf.Tensor = True
        #: The present call of the outer optimizer.
        self.call: TfKerasCall | None = None
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
        """Number of copies that were made of the outer optimizer."""
        return self._apply.copies

    def install(self) -> None:
        """Replace the outer optimizer's methods."""
        for replacement in self._replacements:
            replacement.install()

    def remove(self) -> None:
        """Give the methods back."""
        for replacement in self._replacements:
            replacement.remove()

    def current_scale(self) -> tf.Tensor:
        """The scale of the next step, float32 scalar."""
        scale = self._outer._loss_scale
        if self._outer.dynamic:
            scale = tf_variables.tf_variable(scale.current_loss_scale)
        return tf.identity(tf.cast(scale, tf.float32))

    def _observe_apply(
        self, grads_and_vars: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        """Replacement of the `LossScaleOptimizer`'s `apply_gradients`."""
        pairs = list(grads_and_vars)
        result = self._seam.call_and_observe(
            self._apply, pairs, *arguments, **keywords
        )
        if replicas.is_first():
            self.call, self.applies = None, True  # they hold the gradients
        return result

    def _observe_update(self, grads: Any) -> Any:
        """Replacement of the method that adapts the scale and may skip the
        step."""
        result = self._update.original(grads)
        call = self.call
        if self._seam.observes and replicas.is_first() and call is not None:
            try:
                self.applies = result[1]
                self._count_skip(call)
            except Exception as error:
                self._seam.fail(error)
        return result

    def _count_skip(self, call: TfKerasCall) -> None:
        """Add the ops that count and append a skipped step."""
        observer = self._seam.observer_of(call.optimizer_variables)
        rate, scale = call.learning_rate(), call.loss_scale()

        def record_skip() -> tf.Tensor:
            observer.record_skip(call.step, rate, scale)
            return tf.constant(True)

        with own_variables.unchecked():
            tf.cond(self.applies, lambda: tf.constant(False), record_skip)
