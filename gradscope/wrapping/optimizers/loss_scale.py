"""Find the loss scale around an optimizer, and observe its steps."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from gradscope.runtime import own_variables, replicas, tf_variables, tracing
from gradscope.runtime.method_replacement import MethodReplacement

if TYPE_CHECKING:
    from gradscope.wrapping.call import Call
    from gradscope.wrapping.optimizers.keras import KerasSeam
    from gradscope.wrapping.optimizers.seam import Seam
    from gradscope.wrapping.optimizers.tf_keras_seam import TfKerasSeam

#: Number of callers among which a `LossScaleOptimizer` is searched.
_FRAMES = 8


def is_loss_scale(optimizer: Any) -> bool:
    """Return whether an optimizer is a `LossScaleOptimizer`, of any Keras."""
    # By name, since tf_keras has several such classes (as
    # `LossScaleOptimizerV3`), and neither library need be imported.
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
    measurements; then the last bits of a momentum change. So nothing is added
    to its branches: steps are observed around the outer optimizer.

    Args:
        seam: The seam of the inner optimizer.
        outer: The `LossScaleOptimizer`.
        apply: Name of the outer optimizer's method that makes a step.
        check: The owner and the name of the method that looks for overflows;
            None if no step is skipped.
    """

    def __init__(
        self,
        seam: Seam,
        outer: Any,
        apply: str,
        check: tuple[Any, str] | None,
    ):
        #: Whether the last step was applied: True, or a bool scalar.
        self.applies: bool | tf.Tensor = True
        #: The present call of the outer optimizer.
        self.call: Call | None = None
        self._seam = seam
        self._outer = outer
        self._apply = MethodReplacement(outer, apply, self._observe_apply)
        self._replacements = [self._apply]
        if check is not None:
            self._check = MethodReplacement(*check, self._observe_check)
            self._replacements.append(self._check)

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

    def is_finite(self, result: Any) -> tf.Tensor:
        """Take from the result of `check` whether the step is applied."""
        return result

    def waits_for_step(self) -> bool:
        """Whether the step itself shows later whether it was applied."""
        return False

    def _observe_apply(
        self, grads: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        """Replacement of the method that makes a step."""
        result = self._seam.call_and_observe(
            self._apply, list(grads), *arguments, **keywords
        )
        if replicas.is_first():
            self.call, self.applies = None, True  # they hold the gradients
        return result

    def _observe_check(self, *arguments: Any, **keywords: Any) -> Any:
        """Replacement of the method that looks for overflows."""
        result = self._check.original(*arguments, **keywords)
        call = self.call
        if self._seam.observes and call is not None:
            try:
                if replicas.is_first() and not self.waits_for_step():
                    self.note_applied(self.is_finite(result))
            except Exception as error:
                self._seam.fail(error)
        return result

    def note_applied(self, applies: tf.Tensor) -> None:
        """Take whether the step is applied, and count it if it is skipped."""
        self.applies = applies
        if self.call is not None:
            self._count_skip(self.call)

    def _count_skip(self, call: Call) -> None:
        """Add the ops that count and append a skipped step."""
        observer = self._seam.observer_of(call.optimizer_variables)
        rate, scale = call.learning_rate(), call.loss_scale()

        def record_skip() -> tf.Tensor:
            observer.record_skip(call.step, rate, scale)
            return tf.constant(True)

        with own_variables.unchecked():
            tf.cond(self.applies, lambda: tf.constant(False), record_skip)


class KerasLossScale(LossScale):
    """Observes steps around a `LossScaleOptimizer` of Keras 3."""

    def __init__(self, seam: KerasSeam, outer: Any):
        # `apply` calls this method after it has built the outer optimizer.
        super().__init__(seam, outer, "_tf_apply", (outer, "check_finite"))
        #: Whether the outer optimizer is making a step.
        self.is_running = False

    def waits_for_step(self) -> bool:
        """Whether the optimizer's count of steps shows it, see `KerasCall`."""
        return tracing.in_xla(tracing.current_graph())

    def _observe_apply(
        self, grads: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        """Replacement of the method that makes a step."""
        self.is_running = True
        try:
            return super()._observe_apply(grads, *arguments, **keywords)
        finally:
            self.is_running = False


class TfKerasLossScale(LossScale):
    """Observes steps around a `LossScaleOptimizer` of tf_keras."""

    def __init__(self, seam: TfKerasSeam, outer: Any):
        check = (outer._loss_scale, "update") if outer.dynamic else None
        super().__init__(seam, outer, seam.method, check)

    def current_scale(self) -> tf.Tensor:
        """The scale of the next step, float32 scalar."""
        scale = self._outer._loss_scale
        if self._outer.dynamic:
            scale = tf_variables.tf_variable(scale.current_loss_scale)
        return tf.identity(tf.cast(scale, tf.float32))

    def is_finite(self, result: Any) -> tf.Tensor:
        """Take from the result of `check` whether the step is applied."""
        # `update` also returns an op; the second item says whether all
        # gradients are finite.
        return result[1]
