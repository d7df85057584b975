"""Finds interpreters of Python."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys


def find(name: str) -> str:
    """Return the path of a Python such as `"python3.12"`, of pyenv if need be;
    else of this one."""
    number = name.removeprefix("python")
    pyenv = pathlib.Path.home() / ".pyenv" / "versions"
    paths = [shutil.which(name), *pyenv.glob(f"{number}.*/bin/{name}")]
    for path in filter(None, paths):
        # pyenv's own commands may be there for versions that are not.
        command = [path, "-c", "import ensurepip"]
        if not subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
            return str(path)
    print(f"there is no {name}: {sys.executable} instead", flush=True)
    return sys.executable
