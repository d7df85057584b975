"""The seam of `tf.compat.v1.train` optimizers, at `apply_gradients`.

The recorded gradient is the argument of `apply_gradients`, after all changes
that the user's own code made since `compute_gradients`. The train op stays the
same op; `session_step` observes its runs in a session, and `step` observes
eager mode and `tf.function`.

The step is the `global_step` that was passed, before its increment, or the
number of runs in this session. Threads that run one train op at the same time
may share a number, and each may see the other's update. Sessions of other
processes (`grpc://`) and imported copies of the graph are not observed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from gradscope.errors import GradscopeWarning
from gradscope.runtime import own_variables, tracing
from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.call import Call, check_distinct
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.optimizers.seam import Seam
from gradscope.wrapping.sessions import session_loss
from gradscope.wrapping.sessions.inbox import SessionInbox
from gradscope.wrapping.sessions.session_gate import SharedCounters
from gradscope.wrapping.sessions.session_step import (
    SessionObserver,
    SessionStep,
    as_tensors,
)
from gradscope.wrapping.steps.observer import retire_with
from gradscope.wrapping.steps.step import Step

_train = tf.compat.v1.train

#: Optimizers around an optimizer, and the attribute with the inner one. The
#: inner optimizer's gradients are unscaled, and summed over workers.
_OUTER_OPTIMIZERS = (
    (_train.experimental.MixedPrecisionLossScaleOptimizer, "_optimizer"),
    (_train.SyncReplicasOptimizer, "_opt"),
)

#: Attributes with an optimizer's learning rate: as passed by the user, and as
#: the tensor that the last `apply_gradients` used.
_RATES = ("_lr", "_learning_rate")
_RATE_TENSORS = ("_lr_t", "_learning_rate_tensor")


def is_supported(optimizer: Any) -> bool:
    """Return whether an optimizer is one of TensorFlow 1."""
    return isinstance(optimizer, _train.Optimizer)


def innermost(optimizer: Any) -> Any:
    """The optimizer to observe: the one inside of all others."""
    for kind, attribute in _OUTER_OPTIMIZERS:
        if isinstance(optimizer, kind):
            return innermost(getattr(optimizer, attribute))
    return optimizer


def strategy(optimizer: Any) -> tf.distribute.Strategy:
    """The `tf.distribute.Strategy` in whose scope this is called."""
    return tf.distribute.get_strategy()


def unsupported(optimizer: Any) -> str | None:
    """Explain why an optimizer cannot be observed; None if it can be."""
    return _unsupported_replicas()


def _unsupported_replicas() -> str | None:
    count = tf.distribute.get_strategy().num_replicas_in_sync
    if count == 1:
        return None
    return (
        f"a TensorFlow 1 optimizer on {count} replicas sums their gradients "
        "where gradscope cannot observe the sum. Train with a Keras optimizer "
        "under this strategy, or on one replica"
    )


class V1Seam(Seam):
    """Replacement of the `apply_gradients` of one v1 optimizer.

    Args:
        optimizer: The optimizer, or one of `_OUTER_OPTIMIZERS` around it.
        options: The arguments of `wrap`.
    """

    method: ClassVar[str] = "apply_gradients"

    def __init__(self, optimizer, options):
        inner = innermost(optimizer)
        outer = None if optimizer is inner else optimizer
        super().__init__(inner, options, outer)
        self._call_count: tf.Variable | None = None
        self._losses: list = []
        self._loss_replacement = MethodReplacement(
            inner, "compute_gradients", self._observe_compute
        )
        if _has_train_op(inner):
            warnings.warn(
                f"this {type(inner).__name__} has already made a train op, and "
                "gradscope can observe only train ops that are made after "
                "`wrap`. Wrap an optimizer before you call its `minimize` or "
                "`apply_gradients`.",
                GradscopeWarning,
                stacklevel=4,
            )

    def __call__(self, grads_and_vars, *arguments, **keywords):
        # Often a `zip`; gradscope and the optimizer both read it.
        if isinstance(grads_and_vars, Iterator):
            grads_and_vars = list(grads_and_vars)
        return super().__call__(grads_and_vars, *arguments, **keywords)

    def call(
        self,
        grads_and_vars: list,
        global_step: Any = None,
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
    ) -> Call:
        """Describe a call of `apply_gradients`."""
        reason = _unsupported_replicas()
        if reason is not None:
            raise NotImplementedError(reason)
        optimizers = (self.optimizer, self.outer)
        if tracing.session_graph(tracing.current_graph()) is not None:
            return SessionCall(*optimizers, grads_and_vars, global_step)
        step = self._next_count() if global_step is None else global_step
        return V1Call(*optimizers, grads_and_vars, step)

    def other_replacements(self) -> list:
        # An outer optimizer passes a scaled loss, or that of one worker.
        """The replacement of `compute_gradients`, which shows the loss."""
        return [self._loss_replacement] if self.outer is None else []

    def _observe_compute(self, loss, *arguments, **keywords):
        # Two losses are enough to know that there are several. A program that
        # never applies its gradients would otherwise collect them for ever.
        """Replacement of `compute_gradients`."""
        self._losses = [*self._losses, loss][-2:]
        return self._loss_replacement.original(loss, *arguments, **keywords)

    def complete(self, call: Call, forward_pass: ForwardPass) -> None:
        """Complete a forward pass with the loss, and rehearse it."""
        losses, self._losses = self._losses, []
        # Each of several losses, as of towers, is a part of the loss.
        if forward_pass.loss is None and len(losses) == 1:
            forward_pass.loss = session_loss.readable_loss(
                losses[0], call.grads
            )
        super().complete(call, forward_pass)

    def step(self, call: Call) -> Step | SessionStep:
        """Make the step that observes a call, in a session or as other
        optimizers do."""
        graph = tracing.session_graph(tracing.current_graph())
        if graph is None:
            return super().step(call)
        forward_pass = self.finder.find(call)
        observer, number = self._session_observer(
            graph, call.variables, forward_pass
        )
        return SessionStep(self, observer, number, call, forward_pass)

    def config(self) -> dict:
        """The optimizer's configuration, from its attributes."""
        return {n.removeprefix("_"): v for n, v in vars(self.optimizer).items()}

    def _session_observer(self, graph, variables, forward_pass):
        """Find or make the observer of a new train op; number the train op."""
        latest = self.observers.latest(graph)
        number = latest and latest.add_train_op(
            variables, forward_pass, self.finder.with_facts
        )
        if number is not None:
            return latest, number
        inbox = SessionInbox(self.observers.writer, self.options)
        observer = SessionObserver(
            graph,
            inbox,
            latest.counters if latest else SharedCounters(),
            self.description(),
            latest.variables if latest else (),
        )
        # An optimizer of TensorFlow 1 is often deleted after it made its train
        # op. The graph keeps the seam alive as long as the train op.
        graph._gradscope = [*getattr(graph, "_gradscope", ()), self]
        retire_with(observer, inbox)
        self.observers.all.append(observer)
        return observer, observer.add_train_op(
            variables, forward_pass, self.finder.with_facts
        )

    def _next_count(self) -> tf.Tensor:
        """Count this call, and return the number of calls before it."""
        if self._call_count is None:
            self._call_count = own_variables.create(np.zeros([], np.int64), "")
        before = tf.identity(self._call_count)
        self._call_count.assign_add(1)
        return before


