"""Files of records in TFRecord's framing, on this machine or in remote storage.

TensorFlow's record writer computes framing and checksums in C++, which is much
faster than TensorBoard's own writer in Python.
"""

from __future__ import annotations

import os
import struct
import time
from typing import Protocol

import tensorflow as tf

from gradscope.reading import storage
from gradscope.reading.checksum import masked_crc

#: Seconds between two uploads of a remote file.
PERIOD = 20.0

#: Bytes of a remote file after which another one is begun: each upload has all
#: bytes of the file, since objects of remote storage cannot grow.
MOST_BYTES = 2**23


class RecordFile(Protocol):
    """A file to which records are appended."""

    def write(self, data: bytes) -> None:
        """Append a record."""

    def flush(self, *, urgent: bool) -> bool:
        """Make the records safe; return whether that was done.

        Args:
            urgent: Whether it must be done now.
        """

    def close(self) -> None:
        """Make the records safe, and append no more."""

    @property
    def is_full(self) -> bool:
        """Whether another file should be begun."""


def create(path: str) -> RecordFile:
    """Create a file and the directory that it is in."""
    return RemoteFile(path) if storage.is_remote(path) else LocalFile(path)


class LocalFile:
    """A file of this machine.

    Args:
        path: Its path.
    """

    is_full = False

    def __init__(self, path: str):
        tf.io.gfile.makedirs(os.path.dirname(path))
        self._path = path
        self._file = tf.io.TFRecordWriter(path)

    def write(self, data: bytes) -> None:
        """Append a record."""
        self._file.write(data)

    def flush(self, *, urgent: bool) -> bool:
        """Flush to the operating system.

        Raises:
            FileNotFoundError: If the file was removed.
        """
        self._file.flush()
        # POSIX lets a process write to a removed file without an error.
        if not os.path.exists(self._path):
            raise FileNotFoundError(f"{self._path} was removed")
        return True

    def close(self) -> None:
        """Flush and close the file."""
        self._file.close()


class RemoteFile:
    """An object of remote storage, which is uploaded now and then.

    Args:
        url: Its URL.
    """

    def __init__(self, url: str):
        self._system, self._path = storage.file_system(url)
        self._content = bytearray()
        self._uploaded = 0
        # The first flush uploads, whatever the clock says.
        self._uploaded_at = -PERIOD
        self._system.makedirs(os.path.dirname(self._path), exist_ok=True)

    @property
    def is_full(self) -> bool:
        """Whether another file should be begun."""
        return len(self._content) > MOST_BYTES

    def write(self, data: bytes) -> None:
        """Append a record."""
        head = struct.pack("<Q", len(data))
        self._content += head + _checksum(head) + data + _checksum(data)

    def flush(self, *, urgent: bool) -> bool:
        """Upload the file, if it is urgent or some time has passed."""
        if self._uploaded == len(self._content):
            return True
        now = time.monotonic()
        if not urgent and now - self._uploaded_at < PERIOD:
            return False
        self._system.pipe_file(self._path, bytes(self._content))
        self._uploaded, self._uploaded_at = len(self._content), now
        return True

    def close(self) -> None:
        """Upload the file."""
        self.flush(urgent=True)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", masked_crc(data))
