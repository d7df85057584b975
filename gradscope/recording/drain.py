"""The host side of the recorder: from the rings to the event file."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import warnings

import numpy as np

from gradscope.errors import GradscopeWarning
from gradscope.format.epoch_logs import Log
from gradscope.format.schema import (
    RUN_COLUMNS,
    STATE_COLUMNS,
    VARIABLE_COLUMNS,
    Schema,
    tag,
)
from gradscope.format.step_layout import HEADER, STATE_MEASURED, Layout
from gradscope.measuring import statistics
from gradscope.recording import (
    background,
    event_writer,
    replica_merging,
    tensorboard_tabs,
)
from gradscope.recording.device_ring import Ring
from gradscope.recording.state_movement import Moving
from gradscope.recording.unit_history import Units

#: Seconds after which the page sees a step, at the latest.
PERIOD = 2.0

_warned: set[str] = set()


@dataclasses.dataclass(eq=False)
class Drain:
    """Fetches what steps have measured and writes it.

    All methods may be called from any thread.

    Attributes:
        file: Where to write; several drains may share it.
        schema: Names of what was measured.
        ring: The statistics of steps; a row is a `Layout`.
        histograms: Ring of the selected variables' histograms, or None.
        selected: Indices of the variables with histograms and ratios.
        window: Examples for which a dead unit was zero.
    """

    file: event_writer.EventWriter
    schema: Schema
    ring: Ring
    histograms: Ring | None
    selected: list[int]
    window: int

    def __post_init__(self):
        self._layout = Layout.of(self.schema)
        self._units = Units(self.schema.activations, self.window)
        self._moving = Moving(self.schema.states)
        # What other replicas tell of the same steps, and steps that still
        # wait for it.
        self._others: dict[int, Ring] = {}
        self._told: dict[int, list[np.ndarray]] = {}
        self._waiting: list[tuple[int, np.ndarray]] = []
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
            ready = self._complete(list(zip(steps.tolist(), rows, strict=True)))
            if ready:
                self._write(ready)
            self._drained_at = time.time()
            self._warn()

    def close(self) -> None:
        """Drains for the last time and closes the file."""
        with self._lock:
            if self._foreign():
                return
            self.drain()
            if self._waiting:  # what has waited once is taken as it is
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

    def listen(self, replica: int, ring: Ring) -> None:
        """Has the forward pass of another replica taken into account.

        Args:
            replica: Its number.
            ring: Gets rows of `Layout.forward` in the same steps.
        """
        with self._lock:
            self._others[replica] = ring

    def probed(self, step: int, losses: tuple[float, float]) -> None:
        """Writes the two losses of a probe.

        Args:
            step: The optimizer's step then.
            losses: `PROBE_COLUMNS`.
        """
        value = event_writer.family_value(
            "probe", self.schema.id, np.array([losses])
        )
        self._write_at_once(step, value)

    def logged(self, log: Log) -> None:
        """Writes what a `fit` logged at the end of an epoch.

        Args:
            log: With the optimizer's step then.
        """
        value = event_writer.logs_value(self.schema.id, log)
        self._write_at_once(log.step, value)

    def _write_at_once(self, step: int, value) -> None:
        """Writes a value that is of no step's own event."""
        with self._lock:
            if self._foreign():
                return
            try:
                self.file.write(step, time.time(), [value, *self._described()])
                self.file.flush()
            except Exception as error:
                self._give_up_file(error)
            self._warn()

    def rewritten(self, step: int, names: tuple[str, ...]) -> None:
        """Writes the schema once more, with the names of sums whose terms are
        added in any order.

        Args:
            step: The optimizer's step then.
            names: Of the sums.
        """
        with self._lock:
            self.schema = self.schema.with_unordered_sums(names)
            if self.file.has(tag("schema", self.schema.id)):
                self._write_at_once(
                    step, event_writer.schema_value(self.schema)
                )

    def noted(self, step: int, text: str) -> None:
        """Writes a text for TensorBoard's tab Text.

        Args:
            step: The optimizer's step then.
            text: Markdown.
        """
        with self._lock:
            if self._foreign():
                return
            try:
                value = event_writer.text_value("gradscope/findings", text)
                self.file.write(step, time.time(), [value])
                self.file.flush()
            except Exception as error:
                self._give_up_file(error)
            self._warn()

    def _complete(self, arrived: list) -> list:
        """Returns the steps that can be written: of which all replicas told.

        A step waits for another replica until the next call; that one may run
        behind, or have left.
        """
        late, self._waiting = self._waiting, []
        for ring in self._others.values():
            steps, rows, _ = ring.fetch()
            for step, row in zip(steps.tolist(), rows, strict=True):
                self._told.setdefault(step, []).append(row)
        missing = [
            len(self._told.get(step, ())) < len(self._others)
            for step, _ in arrived
        ]
        if any(missing):
            first = missing.index(True)
            arrived, self._waiting = arrived[:first], arrived[first:]
        return late + arrived

    def _fetch_histograms(self) -> None:
        # Fetched after the statistics, so a histogram may be ahead of its
        # step; then it waits here.
        if self.histograms is not None:
            steps, rows, lost = self.histograms.fetch()
            self._histograms_dropped += lost
            self._counts.update(zip(steps.tolist(), rows, strict=True))

    def _write(self, rows: list[tuple[int, np.ndarray]]) -> None:
        times = np.linspace(self._drained_at, time.time(), len(rows) + 1)[1:]
        for wall_time, (step, row) in zip(times, rows, strict=True):
            try:
                self.file.write(step, wall_time, self._values(step, row))
                self._recorded += 1
                self._unflushed += 1
            except Exception as error:
                self._dropped += 1
                self._give_up_file(error)
        # Histograms of steps that were dropped wait for nothing.
        last = rows[-1][0]
        self._counts = {s: c for s, c in self._counts.items() if s > last}
        self._told = {s: r for s, r in self._told.items() if s > last}
        try:
            self.file.flush()
            self._unflushed = 0
        except Exception as error:
            self._give_up_file(error)

    def _values(self, step: int, row: np.ndarray) -> list:
        segments = self._layout.split(row)
        table = statistics.complete(segments["variables"], self._sizes)
        if self.schema.has_rates:
            table = np.column_stack([table, segments["rates"]])
        forward = self._forward(step, segments)
        run = self._run(segments, table)
        tables = {"variables": table, "run": run, **forward}
        row, state = segments["origin"]
        if np.isfinite(row):
            tables["operations"] = np.zeros([len(self.schema.operations), 1])
            tables["operations"][int(row)] = state
        values = [
            event_writer.family_value(family, self.schema.id, matrix)
            for family, matrix in tables.items()
        ]
        values += self._described()
        numbers = self._counts.pop(step, None)
        if numbers is not None:
            values += self._occasional(table, numbers)
        return values

    def _occasional(self, table: np.ndarray, numbers: np.ndarray) -> list:
        """Returns what comes with a step's histograms."""
        counts, sketches = tensorboard_tabs.split(numbers, len(self.selected))
        rows = np.zeros([len(self.schema.variables), sketches.shape[1]])
        rows[self.selected] = sketches
        chosen = [self.schema.variables[i] for i in self.selected]
        return [
            event_writer.family_value("sketch", self.schema.id, rows),
            *tensorboard_tabs.values(chosen, table[self.selected], counts),
        ]

    def _run(self, segments, table) -> np.ndarray:
        run = dict(zip(HEADER, segments["header"], strict=True))
        run["loss"] = segments["loss"][0]
        run["global_gradient_norm"] = _global(table, "gradient_norm")
        run["global_clipped_norm"] = _global(table, "clipped_gradient_norm")
        run["recorded"] = self._recorded + 1
        run["dropped"] = self._dropped
        run["histograms_dropped"] = self._histograms_dropped
        return np.array([[run[name] for name in RUN_COLUMNS]])

    def _forward(self, step: int, segments) -> dict[str, np.ndarray]:
        """Returns the families of the forward pass, of those with rows."""
        others = [
            self._layout.split_forward(row) for row in self._told.pop(step, ())
        ]
        own = {name: segments[name] for name in self._layout.forward}
        whole = replica_merging.merged([own, *others])
        segments.update(whole)
        measured = whole["activations"]
        shares = self._units.count(step, whole["activity"], measured[:, -1])
        state = dict(zip(STATE_MEASURED, whole["state"].T, strict=True))
        state["state_movement"] = self._moving.movement(whole["moving"])
        tables = {
            "activations": np.concatenate([shares, measured[:, :-1]], axis=1),
            "state": np.stack([state[name] for name in STATE_COLUMNS], axis=1),
            "data": whole["data"],
            "units": self._units.map(step),
        }
        return {
            family: matrix
            for family, matrix in tables.items()
            if matrix is not None and len(matrix)
        }

    def _described(self) -> list:
        """Returns the value of the schema, if the file has none yet."""
        if self.file.has(tag("schema", self.schema.id)):
            return []
        return [event_writer.schema_value(self.schema)]

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
        news, self.file.news = self.file.news, None
        if news is not None:
            warnings.warn(news, GradscopeWarning, stacklevel=3)


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
