"""Caches records between requests, and locks runs that are being read."""

from __future__ import annotations

import collections
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from gradscope.reading.record import Record


class Locks:
    """Locks by key, so that each run is read by one thread at a time.

    A second request for a run then gets its record from the cache, and requests
    for other runs do not wait. A lock exists only while it is in use, so names
    that clients make up take no memory.
    """

    def __init__(self):
        self._locks = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._locks)

    def of(self, *key: str) -> threading.Lock:
        """Return the lock of a key; create it if nobody uses it."""
        with self._lock:
            # Of two threads that ask at once, both get the lock of the first.
            return self._locks.setdefault(key, threading.Lock())


class Cache:
    """A cache of records, of which the least recently used are dropped.

    Args:
        count: Largest number of records.
        size: Largest number of bytes of all records together, None for any. A
            single record may be larger.
    """

    def __init__(self, count: int, size: int | None = None):
        self._count = count
        self._size = size
        self._records = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._records)

    @property
    def bytes(self) -> int:
        """Bytes of all cached numbers."""
        return sum(
            values.nbytes
            for _, record in self._records.values()
            for values in (
                *record.families.values(),
                *(values for _, values in record.rare.values()),
            )
        )

    def get_any_version(self, key: Hashable) -> Record | None:
        """Return the cached record of a key in any version, or None."""
        return self._records.get(key, (None, None))[1]

    def get(self, key: Hashable, version: tuple) -> Record | None:
        """Return the cached record of a key in this version, or None."""
        cached_version, record = self._records.get(key, (None, None))
        return record if cached_version == version else None

    def put(self, key: Hashable, version: tuple, record: Record) -> None:
        """Cache a record, as the most recently used one."""
        with self._lock:
            self._records.pop(key, None)
            self._records[key] = version, record
            # The newest stays, even if it is larger than all the room: it was
            # asked for.
            while len(self._records) > 1 and (
                len(self._records) > self._count or self._is_too_large()
            ):
                self._records.popitem(last=False)

    def _is_too_large(self) -> bool:
        return self._size is not None and self.bytes > self._size
