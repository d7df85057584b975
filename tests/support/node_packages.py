"""Packages of node that tests need."""

import pathlib

ROOT = pathlib.Path(__file__).parents[2]


def tool(name):
    """Returns the folder of a package of node, which `make test` installs.

    What users install has no part in it: `package.json` names exact versions
    that only these tests need, and neither needs another package.
    """
    folder = ROOT / "node_modules" / name
    assert folder.exists(), f"{name} is missing: run `make test-setup`"
    return folder
