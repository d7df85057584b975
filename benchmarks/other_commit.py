"""Another commit of gradscope, to be measured beside today's."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

#: The folder of today's gradscope.
HERE = pathlib.Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[pathlib.Path]:
    """Yield a folder with the files of a commit.

    Args:
        commit: Any name that git knows.
    """
    archive = subprocess.run(
        ["git", "archive", commit],
        cwd=HERE,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        yield pathlib.Path(folder)
