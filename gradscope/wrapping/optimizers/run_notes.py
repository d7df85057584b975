"""Notes on a training, which the record has beside the steps' numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gradscope.format.schema import Schema, Wiring
from gradscope.runtime import rewritten_sums, tracing
from gradscope.runtime.unordered_terms import unordered_terms

if TYPE_CHECKING:
    import tensorflow as tf

    from gradscope.wrapping.steps.observers import Observers


class RunNotes:
    """Records notes on the training of one optimizer.

    Args:
        observers: The optimizer's observers.
        step_count: Returns the optimizer's step, 0 if unknown.
        fail: Called with the error where a note cannot be recorded.
    """

    def __init__(
        self,
        observers: Observers,
        step_count: Callable[[], int],
        fail: Callable[[Exception], None],
    ):
        self._observers = observers
        self._step_count = step_count
        self._fail = fail

    def record_unordered_sums(self, names: list[str]) -> None:
        """Record that TensorFlow may sum in any order in the user's own
        program.

        Args:
            names: Names of these sums.
        """
        sums = tuple(names)
        self._record(lambda schema: schema.with_unordered_sums(sums))

    def watch_sums(self, graphs: list[tf.Graph]) -> None:
        """Record the sums that TensorFlow will rewrite in a plain program.

        Args:
            graphs: The graphs that are being traced, the outermost first.
        """
        rewritten_sums.watch(graphs, self.record_unordered_sums)

    def record_unordered_terms(self, graphs: list[tf.Graph]) -> None:
        """Record the sums of the user's program that have no fixed order.

        Args:
            graphs: The graphs that are being traced, the outermost first.
        """
        try:
            # XLA adds up in the order of the terms.
            if graphs and not tracing.in_xla(graphs[-1]):
                names = unordered_terms(graphs[-1])
                if names:
                    self.record_unordered_sums(names)
        except Exception as error:
            self._fail(error)

    def record_stale_layers(self, layers: tuple[tuple[str, bool], ...]) -> None:
        """Record that `trainable` was changed after `compile`.

        Args:
            layers: Result of `trainable_flags.changed_layers`.
        """
        self._record(lambda schema: schema.with_stale_layers(layers))

    def record_wiring(self, wiring: list[Wiring]) -> None:
        """Record odd combinations around the program."""
        if wiring:
            self._record(lambda schema: schema.with_wiring(tuple(wiring)))

    def record_no_step(self, optimizer: str, is_frozen: bool) -> None:
        """Record that a training ended without a step of the optimizer.

        Args:
            optimizer: Name of the optimizer's class.
            is_frozen: Whether the model has no weights that are trained.
        """
        reason = "frozen" if is_frozen else "idle"
        try:
            self._observers.record_no_step(
                self._step_count(), Wiring("no_step", optimizer, reason)
            )
        except Exception as error:
            self._fail(error)

    def _record(self, add: Callable[[Schema], Schema]) -> None:
        try:
            self._observers.record_note(self._step_count(), add)
        except Exception as error:
            self._fail(error)
