"""Gives memory that reading took back to the operating system."""

from __future__ import annotations

import ctypes
import sys

# Of `mallopt`: from how many bytes on a piece of memory is no part of a heap.
_M_MMAP_THRESHOLD = -3
_LARGE = 2**20


def _functions(*names: str) -> list:
    """Find functions of GNU's C library; other libraries need none of them."""
    if not sys.platform.startswith("linux"):
        return [None] * len(names)
    library = ctypes.CDLL(None)
    return [getattr(library, name, None) for name in names]


_mallopt, _malloc_trim = _functions("mallopt", "malloc_trim")


def keep_little() -> None:
    """Have the process give back large arrays as soon as they are not used.

    The C library raises its limits with the arrays that a process frees: in the
    end each thread's heap retains 64 MB. TensorBoard has a thread for each
    request.
    """
    if _mallopt is not None:
        _mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Give back the memory of small pieces; takes milliseconds.

    A run comes from TensorBoard's data server in thousands of them, and the
    heaps of threads retain their memory: hundreds of megabytes after the runs
    of a page.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)
