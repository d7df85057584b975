"""One call of a Keras 3 optimizer, with replicas, accumulation and clipping."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from gradscope.measuring import gradients
from gradscope.runtime import replicas, tf_variables, tracing
from gradscope.wrapping import call
from gradscope.wrapping.call import Call
from gradscope.wrapping.optimizers import keras_rates, keras_versions
from gradscope.wrapping.optimizers.keras_rates import parts_of

if TYPE_CHECKING:
    from gradscope.wrapping.optimizers.loss_scale import KerasLossScale

#: Method of Keras that sums the gradients of all replicas.
_ALL_REDUCE = "_all_reduce_sum_gradients"


class KerasCall(Call):
    """One call of a Keras 3 optimizer's `apply`.

    Args:
        optimizer: The optimizer.
        outer: The `LossScaleOptimizer` around it, or None.
        grads, trainable_variables: The arguments of `apply`.
        loss_scale: The `KerasLossScale` if the call is one of the outer
            optimizer, whose gradients are still scaled; else None.
    """

    def __init__(
        self,
        optimizer: Any,
        outer: Any,
        grads: Sequence[Any],
        trainable_variables: Sequence[Any] | None,
        loss_scale: KerasLossScale | None = None,
    ):
        passed = trainable_variables
        if passed is None:
            passed = optimizer._trainable_variables
        passed = list(passed)
        super().__init__(
            grads,
            passed,
            # `apply` builds the optimizer for the variables that it is given.
            optimizer._trainable_variables if optimizer.built else passed,
            keras_versions.step(optimizer),
        )
        self._optimizer = optimizer
        self._loss_scale = loss_scale
        self._scale = optimizer.loss_scale_factor
        if outer is not None:  # the step may change its scale
            self._scale = tf.identity(tf_variables.value(outer.dynamic_scale))
        self._count_before: tf.Tensor | None = None
        if loss_scale is not None and tracing.in_xla(tracing.current_graph()):
            self._count_before = self._count()
        self._passed = passed
        # For training in float8, Keras has scales whose "gradient" is their
        # next value.
        self._overwritten = {
            tf_variables.tf_variable(v).ref()
            for v in passed
            if getattr(v, "overwrite_with_gradient", False)
        }
        self._clips_first = keras_versions.clips_first(optimizer)
        self._accumulate(passed)
        self._reduction = reduction(optimizer)
        self._unclipped: list[Any] | None = None
        if self._reduction == "again":
            self._unclipped = replicas.all_reduce(self.grads)
        self._all_reduce_results: list[Any] = []

    def learning_rate(self) -> tf.Tensor:
        """The learning rate, see `keras_rates.common_rate`."""
        return keras_rates.common_rate(self._optimizer)

    def variable_rates(self) -> list[tf.Tensor]:
        """The learning rates, see `keras_rates.variable_rates`."""
        return keras_rates.variable_rates(self._optimizer, self._passed)

    def update_inputs(self) -> list[tf.Variable]:
        """The learning rates, see `keras_rates.update_inputs`."""
        return keras_rates.update_inputs(self._optimizer)

    def loss_scale(self) -> tf.Tensor:
        """The factor of the loss, float32 scalar; NaN without one."""
        scale = float("nan") if self._scale is None else self._scale
        return tf.cast(scale, tf.float32)

    def was_applied(self) -> bool | tf.Tensor:
        """Return whether the loss scale applied the step; call this after
        `run`."""
        if self._loss_scale is None:
            return True
        if self._count_before is not None:
            # XLA compiles the step otherwise if its own test of the gradients
            # is read, as a part of which kernels it is computed.
            self._loss_scale.note_applied(self._count() != self._count_before)
        return self._loss_scale.applies

    def _count(self) -> tf.Tensor:
        """Number of calls that the optimizer has applied."""
        return tf.identity(
            tf_variables.value(keras_versions.call_count(self._optimizer))
        )

    def takes_gradient(self, variable: tf.Variable) -> bool:
        """Return whether the value passed for a variable is a gradient.

        False for variables that Keras overwrites, and if the gradient of all
        replicas cannot be read.
        """
        return (
            self._reduction != "unknown"
            and variable.ref() not in self._overwritten
        )

    def run(self, original: Callable[[], Any]) -> Any:
        """Call `original`, and keep the results of its all-reduce."""
        if self._reduction == "none":
            return original()
        with contextlib.ExitStack() as stack:
            for part in parts_of(self._optimizer):
                context = replicas.capture_results(
                    part, _ALL_REDUCE, self._all_reduce_results
                )
                stack.enter_context(context)
            return original()

    def reduced_gradients(self) -> list[Any]:
        """The gradients summed over all replicas; call this after `run`."""
        if self._reduction == "none":
            return self.grads
        if self._unclipped is not None:
            return self._unclipped
        return self._reduced_by_optimizer()

    def applied_gradients(
        self, grads: list[Any], accumulated: list[Any]
    ) -> list[Any]:
        """Compute the unscaled mean of the accumulated gradients, before
        clipping (of the clipped ones, where Keras accumulates these)."""
        factor = self._optimizer.loss_scale_factor
        if self._loss_scale is not None:
            grads = [self._unscale(g) for g in grads]
        # Keras divides before its all-reduce, whose results need no division.
        elif factor is not None and self._reduction in ("none", "again"):
            grads = [gradients.divide(g, factor) for g in grads]
        if not accumulated:
            return grads
        if self._clips_first:
            grads = self._clip(grads)
        return [
            None
            if gradient is None
            else (gradient + tf.ensure_shape(sum_, v.shape)) / self._calls
            for gradient, sum_, v in zip(
                map(gradients.to_dense, grads),
                accumulated,
                self.variables,
                strict=True,
            )
        ]

    def _unscale(self, gradient: gradients.Gradient) -> gradients.Gradient:
        """Divide a gradient by the loss scale as Keras does: in float32 at
        least."""
        divide = sys.modules["keras"].ops.divide
        return None if gradient is None else divide(gradient, self._scale)

    def clipped_gradients(self, grads: list[Any]) -> list[Any] | None:
        """Clip gradients as the optimizer does; None if clipping is off."""
        if not clips(self._optimizer):
            return None
        if self._reduction != "none":
            return self._reduced_by_optimizer()
        return grads if self._clips_first else self._clip(grads)

    def _clip(self, grads: list[Any]) -> list[Any]:
        """Clip the gradients of each part of the optimizer."""
        result: list[Any] = [None] * len(grads)
        for part, indices in self._indices_by_part().items():
            # Keras drops missing gradients before it clips, and has no public
            # method that clips as the optimizer will.
            indices = [i for i in indices if grads[i] is not None]
            clipped = part._clip_gradients([grads[i] for i in indices])
            for index, gradient in zip(indices, clipped, strict=True):
                result[index] = gradient
        return result

    def _indices_by_part(self) -> dict[Any, list[int]]:
        """Group the indices of the call's variables by the optimizer that has
        them."""
        owners: dict[Any, list[int]] = {}
        for index, variable in enumerate(self._passed):
            part = keras_rates.part_of(self._optimizer, variable)
            owners.setdefault(part, []).append(index)
        return owners

    def _reduced_by_optimizer(self) -> list[Any]:
        """The results of the optimizer's own all-reduces, in the variables'
        order."""
        noted = {
            tf_variables.tf_variable(variable).ref(): gradient
            for pairs in self._all_reduce_results
            for gradient, variable in pairs
        }
        return [noted.get(v.ref()) for v in self.variables]

    def _accumulate(self, passed: list[Any]) -> None:
        optimizer = self._optimizer
        self._calls = optimizer.gradient_accumulation_steps or 1
        if self._calls == 1:
            return
        calls = tf_variables.value(keras_versions.call_count(optimizer))
        self.applies = calls % self._calls >= self._calls - 1
        if optimizer.built:
            self.accumulators = [
                tf_variables.tf_variable(
                    optimizer._accumulated_gradients[
                        optimizer._get_variable_index(variable)
                    ]
                )
                for variable in passed
            ]


def reduction(optimizer: Any) -> str:
    """Determine where the gradients of all replicas can be read.

    Keras clips each replica's gradients before its all-reduce. So with
    clipping, their sum before clipping must be computed.

    Returns:
        `"none"` without replicas; `"noted"` in the optimizer's own all-reduce;
        with clipping, `"again"` if one process has all replicas, by an
            all-reduce
        of gradscope's; and `"unknown"` with several processes, which would wait
        for each other for ever if only one of them were observed.
    """
    distribution = optimizer._distribution_strategy
    if distribution.num_replicas_in_sync == 1:
        return "none"
    if not clips(optimizer):
        return "noted"
    return "unknown" if replicas.spans_workers(distribution) else "again"


def clips(optimizer: Any) -> bool:
    """Return whether an optimizer, or a part of a `MultiOptimizer`, clips."""
    return any(map(call.clips, parts_of(optimizer)))
