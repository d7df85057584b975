"""Where the steps of a `tf.compat.v1.Session` hand over what they measured."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import glob
import itertools
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
from gradscope.recording import drain, event_writer, host_ring, tensorboard_tabs
from gradscope.schedule import NEVER

#: The inboxes of this process by number. A graph knows the number alone, so
#: that one which outlives its inbox (`import_meta_graph`) delivers in vain.
_inboxes: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
_numbers = itertools.count()
_marker: tuple[int, str] = (0, "")


@dataclasses.dataclass(frozen=True)
class Part:
    """What one train op delivers.

    Attributes:
        variables: Rows of its variables in the record.
        forward: Schema of its forward pass; its variables are not asked for.
    """

    variables: list[int]
    forward: Schema

    def schema(self, whole: Schema) -> Schema:
        """Returns the schema of what it delivers."""
        chosen = tuple(whole.variables[row] for row in self.variables)
        return dataclasses.replace(self.forward, variables=chosen)


class SessionInbox:
    """Takes the steps of one optimizer's train ops in one graph.

    It is opened by the first step. Until then, further train ops may join:
    what they have in common is one record. It knows nothing of the graph,
    which would live as long as it does.

    Args:
        file: Where the record goes.
        options: The arguments of `wrap`.
    """

    def __init__(self, file: event_writer.EventWriter, options):
        self._file = file
        self._options = options
        self._schema = Schema(())
        self._parts: list[Part] = []
        self._drain: drain.Drain | None = None
        self._closed = False
        self._failed = False
        self._lock = threading.RLock()
        self.number = next(_numbers)
        _inboxes[self.number] = self

    @property
    def has_histograms(self) -> bool:
        """Whether any histograms are wanted at all."""
        return self._options.histograms != NEVER

    def expect(self, schema: Schema, parts: list[Part]) -> bool:
        """Says what will come, all of it anew with each train op.

        Args:
            schema: Of the record.
            parts: What each train op delivers of it.

        Returns:
            False if it is too late: a step has come already.
        """
        with self._lock:
            if self._drain is None:
                self._schema, self._parts = schema, parts
            return self._drain is None

    def put(self, part: int, step: int, row, counts) -> bool:
        """Takes one step.

        Args:
            part: Number of the train op.
            step: The step before the update.
            row: float32, the `Layout` of the part.
            counts: What `statistics.occasional` returned, or empty.

        Returns:
            Whether any more steps are wanted.
        """
        with self._lock:
            if self._closed:
                return False
            if self._drain is None:
                self._open()
        rows = self._parts[part].variables
        if counts.size and self._histograms is not None:
            self._histograms.put(step, self._own(rows, counts), part, np.add)
        whole = self._placements[part].place(row)
        if self._ring.put(step, whole, part, _filled):
            self._drain.count_steps()
        return True

    def _own(self, rows: list[int], numbers: np.ndarray) -> np.ndarray:
        """Returns the histograms and sketches of the selected variables; zeros
        where a part does not have them."""
        count = len(self._schema.variables)
        whole = np.zeros(tensorboard_tabs.width(count), np.float32)
        table, sketches = tensorboard_tabs.split(whole, count)
        table[:, rows], sketches[rows] = tensorboard_tabs.split(
            numbers, len(rows)
        )
        chosen = table[:, self._selected], sketches[self._selected]
        return np.concatenate([part.reshape(-1) for part in chosen])

    def drain(self) -> None:
        """Writes what came so far."""
        if self._drain is not None:
            self._drain.drain()

    def count_steps(self, steps: int) -> None:
        """Nothing to do: each step that comes has told the drain itself."""

    def close(self) -> None:
        """Writes what is left; no more steps are taken."""
        with self._lock:
            self._closed = True
        if self._drain is not None:
            self._drain.close()

    def fail(self, error: Exception) -> None:
        """Takes no more steps, with one warning."""
        self._closed = True
        if self._failed:
            return
        self._failed = True
        message = (
            "gradscope cannot record the steps of "
            f"{self._schema.optimizer['class']}: "
            f"{type(error).__name__}: {error}. Training goes on without it. "
            "Please report this."
        )
        try:
            warnings.warn(message, GradscopeWarning, stacklevel=3)
        except Warning:  # made an error, which would end the training
            print(message, file=sys.stderr)

    def _open(self) -> None:
        schema = self._schema
        self._selected = []
        self._histograms = None
        if self.has_histograms:
            self._selected = tensorboard_tabs.select(
                schema.variables, self._options.include, self._options.exclude
            )
        if self._selected:
            width = tensorboard_tabs.width(len(self._selected))
            self._histograms = host_ring.ring(width)
        self._placements = [
            Placement(part.schema(schema), part.variables, schema)
            for part in self._parts
        ]
        self._ring = host_ring.ring(Layout.of(schema).width)
        self._file.begin(schema, None)
        self._drain = drain.Drain(
            self._file,
            schema,
            self._ring,
            self._histograms,
            self._selected,
            self._options.window,
        )


def deliver(number, part, step, row, counts) -> np.int64:
    """What a graph calls: `SessionInbox.put` for the inbox of that number.

    It belongs to this module, and not to a graph: TensorFlow forgets the
    functions of a graph that is gone, but not a copy that was imported.

    Returns:
        1 if more steps are wanted, else 0.
    """
    inbox = _inboxes.get(int(number))
    if inbox is None:
        return np.int64(0)
    try:
        return np.int64(inbox.put(int(part), int(step), row, counts))
    except Exception as error:
        inbox.fail(error)
        return np.int64(0)


def is_here() -> tf.Tensor:
    """Returns whether the graph runs in the process that built it.

    A checkpoint has a copy of the graph beside it. Where a program imports
    it and trains on, there is no `deliver`, and calling it would be an error.
    """
    paths = [glob.escape(_marker_path())]
    own = f"/proc/self/task/{os.getpid()}"
    if os.path.exists(own):  # Linux; a killed process leaves its marker
        paths.append(own)
    found = tf.io.matching_files(tf.constant(paths))
    return tf.equal(tf.size(found), len(paths))


def _marker_path() -> str:
    """Returns a file that is there as long as this process lives."""
    global _marker
    process, path = _marker
    if process != os.getpid() or not os.path.exists(path):
        file, path = tempfile.mkstemp(prefix="gradscope-")
        os.close(file)
        _marker = (os.getpid(), path)
        atexit.register(_remove_marker, *_marker)
    return path


def _remove_marker(process: int, path: str) -> None:
    if process == os.getpid():
        with contextlib.suppress(OSError):
            os.remove(path)


def _filled(older: np.ndarray, newer: np.ndarray) -> np.ndarray:
    """Returns two parts of one step as one row: each is NaN elsewhere."""
    return np.where(np.isnan(newer), older, newer)
