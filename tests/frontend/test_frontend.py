"""Runs the tests of the page's pure modules, and checks the types of all."""

import os
import pathlib
import subprocess
import sys

from node_packages import tool

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / "tests" / "frontend"


def run(*command):
    """Runs a command in the repository; returns how it went, and its output."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_pages_own_tests_pass():
    files = sorted(map(str, TESTS.glob("*.test.js")))
    assert files
    code, told = run("node", "--test", *files)
    assert code == 0, told


def test_types_are_what_the_comments_say():
    tsc = tool("typescript") / "bin" / "tsc"
    code, told = run("node", tsc, "-p", TESTS / "tsconfig.json")
    assert code == 0, told
