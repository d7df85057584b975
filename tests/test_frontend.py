"""Runs the tests of the page's pure modules, `node --test tests/frontend`."""

import pathlib
import subprocess

TESTS = pathlib.Path(__file__).parent / "frontend"


def test_the_pages_own_tests_pass():
    files = sorted(map(str, TESTS.glob("*.test.js")))
    assert files
    done = subprocess.run(
        ["node", "--test", *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
