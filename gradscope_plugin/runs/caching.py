"""What is kept of runs between requests, and who may read one."""

from __future__ import annotations

import collections
import threading
import weakref


class Locks:
    """A lock for each thing that is read: one at a time of each run, since a
    second reader finds it in the cache, and the others are not to wait. (1000
    rows x 1000 steps take 1.5 s to read.)

    A lock lives while it is held: names that clients make up leave none.
    """

    def __init__(self):
        self._locks = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._locks)

    def of(self, *key):
        """Returns the lock of what is read under a key."""
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())


class Cache:
    """Records by key, each of a version; what was used least is forgotten.

    Args:
        count: How many records are kept.
        size: Bytes of all of their numbers, None for any; one record may have
            more.
    """

    def __init__(self, count: int, size: int | None = None):
        self._count = count
        self._size = size
        self._kept = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Of all numbers that are kept."""
        return sum(
            values.nbytes
            for _, record in self._kept.values()
            for values in (
                *record.families.values(),
                *(values for _, values in record.rare.values()),
            )
        )

    def any(self, key):
        """Returns the record of a key, of whatever version, or None."""
        return self._kept.get(key, (None, None))[1]

    def get(self, key, version):
        """Returns the record of a key and a version, or None."""
        known, record = self._kept.get(key, (None, None))
        return record if known == version else None

    def keep(self, key, version, record) -> None:
        """Puts a record into the cache."""
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = version, record
            while len(self._kept) > 1 and (
                len(self._kept) > self._count or self._is_too_large()
            ):
                self._kept.popitem(last=False)

    def _is_too_large(self) -> bool:
        return self._size is not None and self.bytes > self._size
