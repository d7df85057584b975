"""The seam: the replacement of one method of one optimizer instance.

The optimizer keeps its class, configuration, variables and checkpoint. Its own
method is called in the same places and as often as before; observation happens
before and after each call.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import tensorflow as tf

from gradscope.errors import GradscopeWarning
from gradscope.runtime import (
    replicas,
    rewritten_sums,
    same_signature,
    tracing,
    trainable_flags,
)
from gradscope.runtime.described_variables import DescribedVariables
from gradscope.runtime.method_replacement import MethodReplacement
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward import fallback
from gradscope.wrapping.forward.forward_finder import ForwardFinder
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.optimizers.bypassed import BypassDetector
from gradscope.wrapping.optimizers.run_notes import RunNotes
from gradscope.wrapping.steps import rehearsal
from gradscope.wrapping.steps.observer import Observer, Options
from gradscope.wrapping.steps.observers import Observers, OptimizerState
from gradscope.wrapping.steps.replica_step import ReplicaStep
from gradscope.wrapping.steps.step import AnyStep, Step

#: Method that Keras's `fit` calls at its end.
_FINAL = "finalize_variable_values"


class OtherSteps(Protocol):
    """What a seam asks of who notices steps beside those of a `fit`.

    Attributes:
        replacements: Of a model's methods that make steps.
    """

    replacements: list[MethodReplacement]

    def notice_call(self) -> None:
        """Notice a call of the optimizer."""


class Seam:
    """Replacement of the method with which an optimizer applies gradients.

    A kind of optimizer has a subclass, which must set `method` and override
    `call`. It may override `current_step`, so that steps have the optimizer's
    own numbers on the host; `part_names`, if variables have learning rates of
    their own; `replica_call`, to observe other replicas; `other_replacements`,
    to replace further methods; `config`, if `get_config` will not do; and
    `__call__`, to read an argument once that is an iterator.

    Args:
        optimizer: The optimizer; `resume` sets its instance attribute `method`.
        options: The arguments of `wrap`.
        outer: The optimizer around it that calls it, or None.
    """

    #: Name of the method; each subclass sets it.
    method: ClassVar[str]

    #: Whether the outer optimizer is a loss scale whose skips can be counted.
    counts_skips: ClassVar[bool] = False

    def __init__(self, optimizer: Any, options: Options, outer: Any = None):
        self.options = options
        self.outer = outer
        #: While True, calls run the optimizer's own method alone, also in
        #: traces.
        self.plain = False
        #: While True, so do calls in traces, as in those of the callback's
        #: plain program.
        self.plain_in_traces = False
        #: Notices steps beside those of a `fit`; None outside of one.
        self.other_steps: OtherSteps | None = None
        #: Whether a traced step has random ops whose state belongs to the
        #: program (`tf.random.*`): two programs would draw different numbers.
        self.has_program_state = False
        self.optimizer = optimizer
        self._replacement = MethodReplacement(optimizer, self.method, self)
        self._finalize_replacements: list[MethodReplacement] = []
        if hasattr(optimizer, _FINAL):  # legacy and v1 optimizers lack it
            finalize = MethodReplacement(optimizer, _FINAL, self._finalize)
            self._finalize_replacements.append(finalize)
        #: The `ObservedModel` of a callback that observes the optimizer.
        self.observed_model: Any = None
        self._fit_replacements: list[MethodReplacement] = []
        self.finder = ForwardFinder(
            options.activations, self._captures_now, rehearsal.rehearse
        )
        self.observers = Observers(self, options, self.finder.with_facts)
        self.run_notes = RunNotes(self.observers, self.step_count, self.fail)
        #: Whether observing has failed, and has stopped.
        self.failed = False
        self._was_called = False
        # Held while the observer of a call is looked up, or made.
        self._lock = threading.RLock()
        #: The variables of each traced call.
        self.traced: set[frozenset[Any]] = set()
        self._warnings_given: set[str] = set()
        logdir = os.path.dirname(options.directory)
        self._bypass_detector = BypassDetector(optimizer, self.method, logdir)
        self._first_step = self.step_count()

    @classmethod
    def of(cls, optimizer: Any) -> Seam | None:
        """The seam of an optimizer; None if the optimizer is not observed."""
        replacement = same_signature.replacement_of(
            vars(optimizer).get(cls.method)
        )
        seam = getattr(replacement, "function", None)
        return seam if isinstance(seam, Seam) else None

    def call(self, *arguments: Any, **keywords: Any) -> Call:
        """Describe a call of the method."""
        raise NotImplementedError

    def replica_call(self, *arguments: Any, **keywords: Any) -> Call | None:
        """Describe a call on another replica than the first; None if
        unsupported."""
        return None

    def step(self, call: Call) -> AnyStep:
        """Make the step that observes a call."""
        # Threads whose first calls meet share one observer.
        with self._lock:
            described = self.observers.describe(
                call.optimizer_variables, self.observers.latest()
            )
            forward_pass = self.finder.find(call, described)
            observer = self._observer(described, forward_pass)
        if not tf.executing_eagerly():
            self.traced.add(frozenset(v.ref() for v in call.variables))
            self.finder.remember_trace()
        # These functions hold all tensors of an eager forward pass. The schema
        # has used them, so their memory can be freed.
        forward_pass.forget_operations()
        return Step(self, observer, call, forward_pass)

    def observer_of(self, variables: list[Any]) -> Observer:
        """The observer of variables, for a step without a forward pass."""
        with self._lock:
            described = self.observers.describe(
                variables, self.observers.latest()
            )
            return self._observer(described, ForwardPass())

    def _observer(
        self, described: DescribedVariables, forward_pass: ForwardPass
    ) -> Observer:
        """The observer with these rows, made if there is none yet."""
        observer = self.observers.find(described, forward_pass)
        if observer is not None:
            return observer
        described = described.in_forward_order(tracing.current_graph())
        state = OptimizerState(
            self.description(),
            self._step_before(),
            self.outer is not None and self.counts_skips,
            self.part_names(described.variables),
        )
        return self.observers.add(described, forward_pass, state)

    def watch(self, model: Any) -> None:
        """Observe the forward passes of a model from now on, and record its
        facts."""
        self._bypass_detector.watch(model)
        self._install(self.finder.watch(model))
        if not self._finalize_replacements and hasattr(model, "fit"):
            fit = MethodReplacement(model, "fit", self._fit_and_finish)
            self._fit_replacements.append(fit)
            self._install([fit])

    def notice_other_steps(self, other_steps: OtherSteps) -> None:
        """Notice steps that are not those of a `fit` from now on."""
        self.other_steps = other_steps
        self._install(other_steps.replacements)

    def watch_loss(self, model: Any, name: str) -> None:
        """Observe the loss that a model logs under a name."""
        self._install(self.finder.watch_loss(model, name))

    def capture_logs(self, logs: Any) -> None:
        """Capture the logs that the model's plain program returns."""
        self.finder.capture_logs(logs)

    def _install(self, replacements: list[Any]) -> None:
        if not self.suspended:
            for replacement in replacements:
                replacement.install()

    def _captures_now(self) -> bool:
        """Return whether a forward pass that begins now is captured."""
        if self._is_plain or self.failed or self.suspended:
            return False
        return not tf.executing_eagerly() or self.due(self.step_count())

    def other_replacements(self) -> list[Any]:
        """Further replacements while the optimizer is observed.

        Each has `install` and `remove`.
        """
        return []

    def step_count(self) -> int:
        """The optimizer's step, 0 if unknown."""
        return self.current_step() or 0

    def current_step(self) -> int | None:
        """The optimizer's step, None if unknown."""
        return None

    def _step_before(self) -> int | None:
        """The optimizer's step before this call or trace, None if unknown."""
        with tf.init_scope():  # a trace cannot read a variable's value
            return self.current_step()

    def part_names(self, variables: Sequence[Any]) -> list[str]:
        """Name the part of the optimizer that updates each variable.

        Args:
            variables: The variables in the order of the rows.

        Returns:
            The names; empty if all variables have the same learning rate.
        """
        return []

    def description(self) -> dict[str, Any]:
        """The optimizer's class and configuration, as JSON."""
        try:
            config = self.config()
        except Exception:  # a user's optimizer may lack `get_config`
            config = {}
        description = {
            "class": type(self.optimizer).__name__,
            "config": {k: v for k, v in config.items() if _is_json(v)},
        }
        if self.outer is not None:
            description["around"] = type(self.outer).__name__
        return description

    def config(self) -> dict[str, Any]:
        """The optimizer's configuration; may raise any error of the user's."""
        with tf.init_scope():  # a trace cannot read a variable's value
            config = self.optimizer.get_config()
        # Hyperparameters of tf_keras are numpy's numbers, which JSON does not
        # take.
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in config.items()
        }

    @property
    def observes(self) -> bool:
        """Whether calls are observed now."""
        return not (self._is_plain or self.failed)

    @property
    def _is_plain(self) -> bool:
        """Whether a call runs the optimizer's own method alone."""
        return self.plain or (self.plain_in_traces and not tracing.runs_alone())

    @property
    def suspended(self) -> bool:
        """Whether the optimizer has its own method for the present."""
        return not self._replacement.installed

    def resume(self) -> None:
        """Replace the optimizer's method."""
        for replacement in self._replacements():
            replacement.install()

    def suspend(self) -> None:
        """Give the optimizer its own method back."""
        # The last one first: it may replace a method that an earlier one has
        # replaced.
        for replacement in reversed(self._replacements()):
            replacement.remove()
        self.finder.forget_operations()

    def _replacements(self) -> list[Any]:
        others = self.other_steps
        return [
            *self._replacements_of_optimizer(),
            *self._fit_replacements,
            *self.finder.replacements,
            *(others.replacements if others else []),
        ]

    def _replacements_of_optimizer(self) -> list[Any]:
        return [
            self._replacement,
            *self.other_replacements(),
            *self._bypass_detector.replacements,
            *self._finalize_replacements,
        ]

    def remove(self) -> None:
        """Give the optimizer its own method back, and close the record."""
        # Asked before `suspend`, which changes it.
        suspended = self.suspended
        self.suspend()
        self.plain = True
        self.observers.close()
        if not suspended:
            self.warn_if_bypassed()

    @contextlib.contextmanager
    def unobserved(self) -> Iterator[None]:
        """Context in which calls run the optimizer's own method alone."""
        before, self.plain = self.plain, True
        try:
            yield
        finally:
            self.plain = before

    def warn_once(self, message: str) -> None:
        """Warn once that other steps are recorded than asked, or none."""
        self._was_called = True
        if message not in self._warnings_given:
            self._warnings_given.add(message)
            warnings.warn(message, GradscopeWarning, stacklevel=2)

    def expect_no_call(self) -> None:
        """Do not warn at the end that no step was seen."""
        self._was_called = True

    def _finalize(self, *arguments: Any, **keywords: Any) -> Any:
        """Replacement of the method that `fit` calls at its end."""
        original = self._finalize_replacements[0].original
        return self._run_and_finish(original, *arguments, **keywords)

    def _fit_and_finish(self, *arguments: Any, **keywords: Any) -> Any:
        """Replacement of a model's `fit`, if that calls no such method."""
        original = self._fit_replacements[0].original
        return self._run_and_finish(original, *arguments, **keywords)

    def _run_and_finish(
        self, original: Callable[..., Any], *arguments: Any, **keywords: Any
    ) -> Any:
        result = original(*arguments, **keywords)
        if not self.failed:
            self._finish()
        return result

    def _finish(self) -> None:
        """Write the last steps of a `fit`.

        The process may end without Python's exit handlers afterwards, as of a
        worker that is killed.
        """
        try:
            self.record_stale_layers(self.finder.stale_layers())
            self.drain()
        except Exception as error:
            self.fail(error)

    def drain(self) -> None:
        """Write all steps recorded so far; a failure is a warning."""
        self._warn_of_bypassing_steps()
        try:
            self.observers.drain()
        except GradscopeWarning:  # a filter of the user makes it an error
            raise
        # Raised, it would end a training at the end of an epoch.
        except Exception as error:
            self.fail(error)

    def due(self, step: int) -> bool:
        """Return whether a step is recorded; True if unknown."""
        return not self.failed and self.observers.due(step)

    def missing_steps(self, first: int, end: int) -> list[int]:
        """List the steps that were due, and are not in the record.

        Args:
            first: The first step that is asked about.
            end: The first one after these steps.
        """
        return [] if self.failed else self.observers.missing(first, end)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self.call_and_observe(self._replacement, *arguments, **keywords)

    def call_and_observe(
        self, replacement: MethodReplacement, *arguments: Any, **keywords: Any
    ) -> Any:
        """Call the replaced method, and observe the call."""
        original = functools.partial(
            replacement.original, *arguments, **keywords
        )
        if self.other_steps is not None and not self.plain:
            self.other_steps.notice_call()
        graphs = tracing.outermost_first(tracing.current_graph())
        if self._is_plain:
            self.run_notes.watch_sums(graphs)
            self.run_notes.record_unordered_terms(graphs)
        if not self.observes:
            return original()
        self._was_called = True
        rewritten_sums.keep_order(graphs)
        self.run_notes.record_unordered_terms(graphs)
        if not replicas.is_first():
            return self._call_on_replica(original, *arguments, **keywords)
        try:
            _check_branch()
            step = self.step(self.call(*arguments, **keywords))
        except Exception as error:
            # The optimizer runs first: if it refuses the call as well, its
            # error is the user's, and gradscope has not failed.
            result = original()
            self.fail(error)
            return result
        return step.run(original)

    def _call_on_replica(
        self, original: Callable[[], Any], *arguments: Any, **keywords: Any
    ) -> Any:
        """Call the method on another replica than the first."""
        observer = self.observers.latest()
        replica_step = None
        # An error here must not keep this replica from its own step, for which
        # all others wait.
        try:
            call = self.replica_call(*arguments, **keywords)
            # Before the first replica has made its observer there is no ring
            # for the rows of the others.
            if observer is not None and call is not None:
                forward_pass = self.finder.find(call, observer.described)
                replica_step = ReplicaStep(observer, call, forward_pass)
        except Exception as error:
            self.fail(error)
        result = original()
        try:
            if replica_step is not None:
                replica_step.in_graph()
        except Exception as error:
            self.fail(error)
        return result

    def record_stale_layers(self, layers: tuple[tuple[str, bool], ...]) -> None:
        """Record that `trainable` was changed after `compile`, and warn once.

        Args:
            layers: Result of `trainable_flags.changed_layers`.
        """
        if layers:
            self.warn_once(trainable_flags.describe_change(layers))
            self.run_notes.record_stale_layers(layers)

    def fail(self, error: Exception) -> None:
        """Stop to observe, with one warning."""
        if not self.failed:
            self.failed = True
            reason, request = f"{error}", ""
            # That one is a known limit, with its remedy in the text. Any other
            # error is a fault, to be reported.
            if not isinstance(error, NotImplementedError):
                reason = fallback.reason(error)
                request = f" {fallback.advice(error)}"
            warnings.warn(
                f"gradscope cannot observe {type(self.optimizer).__name__}: "
                f"{reason}. Training goes on without gradscope.{request}",
                GradscopeWarning,
                stacklevel=4,
            )

    @property
    def is_idle(self) -> bool:
        """Whether the optimizer made no step since `wrap`."""
        return not self._was_called and self.step_count() == self._first_step

    @property
    def has_no_record(self) -> bool:
        """Whether the optimizer's step number stands, and nothing is written.

        Steps that a loss scale skips are written.
        """
        is_still = self.step_count() == self._first_step
        return is_still and not self.observers.writer.has_file

    def warn_if_bypassed(self) -> None:
        """Warn if a training bypassed the optimizer; call this at the end."""
        if not self._bypass_detector.can_tell:
            return
        self._warn_of_bypassing_steps()
        if not self._was_called:
            copies = max(s.copies for s in self._replacements_of_optimizer())
            self._warn_of_unseen(
                self._bypass_detector.reason_without_steps(self.config, copies)
            )

    def _warn_of_bypassing_steps(self) -> None:
        if not self._was_called and self.step_count() > self._first_step:
            self._warn_of_unseen(
                self._bypass_detector.reason_for_unseen_steps()
            )

    def _warn_of_unseen(self, reason: str | None) -> None:
        # After a failure, which has its own warning, this would be no news.
        if reason is not None and not self.failed:
            self._was_called = True  # warn once
            warnings.warn(reason, GradscopeWarning, stacklevel=5)


def _check_branch() -> None:
    """Check that a step is not made in a branch that XLA compiles.

    XLA replaces a conditional of few operations by a selection, which it fuses
    with the operations around it and so rounds differently. With measurements
    in a branch it stays a conditional.

    Raises:
        NotImplementedError: If it is.
    """
    if tracing.in_xla_branch(tracing.current_graph()):
        raise NotImplementedError(
            "it steps in a branch of a conditional (`if`, `tf.cond`) that XLA "
            "compiles, where measurements may change the last bits of weights. "
            "Call the optimizer outside of the conditional, or train without "
            "`jit_compile=True`, to look at it"
        )


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
