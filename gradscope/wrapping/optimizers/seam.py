"""The seam: what stands in for one method of one optimizer instance.

The optimizer stays the object that it was: same class, same configuration,
same variables, same checkpoint. Its own method is called exactly where and as
often as before; what is added lies around it.
"""

from __future__ import annotations

import contextlib
import os
import warnings
import weakref
from typing import ClassVar

import numpy as np
import tensorflow as tf

from gradscope.errors import GradscopeWarning
from gradscope.format.schema import Schema
from gradscope.recording import event_writer
from gradscope.runtime import (
    eager_operations,
    lookalike,
    replicas,
    rewritten_sums,
    tf_variables,
    tracing,
    trainable_flags,
)
from gradscope.runtime.stand_in import StandIn
from gradscope.wrapping.call import Call
from gradscope.wrapping.forward import find, model_facts
from gradscope.wrapping.forward.forward_pass import Forward
from gradscope.wrapping.forward.logged_loss import Logged
from gradscope.wrapping.forward.model_notes import Note, Notes
from gradscope.wrapping.optimizers.bypassed import Elsewhere
from gradscope.wrapping.steps import guard, rehearsal
from gradscope.wrapping.steps.observer import Observer, Options, retire_with
from gradscope.wrapping.steps.replica_step import Follower
from gradscope.wrapping.steps.step import Step

#: What `fit` of Keras calls when it ends.
_FINAL = "finalize_variable_values"


