"""Tells whether runs grow, and whether the process that writes them is there.

An event file has the host and the process in its name. So a process on the same
machine that has ended is known at once; of others only silence is known.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable

from gradscope.reading import event_files, storage

_WRITER = re.compile(r"tfevents\.\d+\.(?P<host>.+)\.(?P<pid>\d+)\.\d+$")

#: Seconds without a new step after which a training counts as ended.
SILENCE = 600.0


def sizes(directories: Iterable[str]) -> dict[str, int]:
    """Return the bytes of each event file of some runs."""
    return {
        path: storage.size(path)
        for directory in directories
        for path in event_files.event_files(directory)
    }


def has_writer(paths: Iterable[str]) -> bool:
    """Test whether a process may still write one of these event files.

    It is False only if all were written by processes of this machine that have
    ended.
    """
    return any(_may_be_written(os.path.basename(path)) for path in paths)


def _may_be_written(name: str) -> bool:
    match = _WRITER.search(name)
    if not match or match["host"] != socket.gethostname():
        return True
    return _is_running(int(match["pid"]))


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True  # there, signal 0 would end the process
    try:
        # Signal 0 is not sent; the call only looks for the process.
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # a process of another user
    return True
