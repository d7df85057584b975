"""The seam of Keras 3 optimizers: `apply`, and what happens around it."""

from __future__ import annotations

import sys
from typing import ClassVar

import tensorflow as tf

from gradscope.runtime import own_variables, replicas, tf_variables
from gradscope.runtime.stand_in import StandIn
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward.forward_pass import Forward
from gradscope.wrapping.optimizers import (
    keras_call,
    keras_rates,
    loss_scale,
)
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.seam import Seam

#: What a `LossScaleOptimizer` calls for a step that it skips.
_SKIP = "_stateful_handle_non_finite_grads"


def is_supported(optimizer) -> bool:
    """Returns whether this is a Keras 3 optimizer."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(
        optimizer, keras.optimizers.Optimizer
    )


def strategy(optimizer):
    """Returns the `tf.distribute.Strategy` of an optimizer, None without."""
    return getattr(innermost(optimizer), "_distribution_strategy", None)


def unsupported(optimizer) -> str | None:
    """Returns why an optimizer cannot be observed, None if it can."""
    backend = sys.modules["keras"].backend.backend()
    if backend != "tensorflow":
        # Their steps are pure functions: what is measured could only leave
        # them among the optimizer's variables, and so in every checkpoint.
        return (
            f"Keras runs on its {backend!r} backend, and gradscope observes "
            "Keras on TensorFlow. Set KERAS_BACKEND=tensorflow before Keras "
            "is imported, or do not wrap it"
        )
    optimizer = innermost(optimizer)
    parts = keras_rates.parts_of(optimizer)
    if optimizer not in parts and any(
        part.gradient_accumulation_steps for part in parts
    ):
        return (
            "a MultiOptimizer whose parts accumulate gradients steps at "
            "several rates. Wrap each of its parts in its own directory"
        )
    several = strategy(optimizer).num_replicas_in_sync > 1
    if several and optimizer.gradient_accumulation_steps:
        return (
            "what several replicas accumulate is added up where it cannot be "
            "seen. Train without `gradient_accumulation_steps`, or on one "
            "replica"
        )
    return None


class KerasSeam(Seam):
    """Stands in for the `apply` of one Keras 3 optimizer instance.

    Args:
        optimizer: The Keras optimizer, or a `LossScaleOptimizer` around it.
        options: The arguments of `wrap`.
    """

    method: ClassVar[str] = "apply"
    counts_skips: ClassVar[bool] = True

    def __init__(self, optimizer, options):
        inner = innermost(optimizer)
        outer = None if optimizer is inner else optimizer
        self._skip = self._build = None
        if outer is None:
            self._build = StandIn(inner, "build", self._built)
        else:
            self._skip = StandIn(outer, _SKIP, self._skipped)
        super().__init__(inner, options, outer)

    def __call__(self, grads, trainable_variables=None):
        arguments = (grads,)
        if trainable_variables is not None:
            # Often a generator, which can be read only once, and two read it.
            arguments = grads, list(trainable_variables)
        if not len(grads):  # which is no step for the optimizer either
            return self._stand_in.original(*arguments)
        return super().__call__(*arguments)

    def call(self, grads, trainable_variables=None) -> Call:
        self._check_replicas()
        if trainable_variables is not None:
            keras_rates.know_parts(self.optimizer, trainable_variables)
        return keras_call.KerasCall(
            self.optimizer, self.outer, grads, trainable_variables
        )

    def told(self, grads, trainable_variables=None):
        if keras_call.reduction(self.optimizer) == "again":
            replicas.all_reduced(grads)
        optimizer = self.optimizer
        known = optimizer._trainable_variables
        variables = (
            known if trainable_variables is None else trainable_variables
        )
        return Call(
            grads, variables, known, tf_variables.value(optimizer.iterations)
        )

    def parts(self, known):
        if not keras_rates.are_several(self.optimizer):
            return []
        return keras_rates.names(self.optimizer, known)

    def others(self):
        return [one for one in (self._skip, self._build) if one is not None]

    def _check_replicas(self) -> None:
        """Raises what was not to be seen at `wrap`."""
        present = tf.distribute.get_strategy()
        own = strategy(self.optimizer)
        if present.num_replicas_in_sync > own.num_replicas_in_sync:
            raise NotImplementedError(
                f"it steps on {present.num_replicas_in_sync} replicas, and "
                "was made outside of their strategy, so that its own count is "
                "wrong. Create the optimizer inside of `strategy.scope()`"
            )

    def _built(self, *arguments, **keywords):
        """Stands in for the optimizer's `build`.

        With the policy `mixed_float16`, `compile` puts a loss scale around
        the optimizer after it was wrapped, and that one calls this.
        """
        build, self._build = self._build, None
        build.remove()
        self.outer = loss_scale.outer_of(self.optimizer)
        if self.outer is not None:
            self._skip = StandIn(self.outer, _SKIP, self._skipped)
            self._skip.install()
        return build.original(*arguments, **keywords)

    def _count_skip(self) -> None:
        optimizer, outer = self.optimizer, self.outer
        with own_variables.unchecked():
            self.observer(optimizer._trainable_variables, Forward()).skip(
                tf.cast(tf_variables.value(optimizer.iterations), tf.int64),
                keras_rates.common(optimizer),
                tf.cast(tf_variables.value(outer.dynamic_scale), tf.float32),
            )

    def _skipped(self):
        """Stands in for what the loss scale does where it skips a step."""
        if not (self.plain or self.failed):
            self._called = True
            try:
                self._count_skip()
            except Exception as error:
                self.fail(error)
        return self._skip.original()

    def step_now(self):
        if not tf.executing_eagerly():
            return None
        return int(tf_variables.tf_variable(self.optimizer.iterations).numpy())


#: What the other kinds of optimizer call theirs, too.
SEAM = KerasSeam
