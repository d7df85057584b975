"""Runs the tests of the page's pure modules, and checks the types of all."""

import fcntl
import pathlib
import shutil
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TESTS = ROOT / "tests" / "frontend"


def run(*command):
    """Runs a command in the repository; returns how it went, and its output."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def tool(name):
    """Returns the path of a package of node, installed where it is missing.

    What users install has no part in it: `package.json` names exact versions
    that only these tests need, and neither needs another package.
    """
    folder = ROOT / "node_modules" / name
    # Two workers that install at once remove each other's files.
    with open(pathlib.Path(tempfile.gettempdir(), "npm.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            if not shutil.which("npm"):
                pytest.fail("npm is missing: apt-get install npm")
            code, told = run(
                "npm", "install", "--no-package-lock", "--no-audit"
            )
            assert code == 0, told
    return folder


def test_the_pages_own_tests_pass():
    files = sorted(map(str, TESTS.glob("*.test.js")))
    assert files
    code, told = run("node", "--test", *files)
    assert code == 0, told


def test_types_are_what_the_comments_say():
    tsc = tool("typescript") / "bin" / "tsc"
    code, told = run("node", tsc, "-p", TESTS / "tsconfig.json")
    assert code == 0, told
