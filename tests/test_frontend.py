"""Runs the tests of the page's pure modules, and checks the types of all."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).parents[1]
TESTS = ROOT / "tests" / "frontend"


def run(*command):
    """Runs a command in the repository; returns how it went, and its output."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def tool(name):
    """Returns the folder of a package of node, which `make test` installs.

    What users install has no part in it: `package.json` names exact versions
    that only these tests need, and neither needs another package.
    """
    folder = ROOT / "node_modules" / name
    assert folder.exists(), f"{name} is missing: run `make test-setup`"
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
