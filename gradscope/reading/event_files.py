"""Event files as plain data: numpy and protobuf, no TensorFlow.

An event file is a TFRecord file of `Event` protos: for each one eight bytes
of length, four of the length's checksum, the data, four of its checksum.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import numpy as np

from gradscope.reading.checksum import masked_crc

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")

#: Bytes of an event: protobuf writes no longer ones. A length beyond it was
#: not written by anybody, and its memory is not asked for.
_LONGEST = 2**31 - 1

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


def events(path: str) -> Iterator:
    """Yields the `Event` protos of one event file in the order of writing.

    A file that a running or a killed training left behind may end within a
    record. That last piece is not yielded, nor what is behind a length that
    was changed, nor an event of which a bit was.
    """
    return (one for one in pieces(path) if not isinstance(one, str))


def damage(path: str) -> list[str]:
    """Returns what could not be read of an event file, in sentences."""
    return [one for one in pieces(path) if isinstance(one, str)]


def pieces(path: str) -> Iterator:
    """Yields the `Event` protos of a file, and last, as text, sentences about
    what could not be read of it."""
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
        yield f"{path} has {broken} damaged events, which were left out."


def _records(path: str) -> Iterator[bytes | str | None]:
    """Yields the data of each whole record, None of one whose checksum is
    another, and last, if there is more that cannot be read, what it is."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        while (begin := file.tell()) < size:
            header = file.read(_HEADER.size)
            rest = size - begin
            if len(header) < _HEADER.size:
                break
            length, checksum = _HEADER.unpack(header)
            if masked_crc(header[:8]) != checksum or length > _LONGEST:
                yield (
                    f"is damaged at byte {begin}: the {rest} bytes from there "
                    "on were not read."
                )
                return
            if length > size - file.tell() - _CHECKSUM.size:
                break
            data = file.read(length)
            behind = file.read(_CHECKSUM.size)
            if len(behind) < _CHECKSUM.size:
                break  # it was cut while it was read
            (checksum,) = _CHECKSUM.unpack(behind)
            yield data if masked_crc(data) == checksum else None
        else:
            return
        yield (
            f"ends within a record: its last {rest} bytes were not read. The "
            "training is still writing it, or was killed."
        )


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
