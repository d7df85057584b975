"""How fast the plugin's page is: real event files, TensorBoard and Chromium.

    python -m benchmarks.plugin [--full] [--quick] [--only 1000x1000x50]
        [--provider fast] [--cold] [--no-histograms]
    python -m benchmarks.plugin --against COMMIT [--rounds 3] [--only SIZE]

Of each size it writes logs, starts `tensorboard` with each of its data
providers, waits until that has read them, opens the plugin's tab in an empty
browser, and prints two tables. By default it takes a quarter of an hour, the
sizes of `FULL` an hour; it needs Linux, Chromium, and of memory what the
second table says. Logs take up to 6 GB of disk and are deleted at the end.
With `--against` it opens another commit's page and today's in turn, in one
run, and prints the ratios.

TensorBoard's histograms are its own tab, on the same logs: each variable has
one of its gradient (30 buckets, as many as `tf.summary.histogram` writes) in
100 evenly spaced steps, which is what TensorBoard's data server keeps.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import tempfile

import numpy as np

from benchmarks import (
    plugin_against,
    plugin_logs,
    plugin_page,
    plugin_server,
)

#: Variables, steps and runs.
SIZES = [(100, 1000, 50), (1000, 1000, 1), (1000, 1000, 20), (1000, 1000, 50)]
QUICK = [(40, 100, 3)]
FULL = [
    (variables, steps, runs)
    for variables in (100, 1000, 5000)
    for steps in (1000, 10_000)
    for runs in (1, 50)
]

#: TensorBoard holds each run's file in memory: what takes more is left out.
MOST_MEMORY = 12 * 2**30

#: Of more variables in all runs there are no histograms: TensorBoard's own
#: loader takes minutes for half a million of them, and 1.5 kB for each.
MOST_HISTOGRAMS = 5000

_ROUTES = (
    "runs",
    "matrix (preview)",
    "matrix",
    "findings",
    "layer",
    "series",
    "histograms",
)


@dataclasses.dataclass
class Measured:
    """What was measured of one size with one data provider.

    Attributes:
        opened: How the page was opened.
        calls: Of each route seconds and bytes.
        memory: Bytes of the server's processes.
        zoom, pan: Milliseconds between frames.
        histograms: Seconds to the first chart of TensorBoard's own tab, None
            where there are none.
        cold: Seconds from the server's start to the first picture, if asked.
    """

    opened: plugin_page.Opened
    calls: dict[str, list[tuple[float, int]]]
    memory: int
    zoom: np.ndarray
    pan: np.ndarray
    histograms: float | None = None
    cold: float | None = None


def memory_of(variables: int, steps: int, runs: int) -> int:
    """Return the bytes of the events that TensorBoard keeps of some runs."""
    kept = min(steps, 5000)
    return runs * kept * variables * len(plugin_logs.COLUMNS) * 4


def measure(
    browser, logdir, runs: int, provider: str, options, with_histograms: bool
) -> Measured:
    """Measure the page on the logs in a directory."""
    cold = None
    if options.cold:
        with plugin_server.running(logdir, provider) as server:
            tab = plugin_page.Tab(browser, server.address)
            cold = tab.open_gradscope(server.started).first
            tab.close()
    with plugin_server.running(logdir, provider) as server:
        server.wait_until_loaded(runs)
        tab = plugin_page.Tab(browser, server.address)
        tab.open_tensorboard()
        opened = tab.open_gradscope()
        tab.rest()
        tab.unfold()
        zoom, pan = tab.zoom(), tab.pan()
        tab.open_layer()
        calls, memory = tab.calls(), server.rss()
        tab.close()
        charts = None
        if with_histograms:
            tab = plugin_page.Tab(browser, server.address)
            tab.open_tensorboard()
            charts = tab.histograms(runs)
            tab.close()
    return Measured(opened, calls, memory, zoom, pan, charts, cold)


def tables(measured: dict[str, Measured]) -> str:
    """Return Markdown: of each row's name what was measured."""
    times = [
        "| variables x steps x runs, provider | first picture | all its steps "
        "| zoom, median (p90) | pan | server's memory | largest call "
        "| TensorBoard's histograms | from the server's start |",
        "|---|" + "--:|" * 8,
    ]
    calls = [
        "| median (max) of a call | " + " | ".join(_ROUTES) + " |",
        "|---|" + "--:|" * len(_ROUTES),
    ]
    for name, one in measured.items():
        largest = max(size for all in one.calls.values() for _, size in all)
        cells = [
            f"{one.opened.first:.2f} s",
            f"{one.opened.whole:.2f} s",
            _frames(one.zoom),
            _frames(one.pan),
            f"{one.memory / 2**30:.1f} GiB",
            f"{largest / 2**20:.1f} MiB",
            _seconds(one.histograms),
            _seconds(one.cold),
        ]
        times.append(f"| {' | '.join([name, *cells])} |")
        cells = [_latency(one.calls.get(route)) for route in _ROUTES]
        calls.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join([*times, "", *calls])


def _frames(deltas) -> str:
    median, late = np.percentile(deltas, [50, 90])
    return f"{median:.1f} ({late:.1f}) ms"


def _seconds(time) -> str:
    return "" if time is None else f"{time:.1f} s"


def _latency(calls) -> str:
    if not calls:
        return ""
    times = [1000 * seconds for seconds, _ in calls]
    return f"{np.median(times):.0f} ({max(times):.0f}) ms"


def sizes_of(options) -> list[tuple[int, ...]]:
    """Return the variables, steps and runs that were asked for."""
    if options.only:
        return [tuple(map(int, options.only.split("x")))]
    return QUICK if options.quick else FULL if options.full else SIZES


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all sizes")
    parser.add_argument("--quick", action="store_true", help="a trial")
    parser.add_argument("--only", help="one size, as in 1000x1000x50")
    parser.add_argument("--provider", choices=plugin_server.PROVIDERS)
    parser.add_argument("--cold", action="store_true", help="from the start")
    parser.add_argument("--logdir", help="logs that are there already")
    parser.add_argument(
        "--no-histograms", dest="histograms", action="store_false"
    )
    parser.add_argument("--against", help="a commit, side by side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.against:
        size = sizes_of(options)[-1]
        print(plugin_against.compare(options.against, size, options.rounds))
        return
    sizes = sizes_of(options)
    providers = [options.provider] if options.provider else ["fast", "slow"]
    found = collections.OrderedDict()
    with plugin_page.browsing() as browser:
        for size in sizes:
            name = " x ".join(map(str, size))
            if memory_of(*size) > MOST_MEMORY:
                print(f"{name}: left out, it takes too much memory")
                continue
            for provider in providers:
                found[f"{name}, {provider}"] = _measure(
                    browser, size, provider, options
                )
    print(tables(found))


def _measure(browser, size, provider, options) -> Measured:
    variables, _, runs = size
    histograms = options.histograms and variables * runs <= MOST_HISTOGRAMS
    with contextlib.ExitStack() as stack:
        logdir = options.logdir
        if not logdir:
            logdir = stack.enter_context(tempfile.TemporaryDirectory())
            plugin_logs.write(logdir, *size, histograms=histograms)
        return measure(browser, logdir, runs, provider, options, histograms)


if __name__ == "__main__":
    main()
