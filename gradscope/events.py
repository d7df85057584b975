"""Event files as plain data: numpy and protobuf, no TensorFlow.

An event file is a TFRecord file of `Event` protos: for each one eight bytes
of length, four of the length's checksum, the data, four of its checksum.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import numpy as np

_HEADER = struct.Struct("<QI")
_CHECKSUM_BYTES = 4

#: Data types that gradscope writes, by their number in tensorflow's DataType.
_DTYPES = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 9: np.dtype("<i8")}
_DT_STRING = 7


def event_files(directory: str) -> list[str]:
    """Returns the event files directly in a directory, oldest first."""
    return sorted(
        entry.path
        for entry in os.scandir(directory)
        if "tfevents" in entry.name and entry.is_file()
    )


def records(path: str) -> Iterator[bytes]:
    """Yields the data of each whole record of a TFRecord file.

    A file that a running or a killed training left behind may end within a
    record. That last piece is not yielded.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        while True:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            length, _ = _HEADER.unpack(header)
            if length > size - file.tell() - _CHECKSUM_BYTES:
                return
            yield file.read(length)
            file.seek(_CHECKSUM_BYTES, os.SEEK_CUR)


def events(path: str) -> Iterator:
    """Yields the `Event` protos of one event file in the order of writing."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    for data in records(path):
        try:
            yield event_pb2.Event.FromString(data)
        except DecodeError:
            continue


def to_numpy(tensor) -> np.ndarray | bytes:
    """Returns the array, or the bytes of a string scalar, of a TensorProto.

    Raises:
        ValueError: If it is damaged, or of a type that gradscope never writes.
    """
    try:
        if tensor.dtype == _DT_STRING:
            return tensor.string_val[0]
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        values = np.frombuffer(tensor.tensor_content, _DTYPES[tensor.dtype])
        return values.reshape(shape)
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"damaged tensor: {error!r}") from error
