"""Reads TensorBoard's event files with numpy and protobuf, without TensorFlow.

An event file is a TFRecord file of `Event` protos: for each one eight bytes
of length, four of the length's checksum, the data, four of its checksum.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gradscope.reading import storage
from gradscope.reading.checksum import masked_crc

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")

#: Bytes of the longest event: protobuf's limit. A larger length is damage, and
#: no memory is allocated for it.
_LONGEST = 2**31 - 1

#: Data types that gradscope writes, by their number in tensorflow's DataType.
_DTYPES = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    4: np.dtype("u1"),
    9: np.dtype("<i8"),
}
_DT_STRING = 7


def event_files(directory: str) -> list[str]:
    """List the event files directly in a directory, oldest first."""
    paths = (
        os.path.join(directory, name)
        for name in storage.names_in(directory)
        if "tfevents" in name
    )
    # Behind a common beginning a name has the seconds when its file was made.
    return sorted(path for path in paths if storage.is_file(path))


def events(path: str) -> Iterator[Event]:
    """Yield the `Event` protos of an event file in the order of writing.

    The file of a running or killed training may end within a record. This
    incomplete record is left out. So are events with a wrong checksum, and
    everything after a damaged length.
    """
    return (
        piece for piece in events_and_damage(path) if not isinstance(piece, str)
    )


def damage(path: str) -> list[str]:
    """List the parts of an event file that could not be read, in sentences."""
    return [
        piece for piece in events_and_damage(path) if isinstance(piece, str)
    ]


def events_and_damage(path: str) -> Iterator[Event | str]:
    """Yield the `Event` protos of a file, then sentences about its damage."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import event_pb2

    broken = 0
    for data in _records(path):
        if isinstance(data, str):
            yield f"{path} {data}"
            continue
        if data is None:
            broken += 1
            continue
        try:
            yield event_pb2.Event.FromString(data)
        except DecodeError:
            broken += 1
    if broken:
        events = "event was" if broken == 1 else "events were"
        yield f"{path}: {broken} damaged {events} left out."


def _records(path: str) -> Iterator[bytes | str | None]:
    """Yield the data of each complete record, None if its checksum is wrong.

    If the end of the file cannot be read, the last item is a sentence about
    that.
    """
    size = storage.size(path)
    with storage.open_file(path) as file:
        # Up to the size at the beginning: a training may append meanwhile.
        while (start := file.tell()) < size:
            header = file.read(_HEADER.size)
            left = size - start
            if len(header) < _HEADER.size:
                break
            length, checksum = _HEADER.unpack(header)
            if masked_crc(header[:8]) != checksum or length > _LONGEST:
                yield (
                    f"is damaged at byte {start}: the remaining {left} bytes "
                    "were not read."
                )
                return
            if length > size - file.tell() - _CHECKSUM.size:
                break
            data = file.read(length)
            trailer = file.read(_CHECKSUM.size)
            if len(trailer) < _CHECKSUM.size:
                break  # the file was truncated meanwhile
            (checksum,) = _CHECKSUM.unpack(trailer)
            yield data if masked_crc(data) == checksum else None
        else:
            return
        yield (
            f"ends within a record: its last {left} bytes were not read. The "
            "training is still writing it, or was killed."
        )


def to_numpy(tensor: TensorProto) -> np.ndarray | bytes:
    """Convert a `TensorProto` to an array, or to bytes if it is a string.

    Raises:
        ValueError: If the tensor is damaged or of a type that gradscope never
            writes.
    """
    try:
        if tensor.dtype == _DT_STRING:
            return tensor.string_val[0]
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        values = np.frombuffer(tensor.tensor_content, _DTYPES[tensor.dtype])
        return values.reshape(shape)
    except (IndexError, KeyError, ValueError) as error:
        raise ValueError(f"damaged tensor: {error!r}") from error
