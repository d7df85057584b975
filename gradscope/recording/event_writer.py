"""Writes event files: one event for each recorded step."""

from __future__ import annotations

import functools
import itertools
import os
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Container
from typing import Any

import numpy as np
import tensorflow as tf

from gradscope.format import json_tensor, schema
from gradscope.format.epoch_logs import Log
from gradscope.recording import (
    event_bytes,
    rising_tags,
    run_directory,
    tfrecord_files,
    timeline,
    wandb_sync,
)

# Of the enum `DataClass` (summary.proto).
_DATA_CLASS_SCALAR = 1
_DATA_CLASS_TENSOR = 2

# Writers of one process may begin within a second, which is as exact as the
# time in a file's name.
_file_numbers = itertools.count()


class EventWriter:
    """Writes the events of one run into a directory of its own.

    Threads may share a writer. The file is created with the first event.
    Failures of the file system are raised as TensorFlow's errors, which the
    drain handles.

    Args:
        directory: A local directory, created if it does not exist, or a URL
            of remote storage, see `gradscope.reading.storage`.

    Attributes:
        directory: The requested directory until a file is created, then the
            directory of the file. They differ if the requested one has the
            record of another training, see `begin`.
        notice: A message for the user about such a difference; None if there is
            none, or if the drain has shown it.
        last_step: The step of the last event.
        last_wall_time: The wall time of the last event.
        lock: Held while the file is written.
        timeline: The steps that were recorded.
        drains: The drains that share the file, the oldest first.
        scalars: The scalars of steps for a mirror, `(step, numbers by tag)`;
            None if there is no mirror.
    """

    def __init__(self, directory: str):
        self.directory = directory
        self.notice: str | None = None
        self._training: tuple[schema.Schema, int | None] | None = None
        self._is_new = True
        self._file: tfrecord_files.RecordFile | None = None
        # Only the first value of a tag in a file has the format's version.
        self._tags: set[str] = set()
        self._first_names: set[str] = set()
        self._rising = rising_tags.RisingTags()
        # Of the open file.
        self._file_step = -1
        self.last_step = 0
        self.last_wall_time = 0.0
        self.timeline = timeline.Timeline()
        self.lock = threading.RLock()
        self.scalars: deque[tuple[int, dict[str, float]]] | None = None
        # A dictionary, since a `WeakSet` has no order.
        self.drains: weakref.WeakKeyDictionary[Any, None] = (
            weakref.WeakKeyDictionary()
        )

    def begin(self, first_schema: schema.Schema, step: int | None) -> None:
        """Describe the training, so that its directory can be chosen.

        Without this call, the requested directory is used.

        Args:
            first_schema: The schema of the first recorded step.
            step: The optimizer's step number when the training began; None for
                the number of the first event.
        """
        if self._training is None and self._is_new:
            self._training = first_schema, step

    @property
    def has_file(self) -> bool:
        """Whether anything was written."""
        return not self._is_new

    def has_tag(self, tag: str) -> bool:
        """Return whether the open file has a tag already, by any name."""
        return tag in self._first_names

    def write(
        self, step: int, wall_time: float, values: list[event_bytes.Panel]
    ) -> list[str]:
        """Write one event.

        The steps of each tag rise, see `RisingTags.place`, and those of the
        events of a file do not fall, unless the training went back. Where a tag
        has no more names, or an event would be early, another file begins.

        Args:
            step: The optimizer's step number, at least 0.
            wall_time: Seconds since the epoch.
            values: Values that the functions of this module build.

        Returns:
            The tags of the values that were written.
        """
        with self.lock:
            placed = self._rising.place(values, step)
            if placed is None:
                self.close()
                self._rising.forget_families()
                placed = self._rising.place(values, step)
            if not placed:
                return []
            # As of a log that was written while another thread made a step.
            if step < self._file_step:
                self.close()
            if self._file is None:
                self._choose_and_open(step)
            assert self._file is not None
            self._file.write(event(step, wall_time, placed, self._tags))
            tags = [value.tag for value in placed]
            self._tags.update(tags)
            self._first_names.update(value.tag for value in values)
            self._file_step = self.last_step = step
            self.last_wall_time = wall_time
            return tags

    def write_after(
        self,
        step: int,
        wall_time: float,
        values: list[event_bytes.Panel],
        *,
        replaces: bool = False,
    ) -> None:
        """Write an event of no recorded step, behind those of such steps.

        Args:
            step, wall_time, values: As for `write`; the event's step is that of
                the last event if that is later.
            replaces: Whether values of TensorBoard's own tabs that the step has
                already are replaced, by those of another file.
        """
        with self.lock:
            step = max(step, self.last_step)
            tags = [value.tag for value in values]
            if replaces and self._rising.have_values_at(tags, step):
                self.close()
                self._rising.forget(tags)
            self.write(step, wall_time, values)

    def restart(self, step: int) -> None:
        """Note that the training makes steps again, from this one on."""
        self._rising.restart(step)
        self._file_step = min(self._file_step, step)

    def flush(self, *, urgent: bool = True) -> bool:
        """Make all written events safe.

        Args:
            urgent: Whether a remote file is uploaded in any case.

        Returns:
            Whether all events are safe: in the operating system, or uploaded.

        Raises:
            FileNotFoundError: If the local file was removed.
        """
        with self.lock:
            if self._file is None:
                return True
            is_safe = self._file.flush(urgent=urgent or self._file.is_full)
            if self._file.is_full:
                self.close()
            return is_safe

    def close(self) -> None:
        """Flush and close the file; a later write creates another one."""
        with self.lock:
            if self._file is not None:
                file = self._file
                self.abandon()
                file.close()

    def abandon(self) -> None:
        """Drop the open file without closing it."""
        self._file = None
        self._file_step = -1
        self._tags.clear()
        self._first_names.clear()

    def _choose_and_open(self, step: int) -> None:
        if self._training is None:
            self._open()
            return
        first_schema, first_step = self._training
        first_step = step if first_step is None else min(first_step, step)
        requested = self.directory
        with run_directory.exclusive_choice(requested):
            self.directory = run_directory.choose(
                requested, first_schema, first_step
            )
            self._training = None
            self._open()
        self.notice = run_directory.describe_choice(
            requested, self.directory, first_step
        )

    def _open(self) -> None:
        name = (
            # Readers take the files of a directory in the order of their names,
            # which is that of time with ten digits.
            f"events.out.tfevents.{int(time.time()):010d}."
            f"{socket.gethostname()}.{os.getpid()}.{next(_file_numbers):06d}"
        )
        self._file = tfrecord_files.create(os.path.join(self.directory, name))
        self._is_new = False
        wandb_sync.announce(self.directory)
        # Readers expect the version as a file's first event.
        version = tf.compat.v1.Event(
            wall_time=time.time(), file_version="brain.Event:2"
        )
        self._file.write(version.SerializeToString())


