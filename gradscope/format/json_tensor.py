"""JSON as a tensor of compressed bytes.

Readers of event files take a string tensor for a text, and show it. Half of the
log of a short training was its schema, which has a tenth of its bytes when
compressed.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

#: The bytes are padded to whole numbers of any type: a reader that takes each
#: tensor for one of float32 would stumble over the event.
_ALIGNMENT = 8

#: Most bytes of a text that is read: a damaged one can have a thousand times
#: the bytes of its tensor.
_MOST = 2**28


def to_array(text: str) -> np.ndarray:
    """Convert a text to uint8 `[n]`.

    Examples:
        >>> to_text(to_array('{"version": 2}'))
        b'{"version": 2}'
    """
    data = zlib.compress(text.encode())
    return np.frombuffer(data + bytes(-len(data) % _ALIGNMENT), np.uint8)


def to_text(value: Any) -> bytes | str | None:
    """Convert a value of an event file to its text; None if it has none.

    In format 1 the value is the text itself.
    """
    if isinstance(value, bytes | str):
        return value
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype != np.uint8:
        return None
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(array.tobytes(), _MOST)
    except zlib.error:
        return None
    return text if stream.eof else None
