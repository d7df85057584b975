"""The observers of one optimizer.

When an optimizer meets new variables or activations, it gets an observer of the
old and the new ones; programs that were traced before keep theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from gradscope.format.schema import RUN_COLUMNS, Schema, Wiring
from gradscope.recording import event_writer
from gradscope.recording.event_writer import EventWriter
from gradscope.recording.interfaces import Closable, Recorder
from gradscope.runtime import tf_variables, tracing
from gradscope.runtime.described_variables import DescribedVariables
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.steps.observer import Observer, Options, retire_with


class OptimizerState(NamedTuple):
    """An optimizer as a new observer needs to know it.

    Attributes:
        description: Class and configuration, as JSON.
        step: Its step before this call or trace, None if unknown.
        counts_skips: Whether steps that a loss scale skips are counted.
        part_names: The part of the optimizer that updates each variable; empty
            if all variables have the same learning rate.
    """

    description: dict[str, Any]
    step: int | None
    counts_skips: bool
    part_names: list[str]


class AnyObserver(Closable, Protocol):
    """What an optimizer asks of all its observers, in sessions or not."""

    #: All variables that have rows.
    described: DescribedVariables

    @property
    def drain(self) -> Recorder:
        """Take the observed steps."""

    def covers(self, variables: list[Any]) -> bool:
        """Return whether each of these variables has a row."""


class Observers:
    """Makes and keeps the observers of one optimizer.

    Args:
        owner: With its end, all observers are closed.
        options: The arguments of `wrap`.
        with_facts: Adds facts of the model to a schema, see `ForwardFinder`.
    """

    def __init__(
        self, owner: Any, options: Options, with_facts: Callable[..., Schema]
    ):
        self.writer = EventWriter(options.directory)
        #: All of them, the latest last; sessions add theirs.
        self.all: list[AnyObserver] = []
        self._owner = owner
        self._options = options
        self._with_facts = with_facts
        self._notes: list[Callable[[Schema], Schema]] = []

    def latest(self) -> Observer | None:
        """The observer of all variables that were met so far, outside of
        sessions; None before the first."""
        observers = self._outside_of_sessions()
        return observers[-1] if observers else None

    def describe(
        self, variables: list[Any], latest: AnyObserver | None
    ) -> DescribedVariables:
        """Describe variables beside all that were met before.

        A call does this once, and hands the result on.

        Args:
            variables: The optimizer's variables, as its user sees them.
            latest: The observer of those that were met before, or None.
        """
        if latest is not None:
            if latest.covers(variables):
                return latest.described
            new_variables = [v for v in variables if not latest.covers([v])]
            variables = [*latest.described.variables, *new_variables]
        order = tf_variables.forward_order(variables, tracing.current_graph())
        return DescribedVariables.of([variables[index] for index in order])

    def find(
        self, described: DescribedVariables, forward_pass: ForwardPass
    ) -> Observer | None:
        """Find the observer with these rows; None if there is none yet.

        Args:
            described: The result of `describe`.
            forward_pass: The step's forward pass.
        """
        latest = self.latest()
        # `describe` returns the latest observer's own, unless a variable is
        # new.
        if latest is None or latest.described is not described:
            return None
        return latest if latest.measurement.covers(forward_pass) else None

    def add(
        self,
        described: DescribedVariables,
        forward_pass: ForwardPass,
        state: OptimizerState,
    ) -> Observer:
        """Make an observer of these rows, and of all rows before.

        Args:
            described: All variables, in the order of the rows.
            forward_pass: The step's forward pass.
            state: The optimizer.
        """
        latest = self.latest()
        before = None if latest is None else latest.drain.schema
        schema = forward_pass.schema(described.rows, state.description, before)
        schema = self._with_facts(schema, described, forward_pass, before)
        # Notes are about the training, and stay when new rows come.
        for add in self._notes:
            schema = add(schema)
        schema = schema.with_parts(state.part_names)
        self.writer.begin(schema, state.step)
        observer = Observer(described, self.writer, schema, self._options)
        if state.counts_skips:
            observer.count_skips(latest)
        retire_with(self._owner, observer)
        self.all.append(observer)
        return observer

    def due(self, step: int) -> bool:
        """Return whether a step is recorded; True if unknown."""
        observers = self._outside_of_sessions()
        return not observers or any(
            observer.gate.due_on_host(step) for observer in observers
        )

    def missing(self, first: int, end: int) -> list[int]:
        """List the steps that were due by their number, and are not recorded.

        Args:
            first: The first step that is asked about.
            end: The first one after these steps.
        """
        self.drain()
        recorded = self.writer.timeline.steps_since(first)
        schedule = self._options.schedule
        return [
            step
            for step in range(first, end)
            if schedule.due(step) and step not in recorded
        ]

    def drain(self) -> None:
        """Write all steps recorded so far."""
        for observer in self.all:
            observer.drain.drain()

    def count_steps(self, steps: int) -> None:
        """Count observed steps, and drain rings before they overflow.

        A session's inbox counts the steps that are delivered to it.
        """
        for observer in self._outside_of_sessions():
            observer.drain.count_steps(steps)

    def record_note(self, step: int, add: Callable[[Schema], Schema]) -> None:
        """Record what is known of the program after its steps have begun.

        Args:
            step: The optimizer's step number.
            add: Returns a schema with the note.
        """
        self._notes.append(add)
        latest = self.latest()
        if latest is not None:
            self.drain()  # steps come before the note in the file
            latest.drain.write_note(step, add)

    def record_no_step(self, step: int, wiring: Wiring) -> None:
        """Write a record without any step, which says why there is none.

        Args:
            step: The optimizer's step number.
            wiring: The reason.
        """
        schema = Schema((), wiring=(wiring,))
        self.writer.begin(schema, step)
        nothing = np.full((1, len(RUN_COLUMNS)), np.nan, np.float32)
        values = [
            event_writer.family_value("run", schema.id, nothing),
            event_writer.schema_value(schema),
        ]
        self.writer.write(step, time.time(), values)
        self.writer.flush()

    def close(self) -> None:
        """Write what is left, and close the record."""
        for observer in self.all:
            observer.close()

    def _outside_of_sessions(self) -> list[Observer]:
        return [each for each in self.all if isinstance(each, Observer)]
