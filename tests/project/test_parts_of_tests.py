"""`make test` runs each file of tests in one part, and prints the slowest."""

import collections
import os
import pathlib
import re
import subprocess
import sys

import keras
import lean_keras
import pytest

ROOT = pathlib.Path(__file__).parents[2]
COMBINED = "tests/trainings/test_combinations.py"


def files(argument):
    path = ROOT / argument
    tests = path.rglob("test_*.py") if path.is_dir() else [path]
    return [str(test.relative_to(ROOT)) for test in tests]


def test_each_file_is_in_one_part():
    environment = {k: v for k, v in os.environ.items() if "MAKE" not in k}
    commands = subprocess.run(
        ["make", "--dry-run", "--always-make", "test"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    parts = [line for line in commands if "-m pytest" in line]
    count = collections.Counter(
        file
        for part in parts
        for argument in re.findall(r"\stests/\S+", part)
        for file in files(argument.strip())
    )
    # What XLA compiles there, and the rest.
    assert count.pop(COMBINED) == 2
    assert set(count.values()) == {1}
    assert {*count, COMBINED} == set(files("tests"))


def test_keras_is_imported_without_what_takes_long(monkeypatch):
    """See tests/support/startup; all others may import matplotlib."""
    (finder,) = (f for f in sys.meta_path if isinstance(f, lean_keras.Finder))
    assert finder.find_spec("matplotlib") is None
    monkeypatch.setattr(keras.__spec__, "_initializing", True, raising=False)
    assert finder.find_spec("matplotlib.pyplot") is None
    for name in ("matplotlib", "IPython"):
        with pytest.raises(ModuleNotFoundError, match=r"lean_keras\.py"):
            finder.find_spec(name)


def test_the_slowest_tests_of_all_parts_are_printed(tmp_path):
    for part, times in ("a", (3, 1)), ("b", (2.5, 0)):
        tests = "".join(
            f'<testcase classname="tests.test_{part}" name="n" time="{time}"/>'
            for time in times
        )
        path = tmp_path / f"{part}.xml"
        path.write_text(
            f"<testsuites><testsuite>{tests}</testsuite></testsuites>"
        )
    lines = subprocess.run(
        [sys.executable, "-m", "tools.slowest", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["3.0", "s", "a", "tests.test_a::n"],
        ["2.5", "s", "b", "tests.test_b::n"],
        ["1.0", "s", "a", "tests.test_a::n"],
        ["0.0", "s", "b", "tests.test_b::n"],
    ]
