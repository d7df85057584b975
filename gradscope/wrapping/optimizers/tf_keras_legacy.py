"""The seam of tf_keras's legacy optimizers (`OptimizerV2`)."""

from __future__ import annotations

import contextlib
import sys
from typing import ClassVar

import tensorflow as tf

from gradscope.measuring import gradients
from gradscope.runtime import replicas, tracing
from gradscope.wrapping.call import clips
from gradscope.wrapping.optimizers.loss_scale import innermost
from gradscope.wrapping.optimizers.tf_keras_call import TfKerasCall
from gradscope.wrapping.optimizers.tf_keras_seam import (
    TfKerasSeam,
    strategy,
    unsupported,
)

__all__ = ["SEAM", "innermost", "is_supported", "strategy", "unsupported"]

_TRANSFORM = "_transform_gradients"


def is_supported(optimizer) -> bool:
    """Returns whether this is one of tf_keras's legacy optimizers."""
    module = sys.modules.get("tf_keras")
    return module is not None and isinstance(
        optimizer, module.optimizers.legacy.Optimizer
    )


class LegacyCall(TfKerasCall):
    """One call of a legacy optimizer's `apply_gradients`.

    It clips, or transforms gradients as its user says, in one method.
    """

    aggregate: ClassVar[str] = "_aggregate_gradients"

    def __init__(self, optimizer, *arguments):
        super().__init__(optimizer, *arguments)
        self._graph = tracing.current_graph()
        self._transformed: list = []
        base = sys.modules["tf_keras"].optimizers.legacy.Optimizer
        method = getattr(type(optimizer), _TRANSFORM)
        #: Whether what a user wrote changes the gradients: it is not called
        #: a second time.
        self._custom = bool(optimizer.gradient_transformers) or (
            method is not getattr(base, _TRANSFORM)
        )
        # A loss scale calls it inside of a conditional, out of our reach.
        self._is_out_of_reach = self._custom and self._loss_scale is not None

    def learning_rate(self):
        return learning_rate(self._optimizer)

    def run(self, original):
        with contextlib.ExitStack() as stack:
            if self._custom:
                noted = replicas.capture_results(
                    self._optimizer, _TRANSFORM, self._transformed
                )
                stack.enter_context(noted)
            return super().run(original)

    def clipped_gradients(self, grads):
        if self._is_out_of_reach:
            return None
        if self._custom:
            clipped = self.in_order(self._transformed[0])
            if self._graph is None:
                return clipped
            return [gradients.regenerate(g, self._graph) for g in clipped]
        if not clips(self._optimizer):
            return None
        pairs = zip(grads, self.variables, strict=True)
        pairs = [(g, v) for g, v in pairs if g is not None]
        return self.in_order(self._optimizer._transform_gradients(pairs))


class LegacySeam(TfKerasSeam):
    """Stands in for `apply_gradients` of one of the legacy optimizers."""

    kind: ClassVar[type[TfKerasCall]] = LegacyCall
    compute: ClassVar[str] = "_compute_gradients"

    def aggregates(
        self, *arguments, experimental_aggregate_gradients=True, **_
    ):
        # The only one that may be a bool.
        return experimental_aggregate_gradients and False not in arguments

    def check_supported(self):
        super().check_supported()
        optimizer = self.optimizer
        if self.iterations() is not None and optimizer._hypers_created:
            return
        # Otherwise the first call makes its count and its hyperparameters
        # only later, and a trace of it would hold constants.
        with _future_name_scope(optimizer._name), tf.init_scope():
            _ = optimizer.iterations
            optimizer._create_hypers()

    def config(self):
        # It would call a user's functions, as for the learning rate.
        if any(map(_is_function, self.optimizer._hyper.values())):
            return {}
        return super().config()

    def iterations(self):
        # The property would make one.
        return self.optimizer._iterations


def learning_rate(optimizer) -> tf.Tensor:
    """Returns the learning rate of the step to come, with its decay; NaN if
    only known by calling the user's own function a second time."""
    rate = optimizer._hyper.get("learning_rate")
    if rate is None or _is_function(rate):
        return tf.constant(float("nan"))
    return tf.identity(optimizer._decayed_lr(tf.float32))


def _is_function(value) -> bool:
    """Returns whether a hyperparameter is a function of the user's own."""
    schedules = sys.modules["tf_keras"].optimizers.schedules
    return callable(value) and not isinstance(
        value, schedules.LearningRateSchedule
    )


def _future_name_scope(name: str):
    """Returns the name scope that `with tf.name_scope(name)` will be, without
    using its name up: a second one would be called `name_1`."""
    graph = tracing.current_graph()
    if graph is not None:
        name = graph.unique_name(name, mark_as_used=False) + "/"
    return tf.name_scope(name)


#: What the other kinds of optimizer call theirs, too.
SEAM = LegacySeam
