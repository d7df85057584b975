"""One daemon thread that looks after everything that is being recorded.

A training loop inside `tf.function` never comes back to the host's Python, so
somebody else must fetch what it records. The thread holds weak references: it
keeps no optimizer and no ring alive.
"""

from __future__ import annotations

import atexit
import collections
import os
import sys
import threading
import warnings
import weakref

from gradscope.errors import GradscopeWarning

#: Seconds between two looks. At 4096 rows a ring overflows within one look
#: when more than 8000 steps a second are recorded.
INTERVAL = 0.5

_watched: weakref.WeakSet = weakref.WeakSet()
_retired: collections.deque = collections.deque()
_lock = threading.Lock()
#: Held while what was retired is closed.
_closing = threading.RLock()
_thread: threading.Thread | None = None
_process = 0


def watch(item) -> None:
    """Calls `item.tick()` twice a second while the item lives.

    What is still watched when the interpreter exits is closed with
    `item.close()`.
    """
    global _thread, _process
    with _lock:
        if _process != os.getpid():
            # A forked worker inherits the items, but neither the thread nor
            # the right to write their files.
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


def forget(item) -> None:
    """Stops calling `item.tick()`; the thread ends with the last item."""
    with _lock:
        _watched.discard(item)


def retire(item) -> None:
    """Has the thread call `item.close()`; may be called by a finalizer.

    Garbage is collected at any moment, in the middle of another model's trace
    too. Variables that are read there become part of that trace, and it fails
    when they are gone. Appending to a deque is all that is safe.
    """
    _retired.append(item)


def close_retired() -> None:
    """Closes now what `retire` left for later. Not to be called in a trace.

    What another thread is just closing is closed when this returns: whoever
    flushes wants to read it then.
    """
    with _closing:
        while _retired:
            guarded(_retired.popleft().close)


def _renew() -> None:
    """Gives a forked process a lock that no thread of its parent's holds."""
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
            if not guarded(item.tick):
                forget(item)
        del items, item  # or the last one would live for ever


def _finish() -> None:
    """Writes everything that is left, at interpreter exit."""
    if os.getpid() != _process:
        return
    close_retired()
    with _lock:
        items = list(_watched)
    for item in items:
        guarded(item.close)


def guarded(action) -> bool:
    """Runs an action; a failure is a warning, and stops no other. Returns
    whether there was none."""
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
        except Warning as warning:  # made an error, which would end the thread
            print(warning, file=sys.stderr)
        return False
    return True
