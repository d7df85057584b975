"""Gives memory that reading took back to the operating system."""

from __future__ import annotations

import ctypes
import sys


def _find_trim():
    # Only the C library of GNU has it. Others give memory back by themselves.
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


_TRIM = _find_trim()


def give_back() -> None:
    """Give unused memory of the heap back; takes milliseconds.

    A run comes from TensorBoard's data server in thousands of small pieces.
    The C library retains their memory, in a heap for each thread: hundreds of
    megabytes after the runs of a page.
    """
    if _TRIM is not None:
        _TRIM(0)
