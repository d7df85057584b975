"""The drain: fetches frames from the rings and writes them to an event file."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradscope.errors import GradscopeWarning
from gradscope.format import stored_columns
from gradscope.format.epoch_logs import Log
from gradscope.format.schema import Schema, tag
from gradscope.format.step_layout import is_skip
from gradscope.recording import (
    background,
    event_writer,
    frame_order,
    tensorboard_tabs,
    timeline,
)
from gradscope.recording.frame_order import Frame
from gradscope.recording.interfaces import FrameRing
from gradscope.recording.step_values import StepValues
from gradscope.recording.waiting_rows import WaitingRows

#: Longest time in seconds between a step and its event in the file.
PERIOD = 2.0

_warned: set[str] = set()


@dataclasses.dataclass(eq=False)
class Drain:
    """Fetches the frames of recorded steps and writes them.

    All methods may be called from any thread. Drains that share a file write
    their frames together, in the order of the steps.

    Attributes:
        file: The writer, which several drains may share.
        schema: Names of the rows and columns.
        ring: Ring of frames, each with a `Layout` of numbers.
        histograms: Ring of the selected variables' histograms, or None.
        selected: Indices of the variables with histograms and ratios.
        window: Number of examples for which a dead unit is zero.
        kinds: Kinds of histograms, of `tensorboard_tabs.KINDS`.
        by_time: Whether steps are recorded by time.
    """

    file: event_writer.EventWriter
    schema: Schema
    ring: FrameRing
    histograms: FrameRing | None
    selected: list[int]
    window: int
    kinds: tuple[str, ...] = tensorboard_tabs.KINDS
    by_time: bool = False

    def __post_init__(self) -> None:
        self.schema = stored_columns.with_stored_columns(self.schema)
        self._step_values = StepValues(
            self.schema, self.selected, self.kinds, self.window
        )
        # Other replicas measure the forward pass of the same steps: their
        # rows, and the frames that wait for such rows.
        self._replica_rows: dict[int, WaitingRows] = {}
        self._waiting: list[Frame] = []
        # Frames that wait for a later call: others may come before them, or may
        # replace them.
        self._held: list[Frame] = []
        # Frames that may be late, which those that follow will tell.
        self._undecided: list[Frame] = []
        self._timeline = timeline.Timeline(by_time=self.by_time)
        self._went_back = False
        # The step that was written last, and the last one that is not written
        # again: a skipped try is.
        self._last_step = -1
        self._last_made = -1
        # The step of the schema's last event, and that of a note on it.
        self._schema_step = -1
        self._noted_at: int | None = None
        self._counts_of_findings: Mapping[str, float] = {}
        self._counts = (
            None if self.histograms is None else WaitingRows(self.histograms)
        )
        self._rings = [r for r in (self.ring, self.histograms) if r is not None]
        # Half a ring is free for the steps that run while the other half is
        # fetched.
        self._room = min(ring.rows for ring in self._rings) // 2
        self._recorded = 0
        self._unflushed = 0
        self._dropped = 0
        self._histograms_dropped = 0
        # Reentrant, since `close` drains.
        self._lock = self.file.lock
        self._process = os.getpid()
        self._drained_at = time.time()
        self._closed = False
        self._error: Exception | None = None
        self.file.timeline.by_time |= self.by_time
        with self._lock:
            self.file.drains[self] = None
        background.watch(self)

    @property
    def dropped(self) -> int:
        """Number of lost records: overwritten in a ring, of a step that another
        thread recorded too, or not written."""
        return self._dropped

    def tick(self) -> None:
        """Drain old frames and half full rings; called twice a second."""
        if self._is_foreign():
            return
        is_old = time.time() - self._drained_at > PERIOD
        if self._room_on_device() <= 0 or (
            is_old and (self.ring.count_waiting() or self._awaited())
        ):
            self._drain_file(final=False)

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
            self._drain_file(final=False)
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
        self._drain_file(final=True)

    def _drain_file(self, *, final: bool) -> None:
        """Write the frames of all drains of the file.

        Args:
            final: Whether to write all of them. Otherwise, those that a later
                frame may have to precede or replace wait for the next call.
        """
        with self._lock:
            if self._is_foreign():
                return
            drains = [d for d in self.file.drains if not d._is_foreign()]
            fetched = [(d, d._fetch(final)) for d in drains]
            if not any(drain._went_back for drain in drains):
                fetched = self._leave_out_late(fetched)
            rounds = frame_order.rounds(fetched, self.file.last_step)
            if rounds and not final:
                rounds[-1], later = frame_order.split_at_common_end(
                    rounds[-1], [step for d in drains for step in d._awaited()]
                )
                for drain, held in later.items():
                    drain._held = held + drain._held
            frames = list(itertools.chain(*rounds))
            # Nobody has looked at the clock at each of these steps, so they
            # share the time since the last drain evenly.
            begin = min(drain._drained_at for drain in drains)
            now = time.time()
            if self.file.last_wall_time <= now:  # the clock was not set back
                begin = max(begin, self.file.last_wall_time)
            times = np.linspace(begin, now, len(frames) + 1)[1:]
            for wall_time, (drain, frame) in zip(times, frames, strict=True):
                drain._write(wall_time, *frame)
            for drain in dict.fromkeys(drain for drain, _ in frames):
                drain._end_writing(final)
            if final:
                for drain in drains:
                    drain._write_noted_schema()
            for drain in drains:
                drain._drained_at = time.time()
            for drain in drains:
                drain._warn()

    def _fetch(self, final: bool) -> list[Frame]:
        """Fetch the frames that can be written now, in order."""
        # Steps are appended with their histograms first, and fetched before
        # them: a step that is here has its histograms by now.
        steps, rows, lost = self.ring.fetch()
        if self._counts is not None:
            self._histograms_dropped += self._counts.fetch()
        self._dropped += lost
        new = self._await_replicas(list(zip(steps.tolist(), rows, strict=True)))
        made, unwritten = frame_order.last_of_each_step(
            [*self._undecided, *new]
        )
        parts, self._undecided = self._timeline.split(
            made, waited=len(self._undecided), final=final
        )
        were_held, self._held = self._held, []
        went_back = bool(were_held) and were_held[0][0] <= self._last_step
        self._went_back = went_back or len(parts) > 1
        parts[0] = [*were_held, *parts[0]]
        frames: list[Frame] = []
        for number, part in enumerate(parts):
            goes_on = not number and not went_back
            part, too_late = frame_order.rising(
                part, self._last_made if goes_on else -1
            )
            frames += part
            unwritten += too_late
        self._lose(unwritten)
        if frames and not final and is_skip(frames[-1][1]):
            # The step that is made after all has the same number.
            has_waited = were_held and were_held[-1][0] == frames[-1][0]
            if not has_waited:
                self._held = [frames.pop()]
        return frames

    def _leave_out_late(
        self, fetched: list[tuple[Drain, list[Frame]]]
    ) -> list[tuple[Drain, list[Frame]]]:
        """Leave out frames that come after later ones of another ring."""
        is_early = self.file.timeline.is_early
        steps = [step for _, frames in fetched for step, _ in frames]
        if not self.file.timeline.are_late(steps):
            return fetched
        for drain, frames in fetched:
            drain._lose([step for step, _ in frames if is_early(step)])
        return [
            (d, [f for f in frames if not is_early(f[0])])
            for d, frames in fetched
        ]

    def _lose(self, steps: list[int]) -> None:
        """Count frames that are not written, and drop what belongs to them."""
        self._dropped += len(steps)
        for step in steps:
            self._take_rows(step)

    def _awaited(self) -> list[int]:
        """List the steps that the last `_fetch` held back."""
        waiting = (*self._held, *self._undecided, *self._waiting)
        return [step for step, _ in waiting]

    def close(self) -> None:
        """Drain for the last time and close the file."""
        with self._lock:
            if self._is_foreign():
                return
            self.drain()
            if self._waiting:  # a second call writes frames that waited once
                self.drain()
            self._closed = True
            self.file.drains.pop(self, None)
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
            self._replica_rows[replica] = WaitingRows(ring)

    def write_probe(self, step: int, losses: tuple[float, float]) -> None:
        """Write the two losses of a probe.

        Args:
            step: The optimizer's step number at the probe.
            losses: The losses of `PROBE_COLUMNS`.
        """
        value = event_writer.family_value(
            "probe", self.schema.id, np.array([losses])
        )
        self._write_now(step, lambda: [value, *self._missing_schema(step)])

    def write_epoch_log(self, log: Log) -> None:
        """Write the logs of an epoch of `fit`."""
        value = event_writer.logs_value(self.schema.id, log)
        self._write_now(
            log.step, lambda: [value, *self._missing_schema(log.step)]
        )

    def write_note(self, step: int, add: Callable[[Schema], Schema]) -> None:
        """Add to the schema what is known later.

        The schema is written with the next step, or by the next `drain`.

        Args:
            step: The optimizer's step number.
            add: Returns the schema with the note.
        """
        with self._lock:
            self.schema = add(self.schema)
            self._noted_at = step

    def write_findings(
        self, step: int, text: str, counts: Mapping[str, float]
    ) -> None:
        """Write findings for TensorBoard's tabs Text and Scalars.

        Args:
            step: The optimizer's step number.
            text: Markdown; empty to leave the text as it is.
            counts: Numbers of findings by tag.
        """
        values = tensorboard_tabs.scalar_panels(counts)
        if text:
            values.append(event_writer.text_value("gradscope/findings", text))
        # A training that makes no step may have other findings than before.
        changed = bool(text) or counts != self._counts_of_findings
        self._counts_of_findings = counts
        self._write_now(step, lambda: values, urgent=True, replaces=changed)

    def _write_now(
        self,
        step: int,
        build_values: Callable[[], list[Any]],
        *,
        urgent: bool = False,
        replaces: bool = False,
    ) -> None:
        """Write values that do not belong to a recorded step's event."""
        with self._lock:
            if self._is_foreign():
                return
            try:
                self.file.write_after(
                    step, time.time(), build_values(), replaces=replaces
                )
                self.file.flush(urgent=urgent)
            except Exception as error:
                self._give_up_file(error)
            self._warn()

    def _await_replicas(self, frames: list[Frame]) -> list[Frame]:
        """Select the frames for which the rows of all replicas are complete.

        The other frames wait until the next call, which returns them in any
        case: a replica may be slow, or may have stopped.
        """
        late, self._waiting = self._waiting, []
        for rows in self._replica_rows.values():
            rows.fetch()
        incomplete = [
            not all(rows.has(step) for rows in self._replica_rows.values())
            for step, _ in frames
        ]
        if any(incomplete):
            first = incomplete.index(True)
            frames, self._waiting = frames[:first], frames[first:]
        return late + frames

    def _take_rows(
        self, step: int
    ) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Take the rows of other replicas, and the histograms, of a frame."""
        of_replicas = [rows.take(step) for rows in self._replica_rows.values()]
        histograms = None if self._counts is None else self._counts.take(step)
        return [row for row in of_replicas if row is not None], histograms

    def _write(self, wall_time: float, step: int, row: np.ndarray) -> None:
        """Write the event of a step."""
        steps = self.file.timeline
        if is_skip(row) and steps.has_made(step):
            return  # another thread made it after all
        if step < steps.last_step:
            self.file.restart(step)
        self._last_step = step
        self._last_made = step - 1 if is_skip(row) else step
        steps.note(step, row)
        try:
            tags = self.file.write(step, wall_time, self._values(step, row))
            self._recorded += 1
            self._unflushed += 1
            scalars = self._step_values.scalars
            if self.file.scalars is not None and scalars:
                scalars = {t: scalars[t] for t in tags if t in scalars}
                self.file.scalars.append((step, scalars))
        except Exception as error:
            self._dropped += 1
            self._give_up_file(error)

    def _end_writing(self, final: bool) -> None:
        # The frames of these older histograms and rows were dropped, unless
        # they wait.
        last = min([self._last_step, *(step - 1 for step in self._awaited())])
        for rows in (self._counts, *self._replica_rows.values()):
            if rows is not None:
                rows.forget(last)
        try:
            if self.file.flush(urgent=final):
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
        replica_rows, histograms = self._take_rows(step)
        values = self._step_values.build(
            step, row, replica_rows, tallies, histograms
        )
        return values + self._missing_schema(step)

    def _missing_schema(self, step: int) -> list[Any]:
        """Build the value of the schema, unless the file has it already."""
        if self._noted_at is None and self.file.has_tag(
            tag("schema", self.schema.id)
        ):
            return []
        self._noted_at, self._schema_step = None, step
        return [event_writer.schema_value(self.schema)]

    def _write_noted_schema(self) -> None:
        """Write a schema that has a note; without any event there is none."""
        if self._noted_at is not None and self._schema_step >= 0:
            # A later step would be after those of the next frames.
            step = max(self._noted_at, self._schema_step)
            self._write_now(
                step, lambda: self._missing_schema(step), urgent=True
            )

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
