"""Finds the forward pass of each step of one optimizer.

It observes the model, if that is known, and searches the graph of a step. A
failure gives one warning, and variables are still recorded.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from gradscope.errors import GradscopeWarning
from gradscope.format.schema import Schema
from gradscope.runtime import (
    eager_operations,
    replicas,
    tf_variables,
    tracing,
    trainable_flags,
)
from gradscope.runtime.described_variables import DescribedVariables
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward import (
    fallback,
    graph_search,
    model_facts,
    tape_loss,
)
from gradscope.wrapping.forward.forward_pass import NO_LOSS, ForwardPass
from gradscope.wrapping.forward.logged_loss import LoggedLoss
from gradscope.wrapping.forward.model_capture import ModelCapture, ModelCaptures


class ForwardFinder:
    """Finds forward passes, as long as none has failed.

    Args:
        enabled: Whether forward passes are observed at all.
        is_wanted: Whether a forward pass that begins now is captured.
        rehearse: Measures a forward pass once; an error of it is a failure,
            too.
    """

    def __init__(
        self,
        enabled: bool,
        is_wanted: Callable[[], bool],
        rehearse: Callable[[ForwardPass], None],
    ):
        #: Whether forward passes are observed, still.
        self.active = enabled
        self._enabled = enabled
        self._is_wanted = is_wanted
        self._rehearse = rehearse
        self._warned = False
        self._captures: ModelCaptures | None = None
        self._logged_loss: LoggedLoss | None = None
        self._model: weakref.ref | None = None
        self._operations: eager_operations.EagerGraph | None = None
        # The model's `trainable` flags at each trace.
        self._flags: list[dict] = []

    @property
    def model(self) -> Any:
        """The observed model, None if there is none."""
        return None if self._model is None else self._model()

    @property
    def replacements(self) -> list:
        """The replacements of the model's methods."""
        captures = (self._captures, self._logged_loss)
        return [r for c in captures if c is not None for r in c.replacements]

    def watch(self, model: Any) -> list:
        """Observe a model from now on; return the replacements to install."""
        # A model holds its optimizer, and that holds this object: a reference
        # would keep all of them until Python looks for circles.
        self._model = weakref.ref(model)
        if not self._enabled:
            return []
        self._captures = ModelCaptures(
            model,
            lambda: self.active and self._is_wanted(),
            self._capturing,
            self.warn,
        )
        return self._captures.replacements

    def watch_loss(self, model: Any, name: str) -> list:
        """Observe the loss that a model logs under a name; return the
        replacements to install."""
        self._logged_loss = LoggedLoss(model, self.warn, name)
        return self._logged_loss.replacements

    def capture_logs(self, logs: Any) -> None:
        """Capture the logs that the model's plain program returns."""
        for capture in (self._captures, self._logged_loss):
            if capture is not None:
                capture.capture_logs(logs)

    def find(self, call: Call, described: DescribedVariables) -> ForwardPass:
        """Find the forward pass of a call; an empty one after a failure.

        Args:
            call: The optimizer's call.
            described: All variables that have rows in the record.
        """
        if not self.active:
            return ForwardPass()
        try:
            forward_pass = self._find(call, described)
            self._rehearse(forward_pass)
            return forward_pass
        except Exception as error:
            self.warn(error)
            return ForwardPass(unseen=(fallback.reason(error),))

    def stop(self, error: Exception) -> None:
        """Observe no more forward passes, with one warning."""
        self.active = False
        self.warn(error)

    def warn(self, error: Exception) -> None:
        """Warn once that forward passes are not observed."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                "gradscope cannot observe the activations of this model: "
                f"{fallback.reason(error)}. Its gradients are still recorded. "
                f"{fallback.advice(error)}",
                GradscopeWarning,
                stacklevel=5,
            )

    def forget_operations(self) -> None:
        """Free the tensors of an eager forward pass."""
        self._operations = None

    def remember_trace(self) -> None:
        """Remember the model's `trainable` flags, as of a trace."""
        if self.model is not None:
            self._flags.append(trainable_flags.flags(self.model))

    def stale_layers(self) -> tuple[tuple[str, bool], ...]:
        """List the layers whose `trainable` differs from that of every trace.

        Returns:
            The result of `trainable_flags.changed_layers` since the last trace.
        """
        model = self.model
        if model is None or trainable_flags.flags(model) in self._flags:
            return ()
        if not self._flags:
            return ()
        return trainable_flags.changed_layers(model, self._flags[-1])

    def with_facts(
        self,
        schema: Schema,
        described: DescribedVariables,
        forward_pass: ForwardPass,
        before: Schema | None,
    ) -> Schema:
        """Add facts of the model to a schema.

        A failure gives one warning, and the schema stays as it is.

        Args:
            schema: The schema with its rows.
            described: The variables of the schema's rows.
            forward_pass: The step's forward pass.
            before: The schema of the steps so far.
        """
        try:
            return model_facts.with_facts(
                schema, described, forward_pass, self.model, before
            )
        except Exception as error:
            self.warn(error)
            return schema

    def _find(self, call: Call, described: DescribedVariables) -> ForwardPass:
        graph = tracing.current_graph()
        capture = ModelCapture()
        if self._captures is not None:
            capture = self._captures.pop_latest(graph)
        unseen = replicas.unseen()
        if graph is None:
            # An eager step has the operations of the forward pass that came
            # before it, and of no later step.
            graph, self._operations = self._operations, None
            if self._captures is None:
                return ForwardPass(unseen=("eager steps without `model=`",))
            if graph is None or unseen:
                return ForwardPass(unseen=unseen)
        if self._logged_loss is not None:
            capture.loss = self._logged_loss.loss(graph)
        forward_pass = graph_search.find_forward_pass(
            graph, call, described, capture
        )
        forward_pass.unseen += unseen
        if forward_pass.loss is None:
            forward_pass.loss = call.loss()
            forward_pass.loss_is_computed = False
        # The loss that a `train_step` logs may be another one.
        is_logged = self._logged_loss is not None
        if forward_pass.loss is None and not is_logged:
            if NO_LOSS not in forward_pass.unseen:
                forward_pass.loss = tape_loss.find(call)
        if self._logged_loss is not None and capture.loss is None:
            forward_pass.unseen += (self._logged_loss.unknown,)
        return forward_pass

    def _capturing(self, model: Any) -> contextlib.AbstractContextManager:
        """Context of a forward pass that is captured."""
        if not tf.executing_eagerly():
            return contextlib.nullcontext()
        self._operations = eager_operations.EagerGraph(
            [tf_variables.tf_variable(v) for v in model.variables]
        )
        return self._operations.capture()
