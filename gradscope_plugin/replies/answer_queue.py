"""Makes slow answers in a thread, for which the page asks again.

To read or diagnose a large run takes seconds, and a request that waits so long
holds one of the browser's six connections.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

# Seconds that a request waits for its answer.
PATIENCE = 0.1

# Seconds after which an answer that was not fetched is dropped. The page asks
# again at once.
_EXPIRY = 2.0

# Largest number of answers that are being made or wait to be fetched, of up to
# 16 MiB each. Further requests are told to ask again.
_MOST = 64


class NotYet(Exception):
    """The answer is being made: ask again."""


class AnswerQueue:
    """Makes answers one after the other, in a thread.

    Two at a time would each take twice as long, and the page needs the first.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str):
        self._pool = concurrent.futures.ThreadPoolExecutor(1, name)
        self._lock = threading.Lock()
        self._started = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return `make()`, which is called once for all requests meanwhile.

        Args:
            key: Names the answer: requests with the same key share it.
            make: Makes the answer.

        Raises:
            NotYet: If that takes longer than `PATIENCE` seconds. A later call
                with the same key returns the answer.
            Exception: Any exception of `make`.
        """
        with self._lock:
            self._drop_expired()
            if key not in self._started:
                if len(self._started) >= _MOST:
                    raise NotYet
                self._started[key] = _Answer(self._pool.submit(make))
            answer = self._started[key]
        try:
            result = answer.future.result(PATIENCE)
        except concurrent.futures.TimeoutError as error:
            if not answer.future.done():
                raise NotYet from error
            raise
        finally:
            if answer.future.done():
                with self._lock:
                    # Another request may have fetched it, and a third have
                    # begun a new one.
                    if self._started.get(key) is answer:
                        del self._started[key]
        return result

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for key, answer in list(self._started.items()):
            if answer.done_at is not None and now - answer.done_at > _EXPIRY:
                del self._started[key]


class _Answer:
    """An answer that is being made, or was done at the time `done_at`."""

    def __init__(self, future):
        self.future = future
        self.done_at = None
        future.add_done_callback(self._set_done)

    def _set_done(self, _) -> None:
        self.done_at = time.monotonic()
