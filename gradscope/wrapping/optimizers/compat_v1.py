"""The seam of `tf.compat.v1.train` optimizers: `apply_gradients`.

What is recorded is the gradient that reaches `apply_gradients`: after what
the user's own code did to it since `compute_gradients`. The train op stays
the op that it was; see `session` for how it is observed in a session, and
`step` for eager mode and `tf.function`.

The step is the `global_step` that was passed, before it is incremented, or
the number of runs in this session. Threads that run one train op at the same
time may share a number, and their updates are seen in each other's. Sessions
of other processes (`grpc://`), and copies of the graph that are imported
elsewhere, train on and are not observed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import tensorflow as tf

from gradscope.errors import GradscopeWarning
from gradscope.runtime import own_variables, tracing
from gradscope.runtime.stand_in import MethodReplacement
from gradscope.wrapping.call import Call, check_distinct
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

_train = tf.compat.v1.train

#: Optimizers around an optimizer, and the attribute that holds it. There the
#: gradients arrive unscaled, and added up.
_OUTER_OPTIMIZERS = (
    (_train.experimental.MixedPrecisionLossScaleOptimizer, "_optimizer"),
    (_train.SyncReplicasOptimizer, "_opt"),
)

#: Where optimizers keep their learning rate, as it was given, and as the
#: tensor that their last `apply_gradients` used.
_RATES = ("_lr", "_learning_rate")
_RATE_TENSORS = ("_lr_t", "_learning_rate_tensor")


def is_supported(optimizer) -> bool:
    """Returns whether this is an optimizer of TensorFlow 1."""
    return isinstance(optimizer, _train.Optimizer)


def innermost(optimizer):
    """Returns the optimizer to observe: the one inside of all others."""
    for kind, attribute in _OUTER_OPTIMIZERS:
        if isinstance(optimizer, kind):
            return innermost(getattr(optimizer, attribute))
    return optimizer


def strategy(optimizer):
    """Returns the `tf.distribute.Strategy` in whose scope this is called."""
    return tf.distribute.get_strategy()


def unsupported(optimizer) -> str | None:
    """Returns why an optimizer cannot be observed, None if it can."""
    return _unsupported_replicas()


def _unsupported_replicas() -> str | None:
    count = tf.distribute.get_strategy().num_replicas_in_sync
    if count == 1:
        return None
    return (
        f"an optimizer of TensorFlow 1 on {count} replicas adds up their "
        "gradients where they cannot be seen. Train with a Keras optimizer "
        "under this strategy, or on one replica"
    )


class V1Seam(Seam):
    """Stands in for the `apply_gradients` of one v1 optimizer instance.

    Args:
        optimizer: The optimizer, or one of `_OUTER_OPTIMIZERS` around it.
        options: The arguments of `wrap`.
    """

    method: ClassVar[str] = "apply_gradients"

    def __init__(self, optimizer, options):
        inner = innermost(optimizer)
        self._call_count: tf.Variable | None = None
        self._losses: list = []
        self._loss_replacement = MethodReplacement(
            inner, "compute_gradients", self._observe_compute
        )
        outer = None if optimizer is inner else optimizer
        super().__init__(inner, options, outer)
        if _has_train_op(inner):
            warnings.warn(
                f"this {type(inner).__name__} has made a train op already, "
                "which gradscope cannot observe: only those that are made "
                "after `wrap`. Wrap an optimizer before its `minimize` or "
                "`apply_gradients`.",
                GradscopeWarning,
                stacklevel=4,
            )

    def __call__(self, grads_and_vars, *arguments, **keywords):
        # A `zip` can be read only once, and two will read it.
        if isinstance(grads_and_vars, Iterator):
            grads_and_vars = list(grads_and_vars)
        return super().__call__(grads_and_vars, *arguments, **keywords)

    def call(
        self,
        grads_and_vars,
        global_step=None,
        name=None,
        skip_gradients_aggregation=False,
    ) -> Call:
        reason = _unsupported_replicas()
        if reason is not None:
            raise NotImplementedError(reason)
        optimizers = (self.optimizer, self.outer)
        if tracing.session_graph(tracing.current_graph()) is not None:
            return SessionCall(*optimizers, grads_and_vars, global_step)
        step = self._next_count() if global_step is None else global_step
        return V1Call(*optimizers, grads_and_vars, step)

    def other_replacements(self):
        # Around an optimizer the loss is scaled, or of one worker alone.
        return [self._loss_replacement] if self.outer is None else []

    def _observe_compute(self, loss, *arguments, **keywords):
        # That there were two is enough to know; more would be kept for ever
        # where gradients are only looked at.
        self._losses = [*self._losses, loss][-2:]
        return self._loss_replacement.original(loss, *arguments, **keywords)

    def _find_forward_pass(self, call):
        forward_pass = super()._find_forward_pass(call)
        losses, self._losses = self._losses, []
        # Of several, as of towers, none is the whole loss.
        if forward_pass.loss is None and len(losses) == 1:
            forward_pass.loss = session_loss.readable_loss(
                losses[0], call.grads
            )
        return forward_pass

    def step(self, call):
        graph = tracing.session_graph(tracing.current_graph())
        if graph is None:
            return super().step(call)
        forward_pass = self.forward_pass(call)
        observer, number = self._session_observer(
            graph, call.variables, forward_pass
        )
        return SessionStep(self, observer, number, call, forward_pass)

    def latest_observer(self):
        return self._latest_in(None)

    def config(self):
        return {n.removeprefix("_"): v for n, v in vars(self.optimizer).items()}

    def _latest_in(self, graph):
        # In eager mode there are no graphs, and `Observer`s have none.
        return next(
            (
                observer
                for observer in reversed(self._observers)
                if getattr(observer, "graph", None) is graph
            ),
            None,
        )

    def _session_observer(self, graph, variables, forward_pass):
        """Returns the observer of a new train op, and its number there."""
        latest = self._latest_in(graph)
        number = latest and latest.add_train_op(
            variables, forward_pass, self.with_facts
        )
        if number is not None:
            return latest, number
        inbox = SessionInbox(self._writer, self.options)
        observer = SessionObserver(
            graph,
            inbox,
            latest.counters if latest else SharedCounters(),
            self.description(),
            latest.variables if latest else (),
        )
        # An optimizer of TensorFlow 1 is often forgotten as soon as it has
        # made its train op, which goes on as long as its graph.
        graph._gradscope = [*getattr(graph, "_gradscope", ()), self]
        retire_with(observer, inbox)
        self._observers.append(observer)
        return observer, observer.add_train_op(
            variables, forward_pass, self.with_facts
        )

    def _next_count(self) -> tf.Tensor:
        """Returns how many calls there were before this one."""
        if self._call_count is None:
            self._call_count = own_variables.create(np.zeros([], np.int64), "")
        before = tf.identity(self._call_count)
        self._call_count.assign_add(1)
        return before


class V1Call(Call):
    """One call of a v1 optimizer, in eager mode or a `tf.function`.

    Args:
        optimizer: That is called.
        outer: The optimizer around it, or None.
        grads_and_vars: As passed, a list.
        step: The step before the update, int64.
    """

    def __init__(self, optimizer, outer, grads_and_vars, step):
        grads, variables = _unzip(grads_and_vars)
        # Of the very dtype, a cast would return the variable.
        step = tf.identity(step)
        super().__init__(as_tensors(grads), variables, variables, step)
        self._optimizer = optimizer
        self._outer = outer

    def learning_rate(self):
        return _as_rate(_first_attribute(self._optimizer, _RATES))

    def loss_scale(self):
        return _loss_scale(self._outer)


class SessionCall(V1Call):
    """One call of a v1 optimizer in a graph that a session runs.

    It adds nothing to the graph before it is asked.
    """

    def __init__(self, optimizer, outer, grads_and_vars, global_step):
        self.grads, self.variables = _unzip(grads_and_vars)
        self.optimizer_variables = self.variables
        check_distinct(self.variables)
        self._optimizer = optimizer
        self._outer = outer
        self._global_step = global_step

    def step_before(self) -> tf.Tensor | None:
        """Returns the global step, int64 scalar, None if there is none."""
        global_step = self._global_step
        if global_step is None:
            return None
        if hasattr(global_step, "read_value"):
            global_step = global_step.read_value()
        # A reference variable is incremented in place.
        return tf.raw_ops.DeepCopy(x=tf.cast(global_step, tf.int64))

    def learning_rate(self):
        """Returns the tensor that the updates used, now that they are made."""
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
    """Returns a learning rate, NaN if it is only known by calling the user's
    own function a second time."""
    if rate is None or (callable(rate) and not isinstance(rate, tf.Variable)):
        return tf.constant(float("nan"))
    return tf.cast(rate, tf.float32)


def _loss_scale(outer) -> tf.Tensor:
    """Returns a loss scale that never changes, NaN for others: theirs may be
    adapted before or after it would be read."""
    scale = getattr(outer, "_loss_scale", None)
    if isinstance(scale, _train.experimental.FixedLossScale):
        return tf.cast(scale(), tf.float32)
    return tf.constant(float("nan"))


def _has_train_op(optimizer) -> bool:
    """Returns whether an optimizer was used in a graph."""
    used = _first_attribute(optimizer, _RATE_TENSORS)
    return used is not None and tf.is_symbolic_tensor(used)


#: What the other kinds of optimizer call theirs, too.
SEAM = V1Seam
