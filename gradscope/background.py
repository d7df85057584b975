"""One daemon thread that looks after everything that is being recorded.

A training loop inside `tf.function` never comes back to the host's Python, so
somebody else must fetch what it records. The thread holds weak references: it
keeps no optimizer and no ring alive.
"""

from __future__ import annotations

import os
import threading
import warnings
import weakref

#: Seconds between two looks. At 4096 rows a ring overflows within one look
#: when more than 8000 steps a second are recorded.
INTERVAL = 0.5

_watched: weakref.WeakSet = weakref.WeakSet()
_lock = threading.Lock()
_thread: threading.Thread | None = None
_process = 0


def watch(item) -> None:
    """Calls `item.tick()` twice a second while the item lives."""
    global _thread, _process
    with _lock:
        _watched.add(item)
        if _thread is None or not _thread.is_alive() or _process != os.getpid():
            _process = os.getpid()
            _thread = threading.Thread(
                target=_run, name="gradscope", daemon=True
            )
            _thread.start()


def forget(item) -> None:
    """Stops calling `item.tick()`; the thread ends with the last item."""
    with _lock:
        _watched.discard(item)


def _run() -> None:
    global _thread
    pause = threading.Event()
    while True:
        pause.wait(INTERVAL)
        with _lock:
            items = list(_watched)
            if not items:
                _thread = None
                return
        for item in items:
            try:
                item.tick()
            except Exception as error:  # one must not stop the others
                forget(item)
                warnings.warn(
                    f"gradscope stopped fetching in the background: {error!r}. "
                    "Training goes on; call `gradscope.flush()` now and then.",
                    stacklevel=1,
                )
        del items
