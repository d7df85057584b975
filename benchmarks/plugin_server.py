"""TensorBoard processes, for `benchmarks.plugin`: started, and looked at.

What a process uses is read from `/proc`, so this needs Linux.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.request

_TENSORBOARD = pathlib.Path(sys.executable).with_name("tensorboard")

#: Both of TensorBoard's data providers.
PROVIDERS = {"fast": "--load_fast=true", "slow": "--load_fast=false"}

# A loader that has read all uses less of a core than this, for so long, in s.
_IDLE = 0.1
_QUIET = 1.5

_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A running `tensorboard`; `address` ends in a slash.

    Args:
        process: What was started.
        address: Where it answers.
        started: When it was, as `time.time()` has it.
    """

    def __init__(self, process, address: str, started: float):
        self._process = process
        self.address = address
        self.started = started

    def rss(self) -> int:
        """Return the bytes of memory of the process and all below it."""
        return sum(_status(pid, "VmRSS") for pid in _tree(self._process.pid))

    def wait_until_loaded(self, runs: int, patience: float = 300) -> None:
        """Wait until TensorBoard lists so many runs and has come to rest;
        the plugin is not asked, for what it was asked it remembers.

        Raises:
            TimeoutError: If it takes too long.
        """
        end = time.monotonic() + patience
        quiet_since = None
        while time.monotonic() < end:
            before = self._cpu()
            time.sleep(0.25)
            now = time.monotonic()
            busy = self._cpu() - before > _IDLE * 0.25
            if busy or len(self._runs()) < runs:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since > _QUIET:
                return
        raise TimeoutError("TensorBoard did not finish reading")

    def _runs(self):
        with urllib.request.urlopen(self.address + "data/runs") as reply:
            return json.load(reply)

    def _cpu(self) -> float:
        return sum(_cpu(pid) for pid in _tree(self._process.pid))


@contextlib.contextmanager
def running(logdir, provider: str, more=(), tree=None):
    """Yield a `Server` on a log directory.

    Args:
        logdir: Its log directory.
        provider: A key of `PROVIDERS`.
        more: Further options of `tensorboard`.
        tree: Directory of the gradscope whose plugin is loaded; by default the
            installed one.
    """
    environment = dict(os.environ)
    if tree is not None:
        environment["PYTHONPATH"] = str(tree)
    started = time.time()
    command = [_TENSORBOARD, "--logdir", logdir, "--host", "127.0.0.1"]
    command += ["--port", "0", PROVIDERS[provider], *more]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        told = []
        for line in process.stderr:
            told.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+/", line)
            if found:
                break
        else:
            raise RuntimeError("tensorboard ended:\n" + "".join(told))
        # A full pipe would stop TensorBoard.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield Server(process, found[0], started)
        finally:
            process.terminate()


def _tree(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            children = _read(f"/proc/{pid}/task/{task}/children").split()
            found += [one for child in children for one in _tree(int(child))]
    return found


def _status(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", _read(f"/proc/{pid}/status"))
    return int(found[1]) * 1024 if found else 0


def _cpu(pid: int) -> float:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""  # it has ended
