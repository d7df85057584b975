"""Serializes panels of TensorBoard's tabs to protobuf's wire format.

A step with histograms has hundreds of panels, and only their numbers differ
from one step to the next. So concatenating bytes is several times as fast as
building messages. The field numbers are those of TensorFlow's `summary.proto`,
`tensor.proto` and `tensor_shape.proto`; they cannot change, since stored files
have them.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

# Keys of fields: the field's number and wire type, as one byte.
_SUMMARY_VALUE = b"\x0a"  # Summary.value
_EVENT_SUMMARY = b"\x2a"  # Event.summary
_TAG = b"\x0a"  # Summary.Value.tag
_TENSOR = b"\x42"  # Summary.Value.tensor
_METADATA = b"\x4a"  # Summary.Value.metadata
_SHAPE = b"\x12"  # TensorProto.tensor_shape
_DIMENSION = b"\x12"  # TensorShapeProto.dim
_CONTENT = b"\x22"  # TensorProto.tensor_content
_STRINGS = b"\x42"  # TensorProto.string_val
# TensorProto.dtype, by numpy's code of the dtype.
_DTYPES = {"f": b"\x08\x01", "B": b"\x08\x04"}
# TensorProto.dtype of strings, DT_STRING.
_STRING = b"\x08\x07"
_SIZE = b"\x08"  # TensorShapeProto.Dim.size, a number


class Panel(NamedTuple):
    """A serialized value of a step's event.

    Attributes:
        tag: Name of the value.
        metadata: A serialized `SummaryMetadata`, for the tag's first value in a
            file.
        brief_metadata: The same for its later values. It is never empty, since
            some readers of event files look at each value by itself.
        tensor: The serialized field with the numbers.
    """

    tag: str
    metadata: bytes
    brief_metadata: bytes
    tensor: bytes

    def serialize(self, is_first: bool = True) -> bytes:
        """Serialize the panel as a `Summary.Value`."""
        metadata = self.metadata if is_first else self.brief_metadata
        return _tag(self.tag) + self.tensor + _field(_METADATA, metadata)


def tensor(array: np.ndarray) -> bytes:
    """Serialize the field of an array, float32 or uint8."""
    content = _field(_CONTENT, array.tobytes()) if array.size else b""
    return _field(_TENSOR, _head(array.dtype.char, array.shape) + content)


def text_tensor(text: str) -> bytes:
    """Serialize the field of a string scalar."""
    head = _STRING + _field(_SHAPE, b"")
    return _field(_TENSOR, head + _field(_STRINGS, text.encode()))


def event(head: bytes, values: list[bytes]) -> bytes:
    """Serialize an event.

    Args:
        head: A serialized event without values.
        values: Serialized `Summary.Value` messages.
    """
    summary = b"".join([_field(_SUMMARY_VALUE, value) for value in values])
    return head + _field(_EVENT_SUMMARY, summary)


def _field(key: bytes, body: bytes) -> bytes:
    return key + _number(len(body)) + body


@functools.lru_cache(maxsize=2**12)
def _number(number: int) -> bytes:
    """Serialize a varint: seven bits a byte, the lowest first."""
    if number < 0x80:
        return number.to_bytes(1, "little")
    return (number & 0x7F | 0x80).to_bytes(1, "little") + _number(number >> 7)


@functools.lru_cache(maxsize=2**15)
def _tag(tag: str) -> bytes:
    return _field(_TAG, tag.encode())


@functools.lru_cache(maxsize=2**12)
def _head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Serialize the dtype and the shape of a tensor."""
    sizes = [_field(_DIMENSION, _SIZE + _number(size)) for size in shape]
    return _DTYPES[dtype] + _field(_SHAPE, b"".join(sizes))
