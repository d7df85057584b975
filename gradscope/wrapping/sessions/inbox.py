"""Inboxes, to which steps of a TensorFlow 1 session deliver their numbers."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import glob
import itertools
import math
import os
import sys
import tempfile
import threading
import warnings
import weakref

import numpy as np
import tensorflow as tf

from gradscope.errors import GradscopeWarning
from gradscope.format.schema import Schema
from gradscope.format.step_layout import Layout, Placement
from gradscope.recording import event_writer, host_ring, tensorboard_tabs
from gradscope.recording.drain import Drain
from gradscope.runtime import versions
from gradscope.schedule import NEVER
from gradscope.wrapping.steps.observer import Options

#: The inboxes of this process by number. A graph has the number alone, so that
#: a graph that outlives its inbox (`import_meta_graph`) delivers to none.
_inboxes: weakref.WeakValueDictionary[int, SessionInbox] = (
    weakref.WeakValueDictionary()
)
_numbers = itertools.count()
_marker: tuple[int, str] = (0, "")


@dataclasses.dataclass(frozen=True)
class TrainOp:
    """The part of a record that one train op delivers.

    Attributes:
        variables: Rows of its variables in the record.
        forward: Schema of its forward pass; the variables of this schema are
            not used.
    """

    variables: list[int]
    forward: Schema

    def schema(self, record_schema: Schema) -> Schema:
        """The schema of the delivered part.

        Args:
            record_schema: The schema of the whole record.
        """
        variables = tuple(
            record_schema.variables[row] for row in self.variables
        )
        return dataclasses.replace(self.forward, variables=variables)


class SessionInbox:
    """Takes the steps of one optimizer's train ops in one graph.

    The first step opens the inbox. Until then, further train ops may join, and
    all of them share one record. The inbox has no reference to the graph, which
    would otherwise live as long as the inbox.

    Args:
        file: Writer of the record.
        options: The arguments of `wrap`.
    """

    def __init__(self, file: event_writer.EventWriter, options: Options):
        self._file = file
        self._options = options
        self._schema = Schema(())
        self._train_ops: list[TrainOp] = []
        self._drain: Drain | None = None
        self._closed = False
        self._failed = False
        self._lock = threading.RLock()
        self.number = next(_numbers)
        _inboxes[self.number] = self

    @property
    def has_histograms(self) -> bool:
        """Whether any step has histograms."""
        return bool(self._options.histograms != NEVER)

    @property
    def histogram_kinds(self) -> tuple[str, ...]:
        """Kinds of histograms."""
        return self._options.histogram_kinds

    def announce(self, schema: Schema, train_ops: list[TrainOp]) -> bool:
        """Declare all train ops and their record, again with each new train op.

        Args:
            schema: The record's schema.
            train_ops: The part of the record that each train op delivers.

        Returns:
            False if it is too late, since a step has been delivered.
        """
        with self._lock:
            if self._drain is None:
                self._schema, self._train_ops = schema, train_ops
            return self._drain is None

    def add_step(
        self, train_op: int, step: int, row: np.ndarray, counts: np.ndarray
    ) -> bool:
        """Add one step.

        Args:
            train_op: Number of the train op.
            step: The step before the update.
            row: float32, with the `Layout` of the train op.
            counts: The result of `statistics.occasional`, or an empty array.

        Returns:
            Whether the inbox takes further steps.
        """
        with self._lock:
            if self._closed:
                return False
            # The first step fixes the rows. A train op that is made later has
            # an inbox of its own.
            opened = self._drain or self._open()
        rows = self._train_ops[train_op].variables
        # The rows of other train ops are zeros, so a sum joins the numbers of
        # several train ops at one step.
        if counts.size and self._histograms is not None:
            self._histograms.put(
                step,
                self._numbers_of_selected(rows, counts),
                train_op,
                np.add,
            )
        full_row = self._placements[train_op].place(row)
        if self._ring.put(step, full_row, train_op, _merge_rows):
            opened.count_steps()
        return True

    def _numbers_of_selected(
        self, rows: list[int], numbers: np.ndarray
    ) -> np.ndarray:
        """Select the histograms and sketches of the variables that get some.

        Variables of other train ops have zeros.
        """
        count, kinds = len(self._schema.variables), self.histogram_kinds
        zeros = np.zeros(tensorboard_tabs.width(count, kinds), np.float32)
        table, sketches = tensorboard_tabs.split(zeros, count, kinds)
        table[:, rows], sketches[rows] = tensorboard_tabs.split(
            numbers, len(rows), kinds
        )
        selected = table[:, self._selected], sketches[self._selected]
        return np.concatenate(
            [numbers_of_kind.reshape(-1) for numbers_of_kind in selected]
        )

    def drain(self) -> None:
        """Write all steps so far."""
        if self._drain is not None:
            self._drain.drain()

    def close(self) -> None:
        """Write the rest, and take no more steps."""
        with self._lock:
            self._closed = True
        if self._drain is not None:
            self._drain.close()

    def fail(self, error: Exception) -> None:
        """Take no more steps, with one warning."""
        self._closed = True
        if self._failed:
            return
        self._failed = True
        message = (
            "gradscope cannot record the steps of "
            f"{self._schema.optimizer['class']}: {type(error).__name__}: "
            f"{error}. Training goes on without gradscope. "
            f"{versions.report_request()}"
        )
        try:
            warnings.warn(message, GradscopeWarning, stacklevel=3)
        except Warning:  # the user turns warnings into errors
            print(message, file=sys.stderr)

    def _open(self) -> Drain:
        """Begin the record; no train op may join any more."""
        schema = self._schema
        self._selected: list[int] = []
        self._histograms: host_ring.HostRing | None = None
        if self.has_histograms:
            self._selected = tensorboard_tabs.select(
                schema.variables, self._options.include, self._options.exclude
            )
        if self._selected:
            width = tensorboard_tabs.width(
                len(self._selected), self.histogram_kinds
            )
            self._histograms = host_ring.ring(width)
        self._placements = [
            Placement(train_op.schema(schema), train_op.variables, schema)
            for train_op in self._train_ops
        ]
        self._ring = host_ring.ring(Layout.of(schema).width)
        self._file.begin(schema, None)
        self._drain = Drain(
            self._file,
            schema,
            self._ring,
            self._histograms,
            self._selected,
            self._options.window,
            self.histogram_kinds,
            math.isfinite(self._options.schedule.seconds),
        )
        return self._drain


def deliver(
    number: np.int64,
    train_op: np.int64,
    step: np.int64,
    row: np.ndarray,
    counts: np.ndarray,
) -> np.int64:
    """Deliver one step to the inbox of a number; a graph calls this function.

    The function belongs to this module and to no graph: TensorFlow forgets the
    functions of a graph that is deleted, but not a copy that was imported.

    Returns:
        1 if the inbox takes further steps, else 0.
    """
    inbox = _inboxes.get(int(number))
    if inbox is None:
        return np.int64(0)
    try:
        return np.int64(inbox.add_step(int(train_op), int(step), row, counts))
    # Raised, it would end the user's run of the session.
    except Exception as error:
        inbox.fail(error)
        return np.int64(0)


def is_in_building_process() -> tf.Tensor:
    """Return whether the graph runs in the process that built it, as a bool
    scalar.

    A checkpoint has a copy of the graph beside it. A program that imports this
    copy and trains on has no function `deliver`, and must not call it.
    """
    # `matching_files` takes patterns.
    paths = [glob.escape(_marker_path())]
    process_folder = f"/proc/self/task/{os.getpid()}"
    # On Linux: a process that is killed leaves its marker behind.
    if os.path.exists(process_folder):
        paths.append(process_folder)
    matches = tf.io.matching_files(tf.constant(paths))
    return tf.equal(tf.size(matches), len(paths))


def _marker_path() -> str:
    """Path of a file that exists as long as this process lives."""
    global _marker
    process, path = _marker
    if process != os.getpid() or not os.path.exists(path):
        file, path = tempfile.mkstemp(prefix="gradscope-")
        os.close(file)
        _marker = (os.getpid(), path)
        atexit.register(_remove_marker, *_marker)
    return path


def _remove_marker(process: int, path: str) -> None:
    # A forked process runs its parent's handlers, too.
    if process == os.getpid():
        with contextlib.suppress(OSError):
            os.remove(path)


def _merge_rows(older: np.ndarray, newer: np.ndarray) -> np.ndarray:
    """Merge the rows of two train ops at one step; each is NaN where the other
    is not."""
    return np.where(np.isnan(newer), older, newer)
