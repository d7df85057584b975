"""Packs replies into few bytes: numbers close to each other, then deflated.

An archive is the length of its index (uint32), the index (JSON, deflated), then
blocks, each deflated. `static/reporting/archive.js` reads it.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gradscope_plugin.report.routes import Matrix

#: Bytes from which a block is complete. Small replies share a block, since
#: their names and numbers are alike; large ones are read alone.
BLOCK = 2**16

#: How the values of a matrix are coded.
EXACT, ROUNDED = 0, 1

#: Largest float32 up to which all integers are exact.
_INTEGERS = 2**24

# Codes of rounded numbers: 0 is zero, then 900 for each power of ten, from the
# smallest float32 on, and the others. A negative number has a negative code.
_LOWEST, _HIGHEST = -45, 38
# Above the codes of numbers: 84 powers of ten have 75,600.
_NAN, _INFINITY = 90_000, 90_001


class Archive:
    """Collects replies; `to_bytes` returns all of them."""

    def __init__(self):
        self._answers: dict[str, list] = {}
        self._blocks: list[bytes] = []
        self._pending = bytearray()

    @property
    def size(self) -> int:
        """Bytes of all replies so far."""
        if self._pending:
            self._close_block()
        return sum(map(len, self._blocks))

    def add_json(self, key: str, text: bytes) -> None:
        """Add a reply of JSON."""
        self._add(key, text, "json")

    def add_error(self, key: str, text: str) -> None:
        """Add the text of an error, which is the reply."""
        self._add(key, text.encode(), "error")

    def add_matrix(self, key: str, matrix: Matrix, *, rounded: bool) -> None:
        """Add a matrix.

        Args:
            key: Its name in the archive.
            matrix: The matrix.
            rounded: Whether its numbers are rounded to three digits; integers
                are not.
        """
        self._add(key, encode(matrix, rounded=rounded), "matrix")

    def _add(self, key, data, kind) -> None:
        start = len(self._pending)
        self._answers[key] = [len(self._blocks), start, len(data), kind]
        self._pending += data
        if len(self._pending) >= BLOCK:
            self._close_block()

    def _close_block(self) -> None:
        self._blocks.append(_deflate(bytes(self._pending)))
        self._pending.clear()

    def to_bytes(self, about: dict[str, Any]) -> bytes:
        """Return the archive.

        Args:
            about: Words of the page about the report, for JSON.
        """
        if self._pending:
            self._close_block()
        index = {
            "about": about,
            "blocks": list(map(len, self._blocks)),
            "answers": self._answers,
        }
        packed = _deflate(json.dumps(index).encode())
        length = np.array([len(packed)], "<u4").tobytes()
        return b"".join([length, packed, *self._blocks])


def encode(matrix: Matrix, *, rounded: bool) -> bytes:
    """Encode a matrix: a head of four uint32, steps and values.

    Steps (float64) and values are differences along a row, which are small.
    Values are split into planes: first the lowest byte of all of them, then the
    next, so that deflating finds the zeros of the upper ones.
    """
    rows, columns = matrix.values.shape
    rounded = rounded and not _are_integers(matrix.values)
    head = [rows, columns, matrix.written, ROUNDED if rounded else EXACT]
    codes = (
        codes_of(matrix.values)
        if rounded
        else np.ascontiguousarray(matrix.values, "<f4").view("<i4")
    )
    return b"".join(
        [
            np.array(head, "<u4").tobytes(),
            np.diff(matrix.steps, prepend=0).astype("<f8").tobytes(),
            *_planes(codes, 3 if rounded else 4),
        ]
    )


def _planes(codes: np.ndarray, count: int) -> list[bytes]:
    """Split the differences along the rows into planes of bytes."""
    codes = codes.astype(np.int64)
    # The difference of two codes may need 33 bits. It loses the highest one,
    # and so does the sum in the page.
    differences = np.diff(codes, prepend=0).astype(np.int32)
    # Small negative numbers become small ones, too.
    folded = (differences << 1 ^ differences >> 31).astype("<u4")
    split = folded.reshape(-1, 1).view(np.uint8)
    return [split[:, plane].tobytes() for plane in range(count)]


def codes_of(values: np.ndarray) -> np.ndarray:
    """Round float32 numbers to three digits; return the code of each.

    Examples:
        >>> codes_of(np.float32([0, 1e-45, 0.1234, 0.1235, -1, np.nan]))
        array([     0,     41,  39624,  39624, -40501,  90000], dtype=int32)
    """
    size = np.abs(values.astype(np.float64))
    is_number = np.isfinite(size) & (size > 0)
    size = np.where(is_number, size, 1)
    powers = np.floor(np.log10(size))
    # Three digits: a number from 100 to 999.
    digits = np.rint(size / 10.0 ** (powers - 2))
    # 9.996 is 10.0, and log10 may be off by an ulp.
    up, down = digits >= 1000, digits < 100
    powers = powers + up - down
    digits = np.clip(np.rint(size / 10.0 ** (powers - 2)), 100, 999)
    codes = 900 * (powers - _LOWEST) + digits - 99
    codes = np.where(is_number, codes, np.where(np.isinf(values), _INFINITY, 0))
    codes = np.where(values < 0, -codes, codes)
    return np.where(np.isnan(values), _NAN, codes).astype(np.int32)


def _are_integers(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(
        (finite == np.rint(finite)).all() and (abs(finite) < _INTEGERS).all()
    )


def _deflate(data: bytes) -> bytes:
    # Without the head of zlib, as the page's `deflate-raw` expects it. Level 9
    # takes much longer, and a report is hardly smaller.
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()