def event(
    step: int,
    wall_time: float,
    values: list[event_bytes.Panel],
    tags: Container[str] = (),
) -> bytes:
    """Serialize an event.

    Args:
        step, wall_time, values: As of `EventWriter.write`.
        tags: Tags that the file has already.
    """
    head = tf.compat.v1.Event(step=step, wall_time=wall_time)
    parts = [value.serialize(value.tag not in tags) for value in values]
    return event_bytes.event(head.SerializeToString(), parts)


def family_value(
    family: str, schema_id: str, matrix: np.ndarray
) -> event_bytes.Panel:
    """Build the value of one family, float32 `[rows, columns]`."""
    with np.errstate(over="ignore"):  # values beyond float32 become infinite
        matrix = np.asarray(matrix, np.float32)
    tag = schema.tag(family, schema_id)
    return _panel(tag, schema.PLUGIN_NAME, event_bytes.tensor(matrix))


def schema_value(described: schema.Schema) -> event_bytes.Panel:
    """Build the value that has a schema as JSON."""
    return _json_value("schema", described.id, described.to_json())


def logs_value(schema_id: str, log: Log) -> event_bytes.Panel:
    """Build the value that has the logs of an epoch as JSON."""
    return _json_value("logs", schema_id, log.to_json())


def text_value(tag: str, text: str) -> event_bytes.Panel:
    """Build a value for TensorBoard's Text tab, which renders Markdown."""
    return _panel(tag, "text", event_bytes.text_tensor(text))


def histogram_value(tag: str, buckets: np.ndarray) -> event_bytes.Panel:
    """Build a value for TensorBoard's Histograms and Distributions tabs.

    Args:
        tag: Name of the histogram.
        buckets: `[k, 3]` of left edge, right edge and count. They are written
            as float32, which has exact edges, and exact counts up to 2^24.
    """
    rows = np.asarray(buckets, np.float32)
    return _panel(tag, "histograms", event_bytes.tensor(rows))


def scalar_value(tag: str, number: float | np.floating) -> event_bytes.Panel:
    """Build a value for TensorBoard's Scalars tab."""
    scalar = np.asarray(number, np.float32)
    return _panel(tag, "scalars", event_bytes.tensor(scalar))


def _json_value(family: str, schema_id: str, text: str) -> event_bytes.Panel:
    tensor = event_bytes.tensor(json_tensor.to_array(text))
    return _panel(schema.tag(family, schema_id), schema.PLUGIN_NAME, tensor)


def _panel(tag: str, plugin: str, tensor: bytes) -> event_bytes.Panel:
    return event_bytes.Panel(tag, *_metadata(plugin), tensor)


@functools.cache
def _metadata(plugin: str) -> tuple[bytes, bytes]:
    """Serialize the metadata of a tag's first value, and of later ones."""
    is_scalar = plugin == "scalars"
    metadata = tf.compat.v1.SummaryMetadata(
        data_class=_DATA_CLASS_SCALAR if is_scalar else _DATA_CLASS_TENSOR
    )
    metadata.plugin_data.plugin_name = plugin
    brief = metadata.SerializeToString()
    if plugin == schema.PLUGIN_NAME:
        metadata.plugin_data.content = schema.plugin_content()
    return metadata.SerializeToString(), brief
