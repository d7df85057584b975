"""Answers that take longer than a page should wait: made beside, asked for
again. No HTTP here.

1000 variables x 1000 steps are 56 MB, which take TensorBoard's data server and
protobuf 0.9 s; a diagnosis of them takes 0.5 s more. A request that waits for
that holds one of the browser's six connections.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time

# A request waits so long for its answer, in s.
PATIENCE = 0.1

# An answer that nobody came back for is forgotten after so long, in s. The
# page comes back at once.
_KEPT = 2.0

# So many answers at most are being made or wait to be fetched, of 16 MiB each
# at most: who asks for one more is to ask again, and it is not begun.
_MOST = 64


class NotYet(Exception):
    """The answer is being made: ask again."""


class Soon:
    """Makes answers one after the other, in a thread of its own: two at a time
    would each take twice as long, and the first is what is waited for."""

    def __init__(self, name: str):
        self._pool = concurrent.futures.ThreadPoolExecutor(1, name)
        self._lock = threading.Lock()
        self._started = {}

    def get(self, key, make):
        """Returns `make()`, which is called once for all who ask meanwhile.

        Args:
            key: What is asked for.
            make: Makes it.

        Raises:
            NotYet: If it takes longer than `PATIENCE`. Who asks again gets it.
            Exception: What `make` raised.
        """
        with self._lock:
            self._forget()
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
                    if self._started.get(key) is answer:
                        del self._started[key]
        return result

    def _forget(self):
        now = time.monotonic()
        for key, answer in list(self._started.items()):
            if answer.done_at is not None and now - answer.done_at > _KEPT:
                del self._started[key]


class _Answer:
    """One that is made, or was at `done_at`."""

    def __init__(self, future):
        self.future = future
        self.done_at = None
        future.add_done_callback(self._note)

    def _note(self, _):
        self.done_at = time.monotonic()
