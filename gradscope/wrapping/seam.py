"""The seam: what stands in for one method of one optimizer instance.

The optimizer stays the object that it was: same class, same configuration,
same variables, same checkpoint. Its own method is called exactly where and as
often as before; what is added lies around it.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

import tensorflow as tf

from gradscope import writer
from gradscope.errors import GradscopeWarning
from gradscope.wrapping import activations, layers, replicas, tracing
from gradscope.wrapping.call import Call
from gradscope.wrapping.observer import Observer, Options, retire_with
from gradscope.wrapping.standin import StandIn
from gradscope.wrapping.step import Step


class Seam:
    """Stands in for the method with which an optimizer applies gradients.

    Args:
        optimizer: Its instance attribute `method` is set.
        options: The arguments of `wrap`.
    """

    #: Name of the method; subclasses say which.
    method: ClassVar[str]

    def __init__(self, optimizer, options: Options):
        self.options = options
        #: While True, the method is the optimizer's own and nothing else, also
        #: in what is traced meanwhile: the callback's unobserved program.
        self.plain = False
        #: Whether a traced step holds random ops whose state belongs to the
        #: program (`tf.random.*`): two programs would draw two streams.
        self.has_program_state = False
        self.optimizer = optimizer
        self._stand_in = StandIn(optimizer, self.method, self)
        self._writer = writer.EventWriter(options.directory)
        self._observers: list[Observer] = []
        self._failed = False
        self._called = False
        self._first_step = self.steps_made()
        self.resume()

    @classmethod
    def of(cls, optimizer) -> Seam | None:
        """Returns the seam of an optimizer, None if it is not observed."""
        stand_in = vars(optimizer).get(cls.method)
        seam = getattr(stand_in, "function", None)
        return seam if isinstance(seam, Seam) else None

    def call(self, *arguments, **keywords) -> Call:
        """Returns the call that was made with these arguments."""
        raise NotImplementedError

    def step(self, call: Call) -> Step:
        """Returns what observes a call."""
        found, unseen = self.activations(call.known)
        observer = self.observer(call.known, tuple(found), unseen)
        return Step(self, observer, call, found)

    def activations(self, known: list) -> tuple[dict, tuple[str, ...]]:
        """Returns the activations of the graph that is being traced, and what
        of them cannot be observed, by name."""
        graph = tracing.current_graph()
        if graph is None:
            return {}, ("eager steps have no graph",)
        if tracing.in_xla(graph):
            # To read what XLA would only pass on within a kernel changes the
            # last bit of a transformer's weights (its GELU and softmax).
            return {}, ("steps that XLA compiles",)
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return {}, ("several replicas",)
        found, unseen = activations.find(graph)
        variables = [layers.tf_variable(v) for v in known]
        owners = activations.owners_of(graph, variables, layers.describe(known))
        described = activations.describe(found, owners)
        return dict(zip(described, found, strict=True)), tuple(unseen)

    def follow(self, *arguments, **keywords) -> None:
        """Does what all replicas must do together for the one observed."""

    def steps_made(self) -> int:
        """Returns the optimizer's step, 0 where it cannot be asked."""
        return 0

    def description(self) -> dict:
        """Returns the optimizer's class and configuration, as JSON."""
        try:
            config = self.config()
        except Exception:  # a user's optimizer need not have one
            config = {}
        return {
            "class": type(self.optimizer).__name__,
            "config": {k: v for k, v in config.items() if _is_json(v)},
        }

    def config(self) -> dict:
        """Returns the optimizer's configuration; may fail."""
        return self.optimizer.get_config()

    @property
    def suspended(self) -> bool:
        """Whether the optimizer has its own method for the time being."""
        return not self._stand_in.installed

    def resume(self) -> None:
        """Stands in for the optimizer's method."""
        self._stand_in.install()

    def suspend(self) -> None:
        """Gives the optimizer its own method back."""
        self._stand_in.remove()

    def remove(self) -> None:
        """Gives the optimizer its own method back and closes the record."""
        self.suspend()
        self.plain = True
        self._warn_if_bypassed()
        for observer in self._observers:
            observer.close()

    def drain(self) -> None:
        """Writes what was measured so far."""
        self._warn_if_bypassed()
        for observer in self._observers:
            observer.drain.drain()

    def stepped(self, steps: int) -> None:
        """Tells that observed steps were made, so that no ring overflows."""
        for observer in self._observers:
            observer.drain.stepped(steps)

    def due(self, step: int) -> bool:
        """Returns whether the step is recorded; True while not known."""
        return not self._observers or any(
            observer.gate.due_on_host(step) for observer in self._observers
        )

    def __call__(self, *arguments, **keywords):
        return self.around(self._stand_in, *arguments, **keywords)

    def around(self, stand_in: StandIn, *arguments, **keywords):
        """Calls the method that is stood in for, and observes it."""

        def original():
            return stand_in.original(*arguments, **keywords)

        if self.plain or self._failed:
            return original()
        self._called = True
        if not replicas.is_first():
            self.follow(*arguments, **keywords)
            return original()
        try:
            step = self.step(self.call(*arguments, **keywords))
        except Exception as error:
            # The optimizer has the first word: a call that it refuses too is
            # the user's error and not ours.
            result = original()
            self.fail(error)
            return result
        if tf.executing_eagerly():
            return step.eagerly(original)
        return step.in_graph(original)

    def observer(
        self, known: list, watched: tuple = (), unseen: tuple = ()
    ) -> Observer:
        """Returns the observer of these variables, created if need be.

        When an optimizer meets new variables, it gets an observer of the old
        and the new ones; programs that were traced before keep theirs.
        """
        present = self.latest()
        if present is not None:
            if present.covers(known) and present.watch.covers(watched):
                return present
            met = [v for v in known if not present.covers([v])]
            known = [*present.known, *met]
            watched = tuple(dict.fromkeys([*present.watch.described, *watched]))
        graph = tracing.current_graph()
        known = [known[index] for index in layers.forward_order(known, graph)]
        observer = Observer(
            known,
            self._writer,
            self.description(),
            self.options,
            watched,
            unseen,
        )
        retire_with(self, observer)
        self._observers.append(observer)
        return observer

    def latest(self) -> Observer | None:
        """Returns the observer of the variables that were met so far."""
        return self._observers[-1] if self._observers else None

    def fail(self, error: Exception) -> None:
        """Stops observing, with one warning."""
        if not self._failed:
            self._failed = True
            reason, request = f"{error}", ""
            if not isinstance(error, NotImplementedError):
                reason = f"{type(error).__name__}: {error}"
                request = " Please report this."
            warnings.warn(
                f"gradscope cannot observe {type(self.optimizer).__name__}: "
                f"{reason}. Training goes on without it.{request}",
                GradscopeWarning,
                stacklevel=4,
            )

    @property
    def is_idle(self) -> bool:
        """Whether the optimizer made no step since it was wrapped."""
        return not self._called and self.steps_made() == self._first_step

    def _warn_if_bypassed(self) -> None:
        if not self._called and self.steps_made() > self._first_step:
            self._called = True  # say it once
            warnings.warn(
                "gradscope has seen no step of this optimizer, though it made "
                "some: the training step was traced before `wrap`. Call "
                "`gradscope.wrap(optimizer, logdir, model=model)` before "
                "`fit`, and before the first call of your own `tf.function`.",
                GradscopeWarning,
                stacklevel=4,
            )


def _is_json(value) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
