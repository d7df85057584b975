"""CRC-32C, the checksum of TFRecord files, by numpy: TensorFlow is not needed.

Byte by byte in Python, a run of 14 MB would take 2 s. But a checksum is linear:
that of a block is the exclusive or of what each byte contributes at its place,
which a table knows for all bytes and places. So all bytes of a block are looked
up at once; then likewise the four bytes of the checksums of 16 blocks, and only
these are put together one after the other.
"""

from __future__ import annotations

import functools

import numpy as np

# Reflected, the polynomial of Castagnoli.
_POLYNOMIAL = 0x82F63B78

#: Places in a table: it has 256 kB then, and stays in a core's cache.
_PLACES = 256

#: Blocks of `_PLACES` bytes that are put together by a table.
_BLOCKS = 16

#: Bytes that are looked up at once: each takes 15 bytes of memory meanwhile.
_AT_ONCE = 16 * _BLOCKS * _PLACES

#: Of less than this, byte by byte is faster.
_FEW = 64


def masked_crc(data: bytes) -> int:
    """Returns the checksum that a TFRecord file has behind a piece of data."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Returns the CRC-32C of some bytes."""
    if len(data) < _FEW:
        return _after(0xFFFFFFFF, data) ^ 0xFFFFFFFF
    # A register that begins with ones is one of zeros before four bytes that
    # are inverted, and zeros in front of all leave it zero.
    inverted = np.frombuffer(data[:4], np.uint8) ^ 0xFF
    bytes_, groups, (a, b, c, d) = _tables()
    crc = 0
    # The first part is what is over, and has these four bytes.
    begin, end = 0, (len(data) - 4) % _AT_ONCE + 4
    while begin < len(data):
        part = np.frombuffer(data[begin:end], np.uint8)
        part = _in_rows(part, _PLACES)
        if not begin:
            part.ravel()[part.size - end :][:4] = inverted
        blocks = _looked_up(bytes_, part).astype("<u4").view(np.uint8)
        blocks = _in_rows(blocks, 4 * _BLOCKS)
        for one in _looked_up(groups, blocks).tolist():
            # What is in the register moves on by so many zeros.
            crc = (
                a[crc & 0xFF]
                ^ b[crc >> 8 & 0xFF]
                ^ c[crc >> 16 & 0xFF]
                ^ d[crc >> 24]
                ^ one
            )
        begin, end = end, end + _AT_ONCE
    return crc ^ 0xFFFFFFFF


def _in_rows(values: np.ndarray, width: int) -> np.ndarray:
    """Returns rows of bytes, with zeros in front of the first."""
    rows = np.zeros([-(-len(values) // width), width], np.uint8)
    rows.ravel()[rows.size - len(values) :] = values
    return rows


def _looked_up(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns what the bytes of each row contribute together."""
    first = np.arange(0, 256 * rows.shape[1], 256, np.uint16)
    # Of indices that cannot be wrong, "wrap" is the mode that asks least.
    found = table.take(rows + first, mode="wrap")
    return np.bitwise_xor.reduce(found, axis=1)


def _after(crc: int, data: bytes) -> int:
    """Returns what is in the register when some bytes have gone by."""
    table = _byte_table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


@functools.cache
def _byte_table() -> list[int]:
    """Returns what each byte makes of a register that is 0."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


@functools.cache
def _tables():
    """Returns what bytes contribute: at each place of a block, uint32 `[place
    * 256 + byte]`; as part of a block's checksum, likewise; and as part of the
    register before `_BLOCKS` blocks, four lists."""
    table = np.array(_byte_table(), np.uint32)

    def behind_zeros(values, zeros):
        for _ in range(zeros):
            values = values >> 8 ^ table[values & 0xFF]
        return values

    places = np.empty([_PLACES, 256], np.uint32)
    places[-1] = table
    for place in range(_PLACES - 2, -1, -1):
        places[place] = behind_zeros(places[place + 1], 1)
    groups = np.empty([_BLOCKS, 4, 256], np.uint32)
    groups[-1] = np.arange(256) << 8 * np.arange(4)[:, np.newaxis]
    for block in range(_BLOCKS - 2, -1, -1):
        groups[block] = behind_zeros(groups[block + 1], _PLACES)
    ahead = behind_zeros(groups[0], _PLACES)
    return places.ravel(), groups.ravel(), ahead.tolist()
