"""A daemon thread that drains all recorders twice a second.

A training loop inside `tf.function` does not return to Python, so a thread must
fetch its frames. The thread holds weak references: it keeps no optimizer and no
ring alive.
"""

from __future__ import annotations

import atexit
import collections
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Protocol

from gradscope.errors import GradscopeWarning
from gradscope.recording.interfaces import Closable

#: Seconds between two calls of `tick`. A ring of 4096 rows overflows within
#: this time if more than 8000 steps a second are recorded.
INTERVAL = 0.5

_watched: weakref.WeakSet[Watched] = weakref.WeakSet()
_retired: collections.deque[Closable] = collections.deque()
_lock = threading.Lock()
#: Held while retired items are closed.
_closing = threading.RLock()
_thread: threading.Thread | None = None
_process = 0


class Watched(Closable, Protocol):
    """An item that the thread calls, and closes when the interpreter exits."""

    def tick(self) -> None:
        """Called twice a second."""


def watch(item: Watched) -> None:
    """Call `item.tick()` twice a second while the item is alive.

    Items that are still watched when the interpreter exits are closed with
    `item.close()`.
    """
    global _thread, _process
    with _lock:
        if _process != os.getpid():
            # A forked process inherits the items but not the thread, and must
            # not write to the files of its parent.
            _process, _thread = os.getpid(), None
            _watched.clear()
            _retired.clear()
            atexit.register(_finish)
        _watched.add(item)
        if _thread is None:
            _thread = threading.Thread(
                target=_run, name="gradscope", daemon=True
            )
            _thread.start()


def forget(item: Watched) -> None:
    """Stop calling `item.tick()`; the thread ends after the last item."""
    with _lock:
        _watched.discard(item)


def retire(item: Closable) -> None:
    """Schedule `item.close()` on the thread; safe to call in a finalizer.

    A finalizer can run at any moment, also while another model is traced. A
    variable that it reads would become part of that trace, which fails when
    the variable is deleted. So this only appends to a deque.
    """
    _retired.append(item)


def close_retired() -> None:
    """Close all retired items; not to be called in a trace.

    Also waits for items that another thread is closing, since the caller of
    `gradscope.flush` wants to read their files.
    """
    with _closing:
        while _retired:
            run_guarded(_retired.popleft().close)


def _renew() -> None:
    """Replace the lock in a forked process: a parent's thread may hold it."""
    global _closing
    _closing = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew)


def _run() -> None:
    global _thread
    pause = threading.Event()
    while True:
        pause.wait(INTERVAL)
        close_retired()
        with _lock:
            items = list(_watched)
            if not items:
                _thread = None
                return
        for item in items:
            # It would fail, and warn, twice a second from now on.
            if not run_guarded(item.tick):
                forget(item)
        del items, item  # these references would keep the items alive


def _finish() -> None:
    """Close all items, when the interpreter exits."""
    if os.getpid() != _process:
        return
    close_retired()
    with _lock:
        items = list(_watched)
    for item in items:
        run_guarded(item.close)


def run_guarded(action: Callable[[], object]) -> bool:
    """Run an action and turn an exception into a warning.

    Returns:
        Whether the action succeeded.
    """
    try:
        action()
    except Exception as error:
        try:
            warnings.warn(
                f"gradscope failed in the background: {error!r}. Training "
                "goes on; call `gradscope.flush()` to write what was recorded.",
                GradscopeWarning,
                stacklevel=3,
            )
        except Warning as warning:  # raised, it would end the thread
            print(warning, file=sys.stderr)
        return False
    return True
