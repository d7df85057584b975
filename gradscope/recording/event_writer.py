"""Event files: one event a recorded step, everything of that step in it.

TensorFlow's record writer does the framing and checksums in C++ (28 us for an
event of 200 layers; tensorboard's own writer, in Python, takes 1520 us).
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
import threading
import time

import numpy as np
import tensorflow as tf

from gradscope.format import schema
from gradscope.format.epoch_logs import Log
from gradscope.recording import event_bytes, run_directory

_DATA_CLASS_SCALAR = 1
_DATA_CLASS_TENSOR = 2
_DT_STRING = 7

_file_numbers = itertools.count()


class EventWriter:
    """Writes the events of one run into a directory of its own.

    May be shared by threads. The file is created with the first event.
    Failures of the file system are raised as TensorFlow's errors; the drain
    decides what they mean.

    Args:
        directory: Created where it does not exist; anything that
            TensorFlow's file systems accept.

    Attributes:
        directory: Once there is a file, where it is: another one where that
            has the record of another training, see `begin`.
        news: What there is to be told of that, until it was.
    """

    def __init__(self, directory: str):
        self.directory = directory
        self.news: str | None = None
        self._began: tuple | None = None
        self._path = ""
        self._file = None
        self._described: set[str] = set()
        self._lock = threading.RLock()

    def begin(self, described: schema.Schema, step: int | None) -> None:
        """Tells which training it is; what the directory is chosen by. Where
        nobody does, that is the one that was asked for.

        Args:
            described: What is recorded first.
            step: The optimizer's when it began, None where not known: then it
                is that of the first event.
        """
        if self._began is None and not self._path:
            self._began = described, step

    def has(self, tag: str) -> bool:
        """Returns whether the file that is open has this tag already."""
        return tag in self._described

    def write(self, step: int, wall_time: float, values: list) -> None:
        """Writes one event.

        Args:
            step: Optimizer step, at least 0.
            wall_time: Seconds since the epoch.
            values: From the functions below.
        """
        with self._lock:
            if self._file is None:
                self._choose_and_open(step)
            self._file.write(event(step, wall_time, values, self._described))
            self._described.update([value.tag for value in values])

    def flush(self) -> None:
        """Hands everything written so far to the operating system.

        Raises:
            FileNotFoundError: If a local file was removed meanwhile.
        """
        with self._lock:
            if self._file is None:
                return
            self._file.flush()
            # POSIX goes on writing to a removed file without complaint.
            if "://" not in self._path and not os.path.exists(self._path):
                raise FileNotFoundError(f"{self._path} was removed")

    def close(self) -> None:
        """Flushes and closes; a later write starts another file."""
        with self._lock:
            if self._file is not None:
                file = self._file
                self.abandon()
                file.close()

    def abandon(self) -> None:
        """Forgets a file that cannot even be closed."""
        self._file = None
        self._described.clear()

    def _choose_and_open(self, step: int) -> None:
        if self._began is None:
            self._open()
            return
        described, first = self._began
        first = step if first is None else min(first, step)
        asked = self.directory
        with run_directory.choosing(asked):
            self.directory = run_directory.chosen(asked, described, first)
            self._began = None
            self._open()
        self.news = run_directory.news(asked, self.directory, first)

    def _open(self) -> None:
        tf.io.gfile.makedirs(self.directory)
        name = (
            f"events.out.tfevents.{int(time.time()):010d}."
            f"{socket.gethostname()}.{os.getpid()}.{next(_file_numbers):06d}"
        )
        self._path = os.path.join(self.directory, name)
        self._file = tf.io.TFRecordWriter(self._path)
        version = tf.compat.v1.Event(
            wall_time=time.time(), file_version="brain.Event:2"
        )
        self._file.write(version.SerializeToString())


def event(step: int, wall_time: float, values: list, described=()) -> bytes:
    """Returns a serialized event.

    Args:
        step, wall_time, values: As of `EventWriter.write`.
        described: Tags whose metadata the file has: only that of the first
            event counts, and repeated it would make up a third of the file.
    """
    head = tf.compat.v1.Event(step=step, wall_time=wall_time)
    parts = [_serialized(value, value.tag not in described) for value in values]
    return event_bytes.event(head.SerializeToString(), parts)


def family_value(
    family: str, schema_id: str, matrix: np.ndarray
) -> event_bytes.Panel:
    """Returns the value of one family, float32 `[rows, columns]`."""
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        matrix = np.asarray(matrix, np.float32)
    metadata = _serialized_metadata(schema.PLUGIN_NAME)
    return event_bytes.panel(schema.tag(family, schema_id), metadata, matrix)


def schema_value(described: schema.Schema):
    """Returns the value that holds the schema as a JSON string."""
    tag = schema.tag("schema", described.id)
    return _text_value(tag, schema.PLUGIN_NAME, described.to_json())


def logs_value(schema_id: str, log: Log):
    """Returns the value that holds what a `fit` logged as a JSON string."""
    tag = schema.tag("logs", schema_id)
    return _text_value(tag, schema.PLUGIN_NAME, log.to_json())


def text_value(tag: str, text: str):
    """Returns a value for TensorBoard's Text tab, which renders Markdown."""
    return _text_value(tag, "text", text)


def histogram_value(tag: str, buckets: np.ndarray) -> event_bytes.Panel:
    """Returns a value for TensorBoard's Histograms and Distributions tabs.

    Args:
        tag: Its name there.
        buckets: `[k, 3]`: left edge, right edge, count. They are written as
            float32, in which the edges are exact, and counts up to 2^24.
    """
    metadata = _serialized_metadata("histograms")
    return event_bytes.panel(tag, metadata, np.asarray(buckets, np.float32))


def scalar_value(tag: str, number: float) -> event_bytes.Panel:
    """Returns a value for TensorBoard's Scalars tab."""
    metadata = _serialized_metadata("scalars")
    return event_bytes.panel(tag, metadata, np.asarray(number, np.float32))


def _text_value(tag: str, plugin: str, text: str):
    value = tf.compat.v1.Summary.Value(tag=tag, metadata=_metadata(plugin))
    value.tensor.dtype = _DT_STRING
    value.tensor.tensor_shape.SetInParent()
    value.tensor.string_val.append(text.encode())
    return value


def _serialized(value, with_metadata: bool) -> bytes:
    if isinstance(value, event_bytes.Panel):
        return value.serialized(with_metadata)
    if not with_metadata:
        value.ClearField("metadata")
    return value.SerializeToString()


def _metadata(plugin: str):
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
