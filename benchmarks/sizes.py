"""How much a recorded step adds to the log, and what waits on the device.

    python -m benchmarks.sizes
    python -m benchmarks.sizes --beside COMMIT

The second form trains the networks of `log_of_training` with an older version,
too, and prints the bytes of both logs. Sizes are counted, so they are the same
on every machine.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks import log_of_training, other_commit
from benchmarks.networks import NETWORKS, compiled
from benchmarks.overhead import fit

#: Steps before the first size is taken (the schema is in the first event), and
#: steps that are counted. Maps of units come every eighth of 1000 examples.
_FIRST, _COUNTED = 20, 80


def size(logdir: str) -> int:
    """Return the bytes of all event files below a directory."""
    files = [
        os.path.join(parent, name)
        for parent, _, names in os.walk(logdir)
        for name in names
    ]
    return sum(map(os.path.getsize, files))


def bytes_a_step(network, histograms) -> tuple[float, str]:
    """Return the bytes that a recorded step of a network adds to its log, and
    the directory of the log."""
    logdir = tempfile.mkdtemp()
    training = fit(compiled(network), logdir, every=1, histograms=histograms)
    sizes = []
    for steps in (_FIRST, _COUNTED):
        for _ in range(steps):
            training.step()
        training.finish()
        sizes.append(size(logdir))
    return (sizes[1] - sizes[0]) / _COUNTED, logdir


def ring_bytes(width: int) -> int:
    """Return the bytes of a ring on the device."""
    from gradscope.recording import device_ring

    return 4 * (device_ring.rows_of(width) + 1) * (width + 3)


def print_sizes() -> None:
    """Print the bytes of a recorded step of each network."""
    import gradscope
    from gradscope.format.step_layout import Layout
    from gradscope.recording import tensorboard_tabs

    print(
        "| | variables | weights | a recorded step | its histograms | rings |"
    )
    print("|---|" + "--:|" * 5)
    for name, network in NETWORKS.items():
        plain, logdir = bytes_a_step(network, None)
        full, _ = bytes_a_step(network, 1)
        described = gradscope.read(logdir).schema
        count = len(described.variables)
        weights = 4 * sum(v.size for v in described.variables)
        kinds = tensorboard_tabs.kinds(())
        widths = (
            Layout.of(described).width,
            tensorboard_tabs.width(count, kinds),
        )
        print(
            f"| {name} | {count} | {weights / 1e6:.2f} MB "
            f"| {plain / 1e3:.1f} kB | {(full - plain) / 1e3:.1f} kB "
            f"| {sum(map(ring_bytes, widths)) / 1e6:.1f} MB |",
            flush=True,
        )


def sizes_of(folder: pathlib.Path) -> dict[int, dict[str, int]]:
    """Train with the gradscope of a folder; return the bytes of the logs, by
    variables and options."""
    done = subprocess.run(
        [sys.executable, log_of_training.__file__],
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line.pop("variables"): line for line in lines}


def print_beside(commit: str) -> None:
    """Print the bytes of the same trainings' logs, of a commit and of now."""
    with other_commit.checked_out(commit) as folder:
        before = sizes_of(folder)
    now = sizes_of(other_commit.HERE)
    print(f"| variables | options | {commit} | now | ratio |")
    print("|--:|---|--:|--:|--:|")
    for variables, sizes in now.items():
        for options, number in sizes.items():
            old = before[variables][options]
            print(
                f"| {variables} | {options} | {old / 1e3:.1f} kB "
                f"| {number / 1e3:.1f} kB | {number / old:.2f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beside", metavar="COMMIT")
    commit = parser.parse_args().beside
    if commit:
        print_beside(commit)
    else:
        print_sizes()


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
