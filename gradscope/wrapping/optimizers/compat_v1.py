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
from gradscope.runtime.described_variables import DescribedVariables
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.optimizers.compat_v1_call import (
    RATE_TENSORS,
    SessionCall,
    V1Call,
    first_attribute,
)
from gradscope.wrapping.optimizers.seam import Seam
from gradscope.wrapping.sessions.inbox import SessionInbox
from gradscope.wrapping.sessions.session_gate import SharedCounters
from gradscope.wrapping.sessions.session_step import (
    SessionObserver,
    SessionStep,
)
from gradscope.wrapping.steps.observer import Options, retire_with
from gradscope.wrapping.steps.step import AnyStep

NAME = "tf.compat.v1.train"

_train = tf.compat.v1.train

#: Optimizers around an optimizer, and the attribute with the inner one. The
#: inner optimizer's gradients are unscaled, and summed over workers.
_OUTER_OPTIMIZERS = (
    (_train.experimental.MixedPrecisionLossScaleOptimizer, "_optimizer"),
    (_train.SyncReplicasOptimizer, "_opt"),
)


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
        optimizer: The optimizer.
        options: The arguments of `wrap`.
        outer: The one of `_OUTER_OPTIMIZERS` around it, or None.
    """

    method: ClassVar[str] = "apply_gradients"

    def __init__(self, optimizer: Any, options: Options, outer: Any = None):
        super().__init__(optimizer, options, outer)
        self._call_count: tf.Variable | None = None
        self._losses: list[Any] = []
        self._loss_replacement = MethodReplacement(
            optimizer, "compute_gradients", self._observe_compute
        )
        if _has_train_op(optimizer):
            warnings.warn(
                f"this {type(optimizer).__name__} has already made a train op, "
                "and gradscope can observe only train ops that are made after "
                "`wrap`. Wrap an optimizer before you call its `minimize` or "
                "`apply_gradients`.",
                GradscopeWarning,
                stacklevel=4,
            )

    def __call__(
        self, grads_and_vars: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        # Often a `zip`; gradscope and the optimizer both read it.
        if isinstance(grads_and_vars, Iterator):
            grads_and_vars = list(grads_and_vars)
        return super().__call__(grads_and_vars, *arguments, **keywords)

    def call(
        self,
        grads_and_vars: list[Any],
        global_step: Any = None,
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
    ) -> Call:
        """Describe a call of `apply_gradients`."""
        reason = _unsupported_replicas()
        if reason is not None:
            raise NotImplementedError(reason)
        losses, self._losses = self._losses, []
        arguments = (self.optimizer, self.outer, losses, grads_and_vars)
        if tracing.session_graph(tracing.current_graph()) is not None:
            return SessionCall(*arguments, global_step)
        step = self._next_count() if global_step is None else global_step
        return V1Call(*arguments, step)

    def other_replacements(self) -> list[Any]:
        """The replacement of `compute_gradients`, which shows the loss."""
        # An outer optimizer passes a scaled loss, or that of one worker.
        return [self._loss_replacement] if self.outer is None else []

    def _observe_compute(
        self, loss: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        """Replacement of `compute_gradients`."""
        # Two losses are enough to know that there are several. A program that
        # never applies its gradients would otherwise collect them for ever.
        self._losses = [*self._losses, loss][-2:]
        return self._loss_replacement.original(loss, *arguments, **keywords)

    def step(self, call: Call) -> AnyStep:
        """Make the step that observes a call, in a session or as other
        optimizers do."""
        graph = tracing.session_graph(tracing.current_graph())
        if graph is None:
            return super().step(call)
        described = self.observers.describe(
            call.variables, self._latest_in(graph)
        )
        forward_pass = self.finder.find(call, described)
        observer, number = self._session_observer(
            graph,
            call.variables,
            described.in_forward_order(graph),
            forward_pass,
        )
        return SessionStep(self, observer, number, call, forward_pass)

    def config(self) -> dict[str, Any]:
        """The optimizer's configuration, from its attributes."""
        # These optimizers have no `get_config`.
        return {n.removeprefix("_"): v for n, v in vars(self.optimizer).items()}

    def _latest_in(self, graph: tf.Graph) -> SessionObserver | None:
        """The latest observer of a session's graph; None before the first."""
        for observer in reversed(self.observers.all):
            if (
                isinstance(observer, SessionObserver)
                and observer.graph is graph
            ):
                return observer
        return None

    def _session_observer(
        self,
        graph: tf.Graph,
        variables: list[Any],
        described: DescribedVariables,
        forward_pass: ForwardPass,
    ) -> tuple[SessionObserver, int]:
        """Find or make the observer of a new train op; number the train op."""
        train_op = variables, described, forward_pass, self.finder.with_facts
        latest = self._latest_in(graph)
        if latest is not None:
            number = latest.add_train_op(*train_op)
            if number is not None:
                return latest, number
        inbox = SessionInbox(self.observers.writer, self.options)
        observer = SessionObserver(
            graph,
            inbox,
            latest.counters if latest else SharedCounters(),
            self.description(),
        )
        # An optimizer of TensorFlow 1 is often deleted after it made its train
        # op. The graph keeps the seam alive as long as the train op.
        graph._gradscope = [*getattr(graph, "_gradscope", ()), self]
        retire_with(observer, inbox)
        self.observers.all.append(observer)
        observer.add_train_op(*train_op)
        return observer, 0

    def _next_count(self) -> tf.Tensor:
        """Count this call, and return the number of calls before it."""
        if self._call_count is None:
            self._call_count = own_variables.create(np.zeros([], np.int64), "")
        before = tf.identity(self._call_count)
        self._call_count.assign_add(1)
        return before


def _has_train_op(optimizer: Any) -> bool:
    """Return whether an optimizer was used in a graph."""
    used = first_attribute(optimizer, RATE_TENSORS)
    return used is not None and tf.is_symbolic_tensor(used)


SEAM = V1Seam
