"""The host side of the recorder: from the rings to the event file."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import warnings

import numpy as np

from gradscope import background, tabs, writer
from gradscope.errors import GradscopeWarning
from gradscope.measuring import statistics
from gradscope.recorder import Ring
from gradscope.schema import (
    ACTIVATION_COLUMNS,
    RUN_COLUMNS,
    VARIABLE_COLUMNS,
    Schema,
    tag,
)

#: Seconds after which the page sees a step, at the latest.
PERIOD = 2.0

#: What a ring's row begins with, before the statistics of the variables.
HEADER = ("learning_rate", "loss_scale", "skipped")

_warned: set[str] = set()


@dataclasses.dataclass(eq=False)
class Drain:
    """Fetches what steps have measured and writes it.

    A ring's row is `HEADER`, then the measured statistics of all variables,
    then those of all activations.
    All methods may be called from any thread.

    Attributes:
        file: Where to write; several drains may share it.
        schema: Names of what was measured.
        ring: The statistics of steps.
        histograms: Ring of the selected variables' histograms, or None.
        selected: Indices of the variables with histograms and ratios.
    """

    file: writer.EventWriter
    schema: Schema
    ring: Ring
    histograms: Ring | None
    selected: list[int]

    def __post_init__(self):
        self._sizes = np.array([v.size for v in self.schema.variables])
        self._rings = [r for r in (self.ring, self.histograms) if r is not None]
        self._room = min(ring.rows for ring in self._rings) // 2
        self._counts: dict[int, np.ndarray] = {}
        self._recorded = 0
        self._unflushed = 0
        self._dropped = 0
        self._histograms_dropped = 0
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._drained_at = time.time()
        self._closed = False
        self._error: Exception | None = None
        background.watch(self)

    @property
    def dropped(self) -> int:
        """How many records were lost: overwritten, or not writable."""
        return self._dropped

    def tick(self) -> None:
        """Drains if there is something old or much; called twice a second."""
        if self._foreign():
            return
        old = time.time() - self._drained_at > PERIOD
        if self._room_on_device() <= 0 or (old and self.ring.waiting()):
            self.drain()

    def stepped(self, steps: int = 1) -> None:
        """Drains when a ring may be half full; called after observed steps.

        How many steps there were is known on the host. The device is asked,
        which waits for it, only when they could fill half a ring.

        Args:
            steps: How many there were since the last call.
        """
        self._room -= steps
        if self._room <= 0:
            self._room = self._room_on_device()
        if self._room <= 0:
            self.drain()
            self._room = self._room_on_device()

    def _room_on_device(self) -> int:
        """Returns how many rows may come until a ring is half full."""
        return min(ring.rows // 2 - ring.waiting() for ring in self._rings)

    def drain(self) -> None:
        """Writes everything that was measured since the last call.

        If that fails there is one warning, and what could not be written is
        counted as dropped; later records are tried again.
        """
        with self._lock:
            if self._foreign():
                return
            steps, rows, lost = self.ring.fetch()
            self._fetch_histograms()
            self._dropped += lost
            if len(steps):
                self._write(steps, rows)
            self._drained_at = time.time()
            self._warn()

    def close(self) -> None:
        """Drains for the last time and closes the file."""
        with self._lock:
            if self._foreign():
                return
            self.drain()
            self._closed = True
            background.forget(self)
            try:
                self.file.close()
            except Exception as error:
                self._give_up_file(error)
            self._warn()

    def _foreign(self) -> bool:
        # A forked data worker has the object, but not the file to write to.
        return self._closed or os.getpid() != self._process

    def _fetch_histograms(self) -> None:
        # Fetched after the statistics, so a histogram may be ahead of its
        # step; then it waits here.
        if self.histograms is not None:
            steps, rows, lost = self.histograms.fetch()
            self._histograms_dropped += lost
            self._counts.update(zip(steps.tolist(), rows, strict=True))

    def _write(self, steps, rows) -> None:
        times = np.linspace(self._drained_at, time.time(), len(steps) + 1)[1:]
        for index, step in enumerate(steps.tolist()):
            try:
                values = self._values(step, rows[index])
                self.file.write(step, times[index], values)
                self._recorded += 1
                self._unflushed += 1
            except Exception as error:
                self._dropped += 1
                self._give_up_file(error)
        # Histograms of steps that were dropped wait for nothing.
        self._counts = {s: c for s, c in self._counts.items() if s > steps[-1]}
        try:
            self.file.flush()
            self._unflushed = 0
        except Exception as error:
            self._give_up_file(error)

    def _values(self, step: int, row: np.ndarray) -> list:
        run = dict(zip(HEADER, row, strict=False))
        activations = len(self.schema.activations) * len(ACTIVATION_COLUMNS)
        end = len(row) - activations
        measured = row[len(HEADER) : end].reshape(len(self._sizes), -1)
        table = statistics.complete(measured, self._sizes)
        run["global_gradient_norm"] = _global(table, "gradient_norm")
        run["global_clipped_norm"] = _global(table, "clipped_gradient_norm")
        run["recorded"] = self._recorded + 1
        run["dropped"] = self._dropped
        run["histograms_dropped"] = self._histograms_dropped
        schema_id = self.schema.id
        values = [
            writer.family_value("variables", schema_id, table),
            writer.family_value(
                "run", schema_id, np.array([[run[n] for n in RUN_COLUMNS]])
            ),
        ]
        if activations:
            values.append(
                writer.family_value(
                    "activations",
                    schema_id,
                    row[end:].reshape(-1, len(ACTIVATION_COLUMNS)),
                )
            )
        if not self.file.has(tag("schema", schema_id)):
            values.append(writer.schema_value(self.schema))
        counts = self._counts.pop(step, None)
        if counts is not None:
            chosen = [self.schema.variables[i] for i in self.selected]
            values += tabs.values(chosen, table[self.selected], counts)
        return values

    def _give_up_file(self, error: Exception) -> None:
        # What was not flushed counts as lost: a full disk shows only when a
        # buffer is emptied, and TensorFlow then closes without complaint.
        self._recorded -= self._unflushed
        self._dropped += self._unflushed
        self._unflushed = 0
        # A file that failed is not written to again: its end may be half a
        # record. Another one is started when there is room again.
        try:
            self.file.close()
        except Exception:
            self.file.abandon()
        self._error = error

    def _warn(self) -> None:
        # Last of all: where warnings are made errors, this one raises.
        error, self._error = self._error, None
        if error is not None:
            warn_once(self.file.directory, error)


def _global(table: np.ndarray, column: str) -> float:
    """Returns the norm of all gradients as one vector, NaN without any."""
    norms = table[:, VARIABLE_COLUMNS.index(column)].astype(np.float64)
    there = table[:, VARIABLE_COLUMNS.index("gradient_missing")] == 0
    return np.sqrt(np.sum(norms[there] ** 2)) if there.any() else np.nan


def warn_once(directory: str, error: Exception) -> None:
    """Warns that a directory cannot be written to, once in a process."""
    if directory in _warned:
        return
    _warned.add(directory)
    warnings.warn(
        f"gradscope cannot write to {directory}: {error}. Training goes on; "
        "what cannot be written is lost, and counted as dropped. Free or "
        "choose another directory.",
        GradscopeWarning,
        stacklevel=3,
    )
