"""The drain: fetches frames from the rings and writes them to an event file."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradscope.errors import GradscopeWarning
from gradscope.format.epoch_logs import Log
from gradscope.format.schema import (
    Schema,
    tag,
)
from gradscope.recording import (
    background,
    event_writer,
    tensorboard_tabs,
)
from gradscope.recording.interfaces import FrameRing
from gradscope.recording.step_tables import StepTables

#: Longest time in seconds between a step and its event in the file.
PERIOD = 2.0

_warned: set[str] = set()


@dataclasses.dataclass(eq=False)
class Drain:
    """Fetches the frames of recorded steps and writes them.

    All methods may be called from any thread.

    Attributes:
        file: The writer, which several drains may share.
        schema: Names of the rows and columns.
        ring: Ring of frames, each with a `Layout` of numbers.
        histograms: Ring of the selected variables' histograms, or None.
        selected: Indices of the variables with histograms and ratios.
        window: Number of examples for which a dead unit is zero.
    """

    file: event_writer.EventWriter
    schema: Schema
    ring: FrameRing
    histograms: FrameRing | None
    selected: list[int]
    window: int

    def __post_init__(self) -> None:
        self._tables = StepTables(self.schema, self.window)
        # Other replicas measure the forward pass of the same steps: their
        # rings, their rows by step, and the frames that wait for such rows.
        self._replica_rings: dict[int, FrameRing] = {}
        self._replica_rows: dict[int, list[np.ndarray]] = {}
        self._waiting: list[tuple[int, np.ndarray]] = []
        self._rings = [r for r in (self.ring, self.histograms) if r is not None]
        # Half a ring is free for the steps that run while the other half is
        # fetched.
        self._room = min(ring.rows for ring in self._rings) // 2
        self._counts: dict[int, np.ndarray] = {}
        self._recorded = 0
        self._unflushed = 0
        self._dropped = 0
        self._histograms_dropped = 0
        # Reentrant, since `close` drains.
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._drained_at = time.time()
        self._closed = False
        self._error: Exception | None = None
        background.watch(self)

    @property
    def dropped(self) -> int:
        """Number of lost records: overwritten in a ring, or not written."""
        return self._dropped

    def tick(self) -> None:
        """Drain old frames and half full rings; called twice a second."""
        if self._is_foreign():
            return
        is_old = time.time() - self._drained_at > PERIOD
        if self._room_on_device() <= 0 or (
            is_old and self.ring.count_waiting()
        ):
            self.drain()

    def count_steps(self, steps: int = 1) -> None:
        """Count observed steps and drain when a ring is half full.

        The number of rows in a ring is read from the device, which waits for
        its steps, only when the counted steps could have filled half of it.

        Args:
            steps: Number of observed steps since the last call.
        """
        self._room -= steps
        if self._room <= 0:
            self._room = self._room_on_device()
        if self._room <= 0:
            self.drain()
            self._room = self._room_on_device()

    def _room_on_device(self) -> int:
        """Count the rows that can be appended until a ring is half full."""
        return min(
            ring.rows // 2 - ring.count_waiting() for ring in self._rings
        )

    def drain(self) -> None:
        """Write all frames that were recorded since the last call.

        A failure causes one warning. Records that could not be written count
        as dropped; later records are tried again.
        """
        with self._lock:
            if self._is_foreign():
                return
            # Steps are appended with their histograms first, and fetched before
            # them: a step that is here has its histograms by now.
            steps, rows, lost = self.ring.fetch()
            self._fetch_histograms()
            self._dropped += lost
            ready = self._await_replicas(
                list(zip(steps.tolist(), rows, strict=True))
            )
            if ready:
                self._write(ready)
            self._drained_at = time.time()
            self._warn()

    def close(self) -> None:
        """Drain for the last time and close the file."""
        with self._lock:
            if self._is_foreign():
                return
            self.drain()
            if self._waiting:  # a second call writes frames that waited once
                self.drain()
            self._closed = True
            background.forget(self)
            try:
                self.file.close()
            except Exception as error:
                self._give_up_file(error)
            self._warn()

    def _is_foreign(self) -> bool:
        # A forked data worker has a copy of the drain, but must not write.
        return self._closed or os.getpid() != self._process

    def add_replica(self, replica: int, ring: FrameRing) -> None:
        """Add the ring of another replica's forward passes.

        Args:
            replica: Number of the replica.
            ring: Ring of rows of `Layout.forward`, for the same steps.
        """
        with self._lock:
            self._replica_rings[replica] = ring

    def write_probe(self, step: int, losses: tuple[float, float]) -> None:
        """Write the two losses of a probe.

        Args:
            step: The optimizer's step number at the probe.
            losses: The losses of `PROBE_COLUMNS`.
        """
        value = event_writer.family_value(
            "probe", self.schema.id, np.array([losses])
        )
        self._write_now(step, lambda: [value, *self._missing_schema()])

    def write_epoch_log(self, log: Log) -> None:
        """Write the logs of an epoch of `fit`."""
        value = event_writer.logs_value(self.schema.id, log)
        self._write_now(log.step, lambda: [value, *self._missing_schema()])

    def write_note(self, step: int, add: Callable[[Schema], Schema]) -> None:
        """Adds to the schema what is known later, and writes the schema.

        Args:
            step: The optimizer's step number.
            add: Returns the schema with the note.
        """
        with self._lock:
            self.schema = add(self.schema)
            if self.file.has_tag(tag("schema", self.schema.id)):
                value = event_writer.schema_value(self.schema)
                self._write_now(step, lambda: [value])

    def write_text(self, step: int, text: str) -> None:
        """Write findings for TensorBoard's Text tab.

        Args:
            step: The optimizer's step number.
            text: Markdown.
        """
        self._write_now(
            step, lambda: [event_writer.text_value("gradscope/findings", text)]
        )

    def _write_now(
        self, step: int, build_values: Callable[[], list[Any]]
    ) -> None:
        """Write values that do not belong to a recorded step's event."""
        with self._lock:
            if self._is_foreign():
                return
            try:
                self.file.write(step, time.time(), build_values())
                self.file.flush()
            except Exception as error:
                self._give_up_file(error)
            self._warn()

    def _await_replicas(self, frames: list[Any]) -> list[Any]:
        """Select the frames for which the rows of all replicas are complete.

        The other frames wait until the next call, which returns them in any
        case: a replica may be slow, or may have stopped.
        """
        late, self._waiting = self._waiting, []
        for ring in self._replica_rings.values():
            steps, rows, _ = ring.fetch()
            for step, row in zip(steps.tolist(), rows, strict=True):
                self._replica_rows.setdefault(step, []).append(row)
        incomplete = [
            len(self._replica_rows.get(step, ())) < len(self._replica_rings)
            for step, _ in frames
        ]
        if any(incomplete):
            first = incomplete.index(True)
            frames, self._waiting = frames[:first], frames[first:]
        return late + frames

    def _fetch_histograms(self) -> None:
        # Histograms are fetched after the frames, so a histogram may arrive
        # before the frame of its step; then it waits in `_counts`.
        if self.histograms is not None:
            steps, rows, lost = self.histograms.fetch()
            self._histograms_dropped += lost
            self._counts.update(zip(steps.tolist(), rows, strict=True))

    def _write(self, rows: list[tuple[int, np.ndarray]]) -> None:
        # Nobody has looked at the clock at each of these steps, so they share
        # the time since the last drain evenly.
        times = np.linspace(self._drained_at, time.time(), len(rows) + 1)[1:]
        for wall_time, (step, row) in zip(times, rows, strict=True):
            try:
                self.file.write(step, wall_time, self._values(step, row))
                self._recorded += 1
                self._unflushed += 1
            except Exception as error:
                self._dropped += 1
                self._give_up_file(error)
        # The frames of these older histograms and rows were dropped.
        last = rows[-1][0]
        self._counts = {s: c for s, c in self._counts.items() if s > last}
        self._replica_rows = {
            s: r for s, r in self._replica_rows.items() if s > last
        }
        try:
            self.file.flush()
            self._unflushed = 0
        except Exception as error:
            self._give_up_file(error)

    def _values(self, step: int, row: np.ndarray) -> list[Any]:
        """Build the values of a recorded step's event."""
        tallies = {
            # With the step that is being written, so that a reader that knows
            # the last step alone knows how many there were.
            "recorded": self._recorded + 1,
            "dropped": self._dropped,
            "histograms_dropped": self._histograms_dropped,
        }
        replica_rows = self._replica_rows.pop(step, ())
        tables = self._tables.build(step, row, replica_rows, tallies)
        values = [
            event_writer.family_value(family, self.schema.id, matrix)
            for family, matrix in tables.items()
        ]
        values += self._missing_schema()
        numbers = self._counts.pop(step, None)
        if numbers is not None:
            values += self._occasional(tables["variables"], numbers)
        return values

    def _occasional(self, table: np.ndarray, numbers: np.ndarray) -> list[Any]:
        """Build the values of a step with histograms, beside its families."""
        counts, sketches = tensorboard_tabs.split(numbers, len(self.selected))
        rows = np.zeros([len(self.schema.variables), sketches.shape[1]])
        rows[self.selected] = sketches
        variables = [self.schema.variables[i] for i in self.selected]
        return [
            event_writer.family_value("sketch", self.schema.id, rows),
            *tensorboard_tabs.step_panels(
                variables, table[self.selected], counts
            ),
        ]

    def _missing_schema(self) -> list[Any]:
        """Build the value of the schema, unless the file has it already."""
        if self.file.has_tag(tag("schema", self.schema.id)):
            return []
        return [event_writer.schema_value(self.schema)]

    def _give_up_file(self, error: Exception) -> None:
        # Events that were not flushed count as lost: a full disk is noticed
        # only at a flush, and TensorFlow then closes the file without an error.
        self._recorded -= self._unflushed
        self._dropped += self._unflushed
        self._unflushed = 0
        # The file may end within a record, so nothing is appended to it. The
        # next write creates another file.
        try:
            self.file.close()
        except Exception:
            self.file.abandon()
        self._error = error

    def _warn(self) -> None:
        # Callers do this last: a filter can turn the warning into an error.
        error, self._error = self._error, None
        if error is not None:
            warn_once(self.file.directory, error)
        notice, self.file.notice = self.file.notice, None
        if notice is not None:
            warnings.warn(notice, GradscopeWarning, stacklevel=3)


def warn_once(directory: str, error: Exception) -> None:
    """Warn that a directory cannot be written to, once per process."""
    if directory in _warned:
        return
    _warned.add(directory)
    warnings.warn(
        f"gradscope cannot write to {directory}: {error}. Training goes on; "
        "what cannot be written is lost and counted as dropped. Make room in "
        "this directory or choose another one.",
        GradscopeWarning,
        stacklevel=3,
    )
