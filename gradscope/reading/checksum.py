"""CRC-32C, the checksum of TFRecord files, computed with numpy.

A loop over bytes in Python is too slow for files of many megabytes. But the
checksum is linear: the checksum of a block is the exclusive or of the
contributions of its bytes, and a table holds the contribution of each byte at
each position. So numpy looks up all bytes of a block at once. A second table
does the same for the checksums of 16 blocks; only the results for such groups
are combined in a Python loop.
"""

from __future__ import annotations

import functools

import numpy as np

# The polynomial of Castagnoli, with its bits reversed.
_POLYNOMIAL = 0x82F63B78

#: Positions in a table: a table of 256 kB stays in a core's cache.
_PLACES = 256

#: Blocks of `_PLACES` bytes that the second table combines.
_BLOCKS = 16

#: Bytes that are looked up at once; each takes about 15 bytes of memory.
_AT_ONCE = 16 * _BLOCKS * _PLACES

#: Below this length, a loop over bytes is faster.
_FEW = 64


def masked_crc(data: bytes) -> int:
    """Compute the masked checksum that follows data in a TFRecord file."""
    # The format masks its checksums by a rotation and a constant, since the
    # checksum of data that contain their own checksum says little.
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Compute the CRC-32C of bytes.

    Examples:
        >>> hex(crc32c(b"123456789"))  # the check value of CRC-32C
        '0xe3069283'
    """
    if len(data) < _FEW:
        return _update(0xFFFFFFFF, data) ^ 0xFFFFFFFF
    # The register begins with ones. Inverting the first four bytes and
    # beginning with zeros gives the same checksum, and then leading zeros
    # change nothing, so that the first block can be padded.
    inverted = np.frombuffer(data[:4], np.uint8) ^ 0xFF
    byte_table, group_table, (a, b, c, d) = _tables()
    crc = 0
    # The first piece has the odd length, and holds the inverted bytes.
    start, end = 0, (len(data) - 4) % _AT_ONCE + 4
    while start < len(data):
        block = np.frombuffer(data[start:end], np.uint8)
        block = _in_rows(block, _PLACES)
        if not start:
            block.ravel()[block.size - end :][:4] = inverted
        blocks = _look_up(byte_table, block).astype("<u4").view(np.uint8)
        blocks = _in_rows(blocks, 4 * _BLOCKS)
        for contribution in _look_up(group_table, blocks).tolist():
            # The register after as many zeros as this group has bytes.
            crc = (
                a[crc & 0xFF]
                ^ b[crc >> 8 & 0xFF]
                ^ c[crc >> 16 & 0xFF]
                ^ d[crc >> 24]
                ^ contribution
            )
        start, end = end, end + _AT_ONCE
    return crc ^ 0xFFFFFFFF


def _in_rows(values: np.ndarray, width: int) -> np.ndarray:
    """Split bytes into rows; zeros pad the front of the first."""
    rows = np.zeros([-(-len(values) // width), width], np.uint8)
    rows.ravel()[rows.size - len(values) :] = values
    return rows


def _look_up(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Combine the contributions of the bytes of each row."""
    first = np.arange(0, 256 * rows.shape[1], 256, np.uint16)
    # The indices are always valid; mode "wrap" skips numpy's check of them.
    contributions = table.take(rows + first, mode="wrap")
    return np.bitwise_xor.reduce(contributions, axis=1)


def _update(crc: int, data: bytes) -> int:
    """Advance the register by bytes."""
    table = _byte_table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


@functools.cache
def _byte_table() -> list[int]:
    """Compute the register after each byte, beginning with 0."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Compute the contributions of bytes to a checksum.

    Returns:
        The contribution of a byte at each position of a block, uint32
        `[position * 256 + byte]`; of a byte of a block's checksum, likewise;
        and of each byte of the register before `_BLOCKS` blocks, four lists.
    """
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
