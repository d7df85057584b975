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


def events(path: str) -> Iterator:
    """Yields the `Event` protos of one event file in the order of writing.

    A file that a running or a killed training left behind may end within a
    record. That last piece is not yielded, nor what is behind a length that
    was changed.
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
        try:
            yield event_pb2.Event.FromString(data)
        except DecodeError:
            broken += 1
    if broken:
        yield f"{path} has {broken} events that cannot be decoded."


def _records(path: str) -> Iterator[bytes | str]:
    """Yields the data of each whole record, and last, if there is more that
    cannot be read, what it is."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        while (begin := file.tell()) < size:
            header = file.read(_HEADER.size)
            rest = size - begin
            if len(header) < _HEADER.size:
                break
            length, checksum = _HEADER.unpack(header)
            if _masked_crc(header[:8]) != checksum:
                yield (
                    f"is damaged at byte {begin}: the {rest} bytes from there "
                    "on were not read."
                )
                return
            if length > size - file.tell() - _CHECKSUM_BYTES:
                break
            yield file.read(length)
            file.seek(_CHECKSUM_BYTES, os.SEEK_CUR)
        else:
            return
        yield (
            f"ends within a record: its last {rest} bytes were not read. The "
            "training is still writing it, or was killed."
        )


def _crc_table() -> list[int]:
    """The table of CRC-32C (Castagnoli), reflected polynomial 82f63b78."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    """Returns the checksum that a TFRecord file has behind a length."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


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
