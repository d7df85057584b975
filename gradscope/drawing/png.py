"""Writes small pictures as PNG files, without a library."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np


def png(pixels: np.ndarray) -> bytes:
    """Encode pixels, uint8 `[height, width, 3]`, as a PNG file."""
    height, width, _ = pixels.shape
    # Each line begins with the number of its filter: 0 for none.
    lines = np.pad(pixels.reshape(height, -1), ((0, 0), (1, 0)))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            # 8 bits a channel, three channels, not interlaced.
            _chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(lines.astype(np.uint8).tobytes())),
            _chunk(b"IEND", b""),
        ]
    )


def data_url(pixels: np.ndarray) -> str:
    """Format pixels as the `src` of an image in HTML."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum
