"""The observers of one optimizer.

When an optimizer meets new variables or activations, it gets an observer of the
old and the new ones; programs that were traced before keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gradscope.format.schema import Schema
from gradscope.recording.event_writer import EventWriter
from gradscope.runtime import tf_variables, tracing
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

    description: dict
    step: int | None
    counts_skips: bool
    part_names: list[str]


class Observers:
    """Makes and keeps the observers of one optimizer.

    Args:
        owner: With its end, all observers are closed.
        options: The arguments of `wrap`.
        state: Describes the optimizer, given the variables in the order of the
            rows; called for a new observer only.
        with_facts: Adds facts of the model to a schema, see `ForwardFinder`.
    """

    def __init__(
        self,
        owner: Any,
        options: Options,
        state: Callable[[list], OptimizerState],
        with_facts: Callable[..., Schema],
    ):
        self.writer = EventWriter(options.directory)
        #: All of them, the latest last; sessions add theirs.
        self.all: list[Any] = []
        self._owner = owner
        self._options = options
        self._state = state
        self._with_facts = with_facts
        self._unordered_sums: tuple[str, ...] = ()

    def latest(self, graph: Any = None) -> Any:
        """The observer of all variables that were met so far, outside of
        sessions or in a session's graph; None before the first."""
        for observer in reversed(self.all):
            # Only the observer of a session has the attribute `graph`.
            if getattr(observer, "graph", None) is graph:
                return observer
        return None

    def get(self, variables: list, forward_pass: ForwardPass) -> Observer:
        """The observer of these variables and this forward pass, made if need
        be.

        Args:
            variables: The optimizer's variables, as its user sees them.
            forward_pass: The step's forward pass.
        """
        latest = self.latest()
        if latest is not None:
            has_rows = latest.measurement.covers(forward_pass)
            if latest.covers(variables) and has_rows:
                return latest
            new_variables = [v for v in variables if not latest.covers([v])]
            # Rows only grow, so that a record's columns go on under the same
            # names.
            variables = [*latest.optimizer_variables, *new_variables]
        return self._add(variables, forward_pass, latest)

    def _add(
        self,
        variables: list,
        forward_pass: ForwardPass,
        latest: Observer | None,
    ) -> Observer:
        graph = tracing.current_graph()
        variables = [
            variables[index]
            for index in tf_variables.forward_order(variables, graph)
        ]
        state = self._state(variables)
        before = None if latest is None else latest.drain.schema
        described = tf_variables.describe(variables)
        schema = forward_pass.schema(described, state.description, before)
        schema = self._with_facts(schema, variables, forward_pass, before)
        schema = schema.with_unordered_sums(self._unordered_sums)
        schema = schema.with_parts(state.part_names)
        self.writer.begin(schema, state.step)
        observer = Observer(variables, self.writer, schema, self._options)
        if state.counts_skips:
            observer.count_skips(latest)
        retire_with(self._owner, observer)
        self.all.append(observer)
        return observer

    def due(self, step: int) -> bool:
        """Return whether a step is recorded; True if unknown."""
        return not self.all or any(
            observer.gate.due_on_host(step) for observer in self.all
        )

    def drain(self) -> None:
        """Write all steps recorded so far."""
        for observer in self.all:
            observer.drain.drain()

    def count_steps(self, steps: int) -> None:
        """Count observed steps, and drain rings before they overflow."""
        for observer in self.all:
            observer.drain.count_steps(steps)

    def record_unordered_sums(self, step: int, names: tuple[str, ...]) -> None:
        """Record names of sums that TensorFlow may sum in any order."""
        self._unordered_sums = names
        latest = self.latest()
        if latest is not None:
            self.drain()  # steps come before the note in the file
            latest.drain.write_unordered_sums(step, names)

    def close(self) -> None:
        """Write what is left, and close the record."""
        for observer in self.all:
            observer.close()
