"""Prints the slowest tests of all parts.

python -m tools.slowest FOLDER   # of files that `pytest --junitxml` writes
"""

from __future__ import annotations

import pathlib
import sys
from xml.etree import ElementTree

NUMBER = 30


def durations(folder: pathlib.Path) -> list[tuple[float, str]]:
    """Seconds and names of all tests, the slowest first."""
    return sorted(
        (
            (float(test.get("time", 0)), f"{part.stem}  {name(test)}")
            for part in folder.glob("*.xml")
            for test in ElementTree.parse(part).iter("testcase")
        ),
        reverse=True,
    )


def name(test: ElementTree.Element) -> str:
    """Module and name of a test."""
    return f"{test.get('classname')}::{test.get('name')}"


if __name__ == "__main__":
    for seconds, test in durations(pathlib.Path(sys.argv[1]))[:NUMBER]:
        print(f"{seconds:8.1f} s  {test}")
