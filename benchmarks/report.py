"""How large a report is, and how fast it is written and opened.

    python -m benchmarks.report [--size 200x1000x20] [--max-mb 10]

Writes the logs of some runs (a layer has a kernel and a bias, whose gradients
differ by 30 % from step to step, so that they deflate badly), writes a report
of them, and opens it in Chromium from disk, in an empty profile with the
network off, five times. The picture is there when its axis is drawn.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import tempfile
import time

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks import plugin_logs
from gradscope.format import schema, stored_columns
from gradscope.reading.read import runs_below
from gradscope.recording import event_writer
from gradscope_plugin.report import build
from tools import chromium

_ROUNDS = 5


def write_logs(logdir: str, layers: int, steps: int, runs: int) -> None:
    """Write runs whose numbers change in every step."""
    variables = [
        schema.Variable(f"block_{n // 10}/dense_{n}/{kind}", f"dense_{n}", s, t)
        for n in range(layers)
        for kind, s, t in (
            ("kernel", (32, 32), "float32"),
            ("bias", (32,), "float32"),
        )
    ]
    described = stored_columns.with_stored_columns(
        schema.Schema(tuple(variables), {"name": "SGD"})
    )
    pattern = plugin_logs.patterns(2 * layers)
    for number in range(runs):
        random = np.random.default_rng(number)
        directory = os.path.join(logdir, f"run_{number:02d}", schema.DIRECTORY)
        file = event_writer.EventWriter(directory)
        for step in range(steps):
            noise = np.exp(0.3 * random.normal(size=[2 * layers, 1]))
            numbers = (pattern[step % len(pattern)] * noise).astype(np.float32)
            counts = {"recorded": step + 1, "dropped": 0}
            row = [[counts.get(n, np.nan) for n in schema.RUN_COLUMNS]]
            values = [
                plugin_logs.family_value(described, "variables", numbers),
                plugin_logs.family_value(described, "run", row),
            ]
            if step == 0:
                values.append(event_writer.schema_value(described))
            file.write(step, 1.7e9 + step, values)
        file.close()


def seconds_to_open(path: pathlib.Path) -> float:
    """Open a report in a browser of its own; return the median seconds to the
    first picture."""
    times = []
    with sync_playwright() as playwright:
        for _ in range(_ROUNDS):
            browser = playwright.chromium.launch(
                executable_path=chromium.path(), args=["--no-sandbox"]
            )
            page = browser.new_context(offline=True).new_page()
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector(".heatmap:not(.loading) .axis span")
            times.append(time.perf_counter() - start)
            browser.close()
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="200x1000x20", help="layers x ...")
    parser.add_argument("--max-mb", type=float, default=10)
    options = parser.parse_args()
    layers, steps, runs = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as logdir:
        write_logs(logdir, layers, steps, runs)
        start, processor = time.perf_counter(), time.process_time()
        report = build.build(
            logdir, runs_below(logdir), megabytes=options.max_mb
        )
        seconds = time.perf_counter() - start
        processor = time.process_time() - processor
        path = pathlib.Path(logdir, "report.html")
        path.write_text(report.html, encoding="utf-8")
        print(f"{layers} layers x {steps} steps x {runs} runs: {report.brief}")
        print(
            f"written in {seconds:.1f} s ({processor:.1f} s of a processor), "
            f"{len(report.html) / 1e6:.1f} MB"
        )
        print(f"first picture after {seconds_to_open(path):.2f} s")
        for note in report.notes:
            print(f"  {note}")


if __name__ == "__main__":
    main()
