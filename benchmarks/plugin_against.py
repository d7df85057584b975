"""The page of another commit beside today's, for `benchmarks.plugin`.

Both trees write logs of the same runs with their own writers, and serve them
with their own plugins. Rounds of both alternate, so that what else the machine
does strikes both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from benchmarks import other_commit, plugin_page, plugin_server

_WRITE = "from benchmarks import plugin_logs; plugin_logs.write({!r}, *{}, {})"


@dataclasses.dataclass
class Round:
    """What one opening of the page took.

    Attributes:
        first, whole: Seconds to the first picture, and to one of all steps.
        before: Bytes of the server that has read its logs, with no page open.
        memory: The same once the page has all that it asks for by itself.
    """

    first: float
    whole: float
    before: int
    memory: int


def compare(commit: str, size: tuple[int, ...], rounds: int) -> str:
    """Measure a commit's page and today's in turn; return a table.

    Args:
        commit: Any name that git knows. Its benchmark must have
            `plugin_logs.write`, as all have since 2026-11-21.
        size: Variables, steps and runs.
        rounds: How often each is opened.
    """
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(other_commit.checked_out(commit))
        directory = pathlib.Path(
            stack.enter_context(tempfile.TemporaryDirectory())
        )
        logs = {
            other: directory / "other",
            other_commit.HERE: directory / "here",
        }
        for tree, logdir in logs.items():
            _write(tree, logdir, size)
        sides = {
            commit: (other, logs[other]),
            "here": (other_commit.HERE, logs[other_commit.HERE]),
            f"here, on the logs of {commit}": (other_commit.HERE, logs[other]),
        }
        measured: dict[str, list[Round]] = {name: [] for name in sides}
        browser = stack.enter_context(plugin_page.browsing())
        for _ in range(rounds):
            for name, (tree, logdir) in sides.items():
                measured[name].append(_open(browser, tree, logdir, size[-1]))
    return table(measured)


def table(measured: dict[str, list[Round]]) -> str:
    """Return Markdown: of each side the medians, and ratios to the first."""
    lines = [
        "| page of | first picture | all its steps | server's memory "
        "| before the page was opened |",
        "|---|" + "--:|" * 4,
    ]
    fields = ["first", "whole", "memory", "before"]
    medians = {
        name: [
            statistics.median(getattr(one, field) for one in rounds)
            for field in fields
        ]
        for name, rounds in measured.items()
    }
    first = next(iter(medians.values()))
    for name, values in medians.items():
        cells = [
            f"{value:.2f} s" if field in ("first", "whole") else _gib(value)
            for field, value in zip(fields, values, strict=True)
        ]
        if values is not first:
            cells = [
                f"{cell} ({value / base:.2f})"
                for cell, value, base in zip(cells, values, first, strict=True)
            ]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


def _write(tree, logdir, size) -> None:
    environment = os.environ | {"PYTHONPATH": str(tree)}
    code = _WRITE.format(str(logdir), tuple(size), False)
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, cwd=tree, env=environment)


def _open(browser, tree, logdir, runs: int) -> Round:
    with plugin_server.running(logdir, "fast", tree=tree) as server:
        server.wait_until_loaded(runs)
        before = server.rss()
        tab = plugin_page.Tab(browser, server.address)
        tab.open_tensorboard()
        opened = tab.open_gradscope()
        tab.rest()
        memory = server.rss()
        tab.close()
    return Round(opened.first, opened.whole, before, memory)
