"""One call of a Keras 3 optimizer, with all that Keras may do around it."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from gradscope.measuring import gradients
from gradscope.runtime import replicas, tf_variables
from gradscope.wrapping import call
from gradscope.wrapping.call import Call
from gradscope.wrapping.optimizers import keras_rates
from gradscope.wrapping.optimizers.keras_rates import parts_of

#: Method of Keras that adds up the gradients of all replicas.
_ALL_REDUCE = "_all_reduce_sum_gradients"


class KerasCall(Call):
    """One call of a Keras 3 optimizer's `apply`.

    Args:
        optimizer: That is called.
        outer: The `LossScaleOptimizer` around it, or None.
        grads, trainable_variables: As passed to `apply`.
    """

    def __init__(self, optimizer, outer, grads, trainable_variables):
        passed = trainable_variables
        if passed is None:
            passed = optimizer._trainable_variables
        passed = list(passed)
        known = optimizer._trainable_variables if optimizer.built else passed
        super().__init__(
            grads, passed, known, tf_variables.value(optimizer.iterations)
        )
        self._optimizer = optimizer
        self._outer = outer
        self._passed = passed
        self._overwritten = {
            tf_variables.tf_variable(v).ref()
            for v in passed
            if getattr(v, "overwrite_with_gradient", False)
        }
        self._accumulate(passed)
        self._reduction = reduction(optimizer)
        self._unclipped: list | None = None
        if self._reduction == "again":
            self._unclipped = replicas.all_reduced(self.grads)
        self._notes: list = []

    def learning_rate(self):
        return keras_rates.common(self._optimizer)

    def rates(self):
        return keras_rates.of_variables(self._optimizer, self._passed)

    def loss_scale(self):
        scale = self._optimizer.loss_scale_factor
        if self._outer is not None:
            scale = tf_variables.value(self._outer.dynamic_scale)
        return tf.cast(float("nan") if scale is None else scale, tf.float32)

    def takes_gradient(self, variable) -> bool:
        return (
            self._reduction != "unknown"
            and variable.ref() not in self._overwritten
        )

    def run(self, original):
        if self._reduction == "none":
            return original()
        with contextlib.ExitStack() as stack:
            for part in parts_of(self._optimizer):
                noted = replicas.noted(part, _ALL_REDUCE, self._notes)
                stack.enter_context(noted)
            return original()

    def reduced(self) -> list:
        if self._reduction == "none":
            return self.grads
        return self._noted() if self._unclipped is None else self._unclipped

    def applied(self, grads, accumulated):
        factor = self._optimizer.loss_scale_factor
        if factor is not None and self._reduction in ("none", "again"):
            grads = [gradients.divided(g, factor) for g in grads]
        if not accumulated:
            return grads
        return [
            None
            if gradient is None
            else (gradient + tf.ensure_shape(sum_, v.shape)) / self._calls
            for gradient, sum_, v in zip(
                map(gradients.dense, grads),
                accumulated,
                self.variables,
                strict=True,
            )
        ]

    def clipped(self, applied):
        if not clips(self._optimizer):
            return None
        if self._reduction != "none":
            return self._noted()
        clipped: list = [None] * len(applied)
        for part, indices in self._by_part().items():
            there = [i for i in indices if applied[i] is not None]
            grads = part._clip_gradients([applied[i] for i in there])
            for index, gradient in zip(there, grads, strict=True):
                clipped[index] = gradient
        return clipped

    def _by_part(self) -> dict:
        """Returns which of the call's variables each part updates."""
        owners: dict = {}
        for index, variable in enumerate(self._passed):
            part = keras_rates.part_of(self._optimizer, variable)
            owners.setdefault(part, []).append(index)
        return owners

    def _noted(self) -> list:
        """Returns what the optimizer's own all-reduces returned."""
        noted = {
            tf_variables.tf_variable(variable).ref(): gradient
            for pairs in self._notes
            for gradient, variable in pairs
        }
        return [noted.get(v.ref()) for v in self.variables]

    def _accumulate(self, passed: list) -> None:
        optimizer = self._optimizer
        self._calls = optimizer.gradient_accumulation_steps or 1
        if self._calls == 1:
            return
        calls = tf_variables.value(optimizer._iterations)
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


def reduction(optimizer) -> str:
    """Returns where the gradients of all replicas are to be had.

    `"none"` without replicas; `"noted"` in the optimizer's own all-reduce.
    Keras clips the gradients of each replica before that, so where clipping
    is on their sum before it must be made: `"again"` within one process, and
    `"unknown"` over several, which would wait for each other for ever if only
    one of them were observed.
    """
    distribution = optimizer._distribution_strategy
    if distribution.num_replicas_in_sync == 1:
        return "none"
    if not clips(optimizer):
        return "noted"
    return "unknown" if replicas.over_workers(distribution) else "again"


def clips(optimizer) -> bool:
    """Returns whether any clipping is on, in a `MultiOptimizer` of any part."""
    return any(map(call.clips, parts_of(optimizer)))
