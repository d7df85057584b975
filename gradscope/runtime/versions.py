"""The oldest libraries that gradscope works with."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple


class Oldest(NamedTuple):
    """The oldest version of a library, and the library's name for people."""

    version: tuple[int, int]
    name: str


#: By the name of the module. They are not among the requirements, so that any
#: build of TensorFlow will do (`tensorflow-cpu`, `tf-nightly`).
OLDEST = {
    "tensorflow": Oldest((2, 16), "TensorFlow"),
    "keras": Oldest((3, 3), "Keras"),
}


def version_of(module: str) -> tuple[int, int]:
    """The version of an imported library, as in `(2, 16)`."""
    major, minor = re.findall(r"\d+", sys.modules[module].__version__)[:2]
    return int(major), int(minor)


def too_old(module: str) -> str | None:
    """Explain that an imported library is too old; None if it is not."""
    oldest = OLDEST[module]
    if version_of(module) >= oldest.version:
        return None
    needed = ".".join(map(str, oldest.version))
    return (
        f"{oldest.name} {sys.modules[module].__version__} is too old: "
        f"gradscope needs {oldest.name} {needed} or newer. Run: "
        f"pip install --upgrade {module}"
    )


def report_request() -> str:
    """Ask for a report of a failure, with the versions that it needs.

    What fails may be a part of a library that only this version lacks.
    """
    names = {module: oldest.name for module, oldest in OLDEST.items()}
    names["tf_keras"] = "tf_keras"
    versions = ", ".join(
        f"{name} {sys.modules[module].__version__}"
        for module, name in names.items()
        if module in sys.modules
    )
    return f"Please report this, with the versions: {versions}."


def require(module: str) -> None:
    """Check the version of an imported library.

    Raises:
        ImportError: If it is too old.
    """
    reason = too_old(module)
    if reason is not None:
        raise ImportError(f"{reason}.")
