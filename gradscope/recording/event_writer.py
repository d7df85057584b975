"""Writes event files: one event for each recorded step.

TensorFlow's record writer computes framing and checksums in C++, which is much
faster than TensorBoard's own writer in Python.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
import threading
import time
from collections.abc import Container

import numpy as np
import tensorflow as tf

from gradscope.format import schema
from gradscope.format.epoch_logs import Log
from gradscope.recording import event_bytes, run_directory

# Of the enums `DataClass` (summary.proto) and `DataType` (types.proto).
_DATA_CLASS_SCALAR = 1
_DATA_CLASS_TENSOR = 2
_DT_STRING = 7

# Writers of one process may begin within a second, which is as exact as the
# time in a file's name.
_file_numbers = itertools.count()

_Value = event_bytes.Panel | tf.compat.v1.Summary.Value


class EventWriter:
    """Writes the events of one run into a directory of its own.

    Threads may share a writer. The file is created with the first event.
    Failures of the file system are raised as TensorFlow's errors, which the
    drain handles.

    Args:
        directory: Any path that TensorFlow's file systems accept; created if it
            does not exist.

    Attributes:
        directory: The requested directory until a file is created, then the
            directory of the file. They differ if the requested one has the
            record of another training, see `begin`.
        notice: A message for the user about such a difference; None if there is
            none, or if the drain has shown it.
    """

    def __init__(self, directory: str):
        self.directory = directory
        self.notice: str | None = None
        self._training: tuple[schema.Schema, int | None] | None = None
        self._path = ""
        self._file = None
        self._tags: set[str] = set()
        self._lock = threading.RLock()

    def begin(self, first_schema: schema.Schema, step: int | None) -> None:
        """Describe the training, so that its directory can be chosen.

        Without this call, the requested directory is used.

        Args:
            first_schema: The schema of the first recorded step.
            step: The optimizer's step number when the training began; None for
                the number of the first event.
        """
        if self._training is None and not self._path:
            self._training = first_schema, step

    @property
    def has_file(self) -> bool:
        """Whether anything was written."""
        return bool(self._path)

    def has_tag(self, tag: str) -> bool:
        """Return whether the open file has a tag already."""
        return tag in self._tags

    def write(self, step: int, wall_time: float, values: list) -> None:
        """Write one event.

        Args:
            step: The optimizer's step number, at least 0.
            wall_time: Seconds since the epoch.
            values: Values that the functions of this module build.
        """
        with self._lock:
            if self._file is None:
                self._choose_and_open(step)
            self._file.write(event(step, wall_time, values, self._tags))
            self._tags.update([value.tag for value in values])

    def flush(self) -> None:
        """Flush all written events to the operating system.

        Raises:
            FileNotFoundError: If the local file was removed.
        """
        with self._lock:
            if self._file is None:
                return
            self._file.flush()
            # POSIX lets a process write to a removed file without an error.
            if "://" not in self._path and not os.path.exists(self._path):
                raise FileNotFoundError(f"{self._path} was removed")

    def close(self) -> None:
        """Flush and close the file; a later write creates another one."""
        with self._lock:
            if self._file is not None:
                file = self._file
                self.abandon()
                file.close()

    def abandon(self) -> None:
        """Drop the open file without closing it."""
        self._file = None
        self._tags.clear()

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
        tf.io.gfile.makedirs(self.directory)
        name = (
            # Readers take the files of a directory in the order of their names,
            # which is that of time with ten digits.
            f"events.out.tfevents.{int(time.time()):010d}."
            f"{socket.gethostname()}.{os.getpid()}.{next(_file_numbers):06d}"
        )
        self._path = os.path.join(self.directory, name)
        self._file = tf.io.TFRecordWriter(self._path)
        # Readers expect the version as a file's first event.
        version = tf.compat.v1.Event(
            wall_time=time.time(), file_version="brain.Event:2"
        )
        self._file.write(version.SerializeToString())


def event(
    step: int, wall_time: float, values: list, tags: Container[str] = ()
) -> bytes:
    """Serialize an event.

    Args:
        step, wall_time, values: As of `EventWriter.write`.
        tags: Tags that the file has already. Their metadata is left out, since
            readers use that of the first event and repetitions take space.
    """
    head = tf.compat.v1.Event(step=step, wall_time=wall_time)
    parts = [_serialize(value, value.tag not in tags) for value in values]
    return event_bytes.event(head.SerializeToString(), parts)


def family_value(
    family: str, schema_id: str, matrix: np.ndarray
) -> event_bytes.Panel:
    """Build the value of one family, float32 `[rows, columns]`."""
    with np.errstate(over="ignore"):  # values beyond float32 become infinite
        matrix = np.asarray(matrix, np.float32)
    metadata = _serialized_metadata(schema.PLUGIN_NAME)
    return event_bytes.panel(schema.tag(family, schema_id), metadata, matrix)


def schema_value(described: schema.Schema) -> tf.compat.v1.Summary.Value:
    """Build the value that has a schema as a JSON string."""
    tag = schema.tag("schema", described.id)
    return _text_value(tag, schema.PLUGIN_NAME, described.to_json())


def logs_value(schema_id: str, log: Log) -> tf.compat.v1.Summary.Value:
    """Build the value that has the logs of an epoch as a JSON string."""
    tag = schema.tag("logs", schema_id)
    return _text_value(tag, schema.PLUGIN_NAME, log.to_json())


def text_value(tag: str, text: str) -> tf.compat.v1.Summary.Value:
    """Build a value for TensorBoard's Text tab, which renders Markdown."""
    return _text_value(tag, "text", text)


def histogram_value(tag: str, buckets: np.ndarray) -> event_bytes.Panel:
    """Build a value for TensorBoard's Histograms and Distributions tabs.

    Args:
        tag: Name of the histogram.
        buckets: `[k, 3]` of left edge, right edge and count. They are written
            as float32, which has exact edges, and exact counts up to 2^24.
    """
    metadata = _serialized_metadata("histograms")
    return event_bytes.panel(tag, metadata, np.asarray(buckets, np.float32))


def scalar_value(tag: str, number: float) -> event_bytes.Panel:
    """Build a value for TensorBoard's Scalars tab."""
    metadata = _serialized_metadata("scalars")
    return event_bytes.panel(tag, metadata, np.asarray(number, np.float32))


def _text_value(tag: str, plugin: str, text: str) -> tf.compat.v1.Summary.Value:
    value = tf.compat.v1.Summary.Value(tag=tag, metadata=_metadata(plugin))
    value.tensor.dtype = _DT_STRING
    value.tensor.tensor_shape.SetInParent()
    value.tensor.string_val.append(text.encode())
    return value


def _serialize(value: _Value, with_metadata: bool) -> bytes:
    if isinstance(value, event_bytes.Panel):
        return value.serialize(with_metadata)
    if not with_metadata:
        value.ClearField("metadata")
    return value.SerializeToString()


def _metadata(plugin: str) -> tf.compat.v1.SummaryMetadata:
    is_scalar = plugin == "scalars"
    metadata = tf.compat.v1.SummaryMetadata(
        data_class=_DATA_CLASS_SCALAR if is_scalar else _DATA_CLASS_TENSOR
    )
    metadata.plugin_data.plugin_name = plugin
    if plugin == schema.PLUGIN_NAME:
        metadata.plugin_data.content = schema.plugin_content()
    return metadata


@functools.cache
def _serialized_metadata(plugin: str) -> bytes:
    return _metadata(plugin).SerializeToString()
