"""python -m benchmarks.programs PROGRAM.py ... [--before FILE]

Runs programs of Keras 3 or tf_keras without a change: plain, with a
`Callback` added to each `fit`, and with each optimizer wrapped as it is made;
each in a process and an empty folder of its own, with the same seeds. Epochs
and steps are cut. Prints where an error, the bits of a variable, a loss or a
random number that is drawn afterwards differ, each warning, and each finding.

A program that loads data from the network needs stand-ins: Python code in
FILE, which runs before it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks.programs import trial


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--before", help="Python code to run before each")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="in an epoch")
    parser.add_argument("--timeout", type=float, default=300)
    options = parser.parse_args()
    differ = [
        program for program in options.programs if _differs(program, options)
    ]
    print(f"{len(options.programs)} programs, {len(differ)} differ", *differ)


def _differs(program: str, options) -> bool:
    """Print how the ways compare, and return whether any differs from plain
    though plain does not differ from itself."""
    plain = _run("plain", program, options)
    print(f"{program}: {plain['error'] or 'runs'}, {plain['steps']} steps")
    ways = {}
    for way in ("callback", "wrap"):
        observed = _run(way, program, options)
        ways[way] = _difference(plain, observed)
        print(f"  {way}: {ways[way] or 'the same'}")
        for line in observed["warnings"] + observed["findings"]:
            print(f"    {line}")
    if not any(ways.values()):
        return False
    again = _difference(plain, _run("plain", program, options))
    print(f"  plain again: {again or 'the same'}")
    return not again


def _run(way: str, program: str, options) -> dict:
    """Return what a run in a process of its own leaves."""
    with tempfile.TemporaryDirectory() as directory:
        result = os.path.join(directory, "result")
        os.makedirs(folder := os.path.join(directory, "folder"))
        settings = {
            "way": way,
            "program": os.path.abspath(program),
            "before": options.before and os.path.abspath(options.before),
            "epochs": options.epochs,
            "steps": options.steps,
            "logdir": os.path.join(directory, "logs"),
            "result": result,
        }
        here = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
        paths = [os.path.abspath(here), os.environ.get("PYTHONPATH", "")]
        try:
            ended = subprocess.run(
                [sys.executable, "-m", trial.__name__, json.dumps(settings)],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                capture_output=True,
                text=True,
                timeout=options.timeout,
            )
        except subprocess.TimeoutExpired:
            return _ended(f"not done after {options.timeout:g} s")
        if ended.returncode:
            return _ended(ended.stderr[-300:])
        with open(f"{result}.json") as file:
            left = json.load(file)
        with np.load(f"{result}.npz") as arrays:
            return left | {"arrays": dict(arrays)}


def _ended(error: str) -> dict:
    """Return what a run leaves that did not come to its end."""
    names = ("losses", "draws", "steps", "warnings", "findings")
    return {name: [] for name in names} | {"error": error, "arrays": {}}


def _difference(plain: dict, other: dict) -> str:
    """Returns in words what differs between two runs, empty if nothing."""
    parts = [
        f"{name}: {other[name]} and not {plain[name]}"
        for name in ("error", "losses", "draws", "steps")
        if str(plain[name]) != str(other[name])
    ]
    ours, theirs = plain["arrays"], other["arrays"]
    if list(ours) != list(theirs):
        parts.append(f"{len(theirs)} variables and not {len(ours)}")
    differ = [
        name
        for name in ours
        if name in theirs and ours[name].tobytes() != theirs[name].tobytes()
    ]
    if differ:
        parts.append(f"{len(differ)} of {len(ours)} variables: {differ[:3]}")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