class Seam:
    """Stands in for the method with which an optimizer applies gradients.

    Args:
        optimizer: Its instance attribute `method` is set.
        options: The arguments of `wrap`.
        outer: The optimizer around it through which it is called, or None.
    """

    #: Name of the method; subclasses say which.
    method: ClassVar[str]

    #: Whether the outer optimizer is a loss scale whose skips can be counted.
    counts_skips: ClassVar[bool] = False

    def __init__(self, optimizer, options: Options, outer=None):
        self.options = options
        self.outer = outer
        #: While True, the method is the optimizer's own and nothing else, also
        #: in what is traced meanwhile: the callback's unobserved program.
        self.plain = False
        #: Whether a traced step holds random ops whose state belongs to the
        #: program (`tf.random.*`): two programs would draw two streams.
        self.has_program_state = False
        self.optimizer = optimizer
        self._stand_in = StandIn(optimizer, self.method, self)
        self._final = None
        if hasattr(optimizer, _FINAL):  # not so of those before Keras's current
            self._final = StandIn(optimizer, _FINAL, self._finalized)
        self._writer = event_writer.EventWriter(options.directory)
        self._observers: list[Observer] = []
        #: Whether nothing is observed any more, as it failed.
        self.failed = False
        #: Whether forward passes are.
        self.sees_forward = options.activations
        self._warned_of_forward = False
        self._called = False
        #: The variables of each call that was traced, and of the model what
        #: was trainable then.
        self.traced: set[frozenset] = set()
        self._flags: list[dict] = []
        self._said: set[str] = set()
        self._notes: Notes | None = None
        self._loss: Logged | None = None
        self._model: weakref.ref | None = None
        self._operations: eager_operations.Ops | None = None
        logdir = os.path.dirname(options.directory)
        self._elsewhere = Elsewhere(optimizer, self.method, logdir)
        self._unordered_sums: tuple[str, ...] = ()
        self._first_step = self.steps_made()
        self.resume()

    @classmethod
    def of(cls, optimizer) -> Seam | None:
        """Returns the seam of an optimizer, None if it is not observed."""
        stand_in = lookalike.stand_in_of(vars(optimizer).get(cls.method))
        seam = getattr(stand_in, "function", None)
        return seam if isinstance(seam, Seam) else None

    def call(self, *arguments, **keywords) -> Call:
        """Returns the call that was made with these arguments."""
        raise NotImplementedError

    def told(self, *arguments, **keywords) -> Call | None:
        """Returns what another replica than the first was given, None where
        replicas are not told apart."""
        return None

    def step(self, call: Call) -> Step:
        """Returns what observes a call."""
        seen = self.forward(call)
        observer = self.observer(call.known, seen)
        if not tf.executing_eagerly():
            self._note_traced(call)
        # They hold all tensors of an eager forward pass.
        seen.links = seen.wiring = list
        return Step(self, observer, call, seen)

    def _note_traced(self, call: Call) -> None:
        self.traced.add(frozenset(v.ref() for v in call.variables))
        model = None if self._model is None else self._model()
        if model is not None:
            self._flags.append(trainable_flags.flags(model))

    def watch(self, model) -> None:
        """Has a model tell of itself, and its forward passes from now on."""
        self._model = weakref.ref(model)
        self._elsewhere.watch(model)
        if not self.options.activations:
            return
        self._notes = Notes(
            model, self._is_noting, self._noting, self._fail_to_see
        )
        if not self.suspended:
            for stand_in in self._notes.stand_ins:
                stand_in.install()

    def watch_loss(self, model, name: str) -> None:
        """Has a model tell the loss that it logs under a name."""
        self._loss = Logged(model, self._fail_to_see, name)
        if not self.suspended:
            for stand_in in self._loss.stand_ins:
                stand_in.install()

    def returned(self, logs) -> None:
        """Has what the model's plain program returns of a step be known."""
        for one in (self._notes, self._loss):
            if one is not None:
                one.returned(logs)

    def forward(self, call: Call) -> Forward:
        """Returns what there is to be seen of a call's forward pass; if that
        fails, there is one warning, and the rest is still observed."""
        if not self.sees_forward:
            return Forward()
        try:
            seen = self._seen(call)
            rehearsal.rehearse(seen)
            return seen
        except Exception as error:
            self._fail_to_see(error)
            return Forward(unseen=(guard.reason(error),))

    def stop_seeing(self, error: Exception) -> None:
        """Observes no forward passes any more, with one warning; variables are
        still recorded."""
        self.sees_forward = False
        self._fail_to_see(error)

    def _fail_to_see(self, error: Exception) -> None:
        """Warns once that forward passes are not observed."""
        if not self._warned_of_forward:
            self._warned_of_forward = True
            warnings.warn(
                "gradscope cannot observe the activations of this model: "
                f"{guard.reason(error)}. Its gradients are recorded all the "
                f"same. {guard.advice(error)}",
                GradscopeWarning,
                stacklevel=5,
            )

    def _seen(self, call: Call) -> Forward:
        graph = tracing.current_graph()
        note = Note()
        if self._notes is not None:
            note = self._notes.latest(graph)
        unseen = replicas.unseen()
        if graph is None:
            graph, self._operations = self._operations, None
            if self._notes is None:
                return Forward(unseen=("eager steps without `model=`",))
            if graph is None or unseen:
                return Forward(unseen=unseen)
        if self._loss is not None:
            note.loss = self._loss.loss(graph)
        seen = find.see(graph, call, note)
        seen.unseen += unseen
        if self._loss is not None and note.loss is None:
            seen.unseen += (self._loss.unknown,)
        return seen

    def _is_noting(self) -> bool:
        """Returns whether a forward pass that begins now is to be noted."""
        if self.plain or self.failed or self.suspended:
            return False
        if not self.sees_forward:
            return False
        return not tf.executing_eagerly() or self.due(self.steps_made())

    def _noting(self, model):
        """Returns the context of a forward pass that is to be noted."""
        if not tf.executing_eagerly():
            return contextlib.nullcontext()
        self._operations = eager_operations.Ops(
            [tf_variables.tf_variable(v) for v in model.variables]
        )
        return self._operations.noting()

    def others(self) -> list:
        """Returns what else stands in while the optimizer is observed; each
        has `install` and `remove`."""
        return []

    def steps_made(self) -> int:
        """Returns the optimizer's step, 0 where it cannot be asked."""
        return self.step_now() or 0

    def step_now(self) -> int | None:
        """Returns the optimizer's step, None where it cannot be asked."""
        return None

    def _step_before(self) -> int | None:
        """Returns the optimizer's step before a call that is traced or made,
        None where it is not known."""
        with tf.init_scope():  # what a variable holds cannot be had in a trace
            return self.step_now()

    def description(self) -> dict:
        """Returns the optimizer's class and configuration, as JSON."""
        try:
            config = self.config()
        except Exception:  # a user's optimizer need not have one
            config = {}
        description = {
            "class": type(self.optimizer).__name__,
            "config": {k: v for k, v in config.items() if _is_json(v)},
        }
        if self.outer is not None:
            description["around"] = type(self.outer).__name__
        return description

    def config(self) -> dict:
        """Returns the optimizer's configuration; may fail."""
        with tf.init_scope():  # what a variable holds cannot be had in a trace
            config = self.optimizer.get_config()
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in config.items()
        }

    @property
    def suspended(self) -> bool:
        """Whether the optimizer has its own method for the time being."""
        return not self._stand_in.installed

    def resume(self) -> None:
        """Stands in for the optimizer's method."""
        for stand_in in self._stand_ins():
            stand_in.install()

    def suspend(self) -> None:
        """Gives the optimizer its own method back."""
        for stand_in in reversed(self._stand_ins()):
            stand_in.remove()
        self._operations = None  # which holds the tensors of a forward pass

    def _stand_ins(self) -> list:
        noting = [one for one in (self._notes, self._loss) if one is not None]
        return [
            *self._own_stand_ins(),
            *(stand_in for one in noting for stand_in in one.stand_ins),
        ]

    def _own_stand_ins(self) -> list:
        final = [] if self._final is None else [self._final]
        elsewhere = self._elsewhere.stand_ins
        return [self._stand_in, *self.others(), *elsewhere, *final]

    def remove(self) -> None:
        """Gives the optimizer its own method back and closes the record."""
        suspended = self.suspended
        self.suspend()
        self.plain = True
        for observer in self._observers:
            observer.close()
        if not suspended:
            self.tell_if_unseen()

    @contextlib.contextmanager
    def plainly(self):
        """A place where the method is the optimizer's own and nothing else."""
        before, self.plain = self.plain, True
        try:
            yield
        finally:
            self.plain = before

    def tell(self, message: str) -> None:
        """Warns once of what steps are recorded, or why none is."""
        self._called = True
        if message not in self._said:
            self._said.add(message)
            warnings.warn(message, GradscopeWarning, stacklevel=2)

    def _finalized(self, *arguments, **keywords):
        """Stands in for what `fit` calls when it ends."""
        result = self._final.original(*arguments, **keywords)
        if not self.failed:
            self._finish()
        return result

    def _finish(self) -> None:
        """Writes what a `fit` that ends has left. What comes after it may be
        the process's end without Python's, as of a worker that is killed."""
        try:
            self._tell_trainable()
            self.drain()
        except Exception as error:
            self.fail(error)

    def _tell_trainable(self) -> None:
        """Tells where nothing was traced with what is trainable now."""
        model = None if self._model is None else self._model()
        if model is None or trainable_flags.flags(model) in self._flags:
            return
        if self._flags:
            self.tell(trainable_flags.difference(model, self._flags[-1]))

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
        if self.failed:
            return False
        return not self._observers or any(
            observer.gate.due_on_host(step) for observer in self._observers
        )

    def __call__(self, *arguments, **keywords):
        return self.around(self._stand_in, *arguments, **keywords)

    def around(self, stand_in: StandIn, *arguments, **keywords):
        """Calls the method that is stood in for, and observes it."""

        def original():
            return stand_in.original(*arguments, **keywords)

        graphs = tracing.outermost_first(tracing.current_graph())
        if self.plain:
            rewritten_sums.ask(graphs, self.rewritten)
        if self.plain or self.failed:
            return original()
        self._called = True
        rewritten_sums.keep_order(graphs)
        if not replicas.is_first():
            return self._followed(original, *arguments, **keywords)
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

    def _followed(self, original, *arguments, **keywords):
        """Calls the method on another replica than the first."""
        observer = self.latest()
        follower = None
        try:
            call = self.told(*arguments, **keywords)
            if observer is not None and call is not None:
                follower = Follower(observer, call, self.forward(call))
        except Exception as error:
            self.fail(error)
        result = original()
        try:
            if follower is not None:
                follower.in_graph()
        except Exception as error:
            self.fail(error)
        return result

    def observer(self, known: list, seen: Forward) -> Observer:
        """Returns the observer of these variables, created if need be.

        When an optimizer meets new variables or activations, it gets an
        observer of the old and the new ones; programs that were traced before
        keep theirs.

        Args:
            known: The variables.
            seen: What there is to be seen of the forward pass.
        """
        present = self.latest()
        if present is not None:
            if present.covers(known) and present.watch.covers(seen):
                return present
            met = [v for v in known if not present.covers([v])]
            known = [*present.known, *met]
        graph = tracing.current_graph()
        known = [
            known[index] for index in tf_variables.forward_order(known, graph)
        ]
        before = None if present is None else present.drain.schema
        described = tf_variables.describe(known)
        schema = seen.schema(described, self.description(), before)
        schema = self.with_facts(schema, known, seen, before)
        schema = schema.with_unordered_sums(self._unordered_sums)
        schema = schema.with_parts(self.parts(known))
        self._writer.begin(schema, self._step_before())
        observer = Observer(known, self._writer, schema, self.options)
        if self.outer is not None and self.counts_skips:
            observer.count_skips(present)
        retire_with(self, observer)
        self._observers.append(observer)
        return observer

    def parts(self, known: list) -> list[str]:
        """Returns the name of the part of the optimizer that updates each
        variable; nothing where one learning rate is that of all.

        Args:
            known: The variables.
        """
        return []

    def with_facts(
        self, schema: Schema, known: list, seen: Forward, before: Schema | None
    ) -> Schema:
        """Returns a schema with what there is to be told besides its rows; if
        that fails, there is one warning, and the rows are recorded.

        Args:
            schema: That knows the rows.
            known: The variables in their order.
            seen: What there is to be seen of the forward pass.
            before: Of the steps so far.
        """
        model = None if self._model is None else self._model()
        try:
            return model_facts.added(schema, known, seen, model, before)
        except Exception as error:
            self._fail_to_see(error)
            return schema

    def latest(self) -> Observer | None:
        """Returns the observer of the variables that were met so far."""
        return self._observers[-1] if self._observers else None

    def rewritten(self, names: list[str]) -> None:
        """Writes that TensorFlow adds up sums of the user's own program in any
        order.

        Args:
            names: Of the sums.
        """
        try:
            self._unordered_sums = tuple(names)
            if self.latest() is not None:
                self.drain()  # a step is written before what came after it
                self.latest().drain.rewritten(self.steps_made(), tuple(names))
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Stops observing, with one warning."""
        if not self.failed:
            self.failed = True
            reason, request = f"{error}", ""
            if not isinstance(error, NotImplementedError):
                reason = guard.reason(error)
                request = f" {guard.advice(error)}"
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

    def tell_if_unseen(self) -> None:
        """Warns if a training went past the optimizer; called at the end."""
        if not self._elsewhere.is_known:
            return
        self._warn_if_bypassed()
        if not self._called:
            copies = max(s.copies for s in self._own_stand_ins())
            self._warn_of_unseen(self._elsewhere.of_none(self.config, copies))

    def _warn_if_bypassed(self) -> None:
        if not self._called and self.steps_made() > self._first_step:
            self._warn_of_unseen(self._elsewhere.of_steps())

    def _warn_of_unseen(self, reason: str | None) -> None:
        # Of a failure that was told of, this is what follows.
        if reason is not None and not self.failed:
            self._called = True  # say it once
            warnings.warn(reason, GradscopeWarning, stacklevel=5)


def _is_json(value) -> bool:
    return value is None or isinstance(value, bool | int | float | str)
