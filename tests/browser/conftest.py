"""Lets the tests of the page use `tests/runs.py`."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