class V1Call(Call):
    """One call of a v1 optimizer, in eager mode or a `tf.function`.

    Args:
        optimizer: The optimizer.
        outer: The optimizer around it, or None.
        grads_and_vars: The argument of `apply_gradients`, a list.
        step: The step before the update, int64.
    """

    def __init__(self, optimizer, outer, grads_and_vars, step):
        grads, variables = _unzip(grads_and_vars)
        # A cast to the same dtype would return the variable itself.
        step = tf.identity(step)
        super().__init__(as_tensors(grads), variables, variables, step)
        self._optimizer = optimizer
        self._outer = outer

    def learning_rate(self) -> tf.Tensor:
        """The learning rate as passed by the user, float32 scalar; NaN if
        unknown."""
        return _as_rate(_first_attribute(self._optimizer, _RATES))

    def loss_scale(self) -> tf.Tensor:
        """The fixed loss scale, float32 scalar; NaN without one."""
        return _loss_scale(self._outer)


class SessionCall(V1Call):
    """One call of a v1 optimizer in a graph that a session runs.

    It adds ops to the graph only when a method is called.
    """

    def __init__(self, optimizer, outer, grads_and_vars, global_step):
        self.grads, self.variables = _unzip(grads_and_vars)
        self.optimizer_variables = self.variables
        check_distinct(self.variables)
        self._optimizer = optimizer
        self._outer = outer
        self._global_step = global_step

    def step_before(self) -> tf.Tensor | None:
        """The global step, int64 scalar; None without one."""
        global_step = self._global_step
        if global_step is None:
            return None
        if hasattr(global_step, "read_value"):
            global_step = global_step.read_value()
        # A reference variable is incremented in place, so it is copied.
        return tf.raw_ops.DeepCopy(x=tf.cast(global_step, tf.int64))

    def learning_rate(self) -> tf.Tensor:
        """The tensor that the updates used; call this after they were made."""
        used = _first_attribute(self._optimizer, _RATE_TENSORS)
        if used is not None and tf.is_symbolic_tensor(used):
            return tf.cast(used, tf.float32)
        return super().learning_rate()


def _unzip(grads_and_vars) -> tuple[list, list]:
    pairs = [(gradient, variable) for gradient, variable in grads_and_vars]
    for _, variable in pairs:
        if not isinstance(variable, tf.Variable):
            raise TypeError(f"{variable!r} is not a tf.Variable")
    return [g for g, _ in pairs], [v for _, v in pairs]


def _first_attribute(optimizer, names):
    values = (getattr(optimizer, name, None) for name in names)
    return next((value for value in values if value is not None), None)


def _as_rate(rate) -> tf.Tensor:
    """Convert a learning rate to a tensor.

    NaN for a user's own function, which must not be called a second time.
    """
    if rate is None or (callable(rate) and not isinstance(rate, tf.Variable)):
        return tf.constant(float("nan"))
    return tf.cast(rate, tf.float32)


def _loss_scale(outer) -> tf.Tensor:
    """A loss scale that never changes; NaN for others.

    Others may be adapted before or after a read.
    """
    scale = getattr(outer, "_loss_scale", None)
    if isinstance(scale, _train.experimental.FixedLossScale):
        return tf.cast(scale(), tf.float32)
    return tf.constant(float("nan"))


def _has_train_op(optimizer) -> bool:
    """Return whether an optimizer was used in a graph."""
    used = _first_attribute(optimizer, _RATE_TENSORS)
    return used is not None and tf.is_symbolic_tensor(used)


#: Each module of a kind of optimizer has its seam under this name.
SEAM = V1Seam
