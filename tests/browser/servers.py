"""TensorBoards for tests that need one of their own, and what they share."""

import contextlib
import os
import pathlib
import re
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).parents[2]
#: Of the environment that has no TensorFlow, which TensorBoard would take
#: three seconds to import; with the plugin as it is here. `TENSORBOARD` in the
#: environment names that of another version (see versions/run.py).
TENSORBOARD = pathlib.Path(
    os.environ.get("TENSORBOARD", ROOT / ".venv-wheel" / "bin" / "tensorboard")
)
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def tensorboard(logdir, *flags, port=0):
    """Yields the address of a `tensorboard` on a log directory."""
    command = [TENSORBOARD, "--logdir", logdir, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--reload_interval", "1", *flags]
    if not TENSORBOARD.exists():
        pytest.fail(f"{TENSORBOARD} is missing: make test-setup")
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        told = []
        for line in process.stderr:
            told.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+/\S*", line)
            if found:
                break
        else:
            pytest.fail("tensorboard ended:\n" + "".join(told))
        # A full pipe would stop TensorBoard.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield found[0]
        finally:
            process.terminate()
