"""Where Chromium is, for the tests of the page, pictures and benchmarks."""

from __future__ import annotations

import os
import shutil

# The headless shell first: its pages take far less of the CPU's time.
_NAMES = ["chromium-headless-shell", "chromium"]


def path() -> str:
    """Give the path of Chromium, or what `CHROMIUM` in the environment names.

    Raises:
        FileNotFoundError: None is installed.
    """
    names = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else _NAMES
    for name in names:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(
        f"No Chromium: looked for {' and '.join(names)} in PATH. Install it "
        f"(Debian: apt-get install {_NAMES[0]}), or set CHROMIUM to its path."
    )
