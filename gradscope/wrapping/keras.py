"""The seam of Keras 3 optimizers: `apply`, and what happens around it."""

from __future__ import annotations

import contextlib
import sys
from typing import ClassVar

import tensorflow as tf

from gradscope.measuring import gradients
from gradscope.wrapping import layers, replicas
from gradscope.wrapping.call import Call
from gradscope.wrapping.seam import Seam
from gradscope.wrapping.standin import StandIn

#: Methods of Keras: what a `LossScaleOptimizer` calls for a step that it
#: skips, and what adds up the gradients of all replicas.
_ALL_REDUCE = "_all_reduce_sum_gradients"
_SKIP = "_stateful_handle_non_finite_grads"


def is_supported(optimizer) -> bool:
    """Returns whether this is a Keras 3 optimizer."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(
        optimizer, keras.optimizers.Optimizer
    )


def innermost(optimizer):
    """Returns the optimizer to observe: the one inside of a loss scale.

    There the gradients arrive unscaled.
    """
    return getattr(optimizer, "inner_optimizer", optimizer)


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
    parts = _parts(optimizer)
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

    def __init__(self, optimizer, options):
        inner = innermost(optimizer)
        self._outer = None
        self._skip: StandIn | None = None
        self._build: StandIn | None = None
        super().__init__(inner, options)
        if optimizer is not inner:
            self._scaled_by(optimizer)
        else:
            self._build = StandIn(optimizer, "build", self._built)
            self._build.install()

    def call(self, grads, trainable_variables=None) -> Call:
        return KerasCall(
            self.optimizer, self._outer, grads, trainable_variables
        )

    def follow(self, grads, trainable_variables=None) -> None:
        if reduction(self.optimizer) == "again":
            replicas.all_reduced(grads)

    def description(self) -> dict:
        description = super().description()
        if self._outer is not None:
            description["loss_scale"] = type(self._outer).__name__
        return description

    def observer(self, known):
        observer = super().observer(known)
        if self._outer is not None:
            observer.count_skips()
        return observer

    def resume(self) -> None:
        super().resume()
        if self._skip is not None:
            self._skip.install()

    def suspend(self) -> None:
        super().suspend()
        for stand_in in (self._skip, self._build):
            if stand_in is not None:
                stand_in.remove()

    def _scaled_by(self, outer) -> None:
        """Takes notice of the loss scale around the optimizer."""
        self._outer = outer
        self._skip = StandIn(outer, _SKIP, self._skipped)
        self._skip.install()
        for observer in self._observers:
            observer.count_skips()

    def _built(self, *arguments, **keywords):
        """Stands in for the optimizer's `build`.

        With the policy `mixed_float16`, `compile` puts a loss scale around
        the optimizer after it was wrapped. Nothing leads from the inner one
        to the outer but that the outer calls this.
        """
        self._build.remove()
        caller = sys._getframe(1)
        for _ in range(8):
            owner = caller.f_locals.get("self")
            if getattr(owner, "inner_optimizer", None) is self.optimizer:
                self._scaled_by(owner)
                break
            caller = caller.f_back
            if caller is None:
                break
        return self._build.original(*arguments, **keywords)

    def _skipped(self):
        """Stands in for what the loss scale does where it skips a step."""
        optimizer, outer = self.optimizer, self._outer
        if not (self.plain or self._failed):
            self._called = True
            try:
                self.observer(optimizer._trainable_variables).skip(
                    tf.cast(_value(optimizer.iterations), tf.int64),
                    _learning_rate(optimizer),
                    tf.cast(_value(outer.dynamic_scale), tf.float32),
                )
            except Exception as error:
                self.fail(error)
        return self._skip.original()

    def steps_made(self) -> int:
        if not tf.executing_eagerly():
            return 0
        return int(layers.tf_variable(self.optimizer.iterations).numpy())


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
        super().__init__(grads, passed, known, _value(optimizer.iterations))
        self._optimizer = optimizer
        self._outer = outer
        self._overwritten = {
            layers.tf_variable(v).ref()
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
        return _learning_rate(self._optimizer)

    def loss_scale(self):
        scale = self._optimizer.loss_scale_factor
        if self._outer is not None:
            scale = _value(self._outer.dynamic_scale)
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
            for part in _parts(self._optimizer):
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
        parts = _parts(self._optimizer)
        for index, variable in enumerate(self.variables):
            part = parts[0]
            if part is not self._optimizer:
                key = self._optimizer._var_key(variable)
                part = parts[self._optimizer._var_to_optimizer_idx[key]]
            owners.setdefault(part, []).append(index)
        return owners

    def _noted(self) -> list:
        """Returns what the optimizer's own all-reduces returned."""
        noted = {
            layers.tf_variable(variable).ref(): gradient
            for pairs in self._notes
            for gradient, variable in pairs
        }
        return [noted.get(v.ref()) for v in self.variables]

    def _accumulate(self, passed: list) -> None:
        optimizer = self._optimizer
        self._calls = optimizer.gradient_accumulation_steps or 1
        if self._calls == 1:
            return
        calls = _value(optimizer._iterations)
        self.applies = calls % self._calls >= self._calls - 1
        if optimizer.built:
            self.accumulators = [
                layers.tf_variable(
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
    distribution = strategy(optimizer)
    if distribution.num_replicas_in_sync == 1:
        return "none"
    if not clips(optimizer):
        return "noted"
    return "unknown" if replicas.over_workers(distribution) else "again"


def clips(optimizer) -> bool:
    """Returns whether any clipping is on."""
    return any(
        part.clipnorm or part.global_clipnorm or part.clipvalue
        for part in _parts(optimizer)
    )


def _parts(optimizer) -> list:
    """Returns the optimizers that update variables: of a `MultiOptimizer`
    its parts, or the optimizer itself."""
    return getattr(optimizer, "optimizers", None) or [optimizer]


def _value(variable):
    return tf.convert_to_tensor(getattr(variable, "value", variable))


def _learning_rate(optimizer) -> tf.Tensor:
    """Returns the learning rate of the step to come, NaN if only known by
    calling the user's own function a second time, or if there are several."""
    from keras.optimizers.schedules import LearningRateSchedule

    rate = optimizer._learning_rate
    several = optimizer not in _parts(optimizer)
    if several or (
        callable(rate) and not isinstance(rate, LearningRateSchedule)
    ):
        return tf.constant(float("nan"))
    return tf.cast(_value(optimizer.learning_rate), tf.float32)


#: What the other kinds of optimizer call theirs, too.
SEAM = KerasSeam
