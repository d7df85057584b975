"""Many clients and many trainings at once, on a real TensorBoard.

    python -m benchmarks.load [--seconds 120] [--clients 50] [--runs 20]
        [--provider fast]

Some threads poll as the page does (what is new of the list of runs, then of
one run its numbers and its findings), but without the page's pause of seconds:
an hour of polling goes by in a minute or two. Meanwhile a thread writes to all
runs. It prints a table: a third of the time each, latency of calls, and the
server's memory at the end of it. TensorBoard keeps 200 steps of a run here, so
that what it keeps itself soon stays the same. It needs Linux and TensorFlow.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
import urllib.parse

import numpy as np

from benchmarks import plugin_logs, plugin_server
from gradscope.format import schema
from gradscope.recording import event_writer

_BASE = "/data/plugin/gradscope"

# Steps that TensorBoard keeps, and that there are before the first client.
_KEPT = 200

# Seconds between two polls of a page.
_PAUSE = 5

PARTS = ("start", "middle", "end")


class Writers:
    """Runs that grow.

    Args:
        logdir: Where they are.
        runs, variables: How many.
    """

    def __init__(self, logdir: str, runs: int, variables: int):
        self._network = plugin_logs.network(variables)
        self._numbers = plugin_logs.patterns(variables)
        self._step = 0
        self.files = [
            event_writer.EventWriter(
                os.path.join(logdir, f"run_{number:02d}", schema.DIRECTORY)
            )
            for number in range(runs)
        ]

    def write(self) -> None:
        """Write a step of each run."""
        step = self._step
        values = [[step + 1.0, 0.0]]
        names = ("recorded", "dropped")
        run = np.full([1, len(schema.RUN_COLUMNS)], np.nan)
        run[:, [schema.RUN_COLUMNS.index(name) for name in names]] = values
        numbers = self._numbers[step % len(self._numbers)]
        for file in self.files:
            values = [
                plugin_logs.family_value(self._network, "variables", numbers),
                plugin_logs.family_value(self._network, "run", run),
            ]
            if not step:
                values.append(event_writer.schema_value(self._network))
            file.write(step, time.time(), values)
            file.flush()
        self._step += 1


class Client:
    """Polls as a page does.

    Args:
        address: Of TensorBoard.
        seed: Which run it looks at.
        calls: Is given a tuple of time, seconds, status and bytes of a call.
    """

    def __init__(self, address: str, seed: int, calls: list):
        self._host = urllib.parse.urlsplit(address).netloc
        self._seed, self._calls = seed, calls
        self._connection = http.client.HTTPConnection(self._host, timeout=60)
        self._mark, self._names = "", []
        self.polls = 0

    def poll(self) -> None:
        """Ask for all that a page asks for, once."""
        reply, head = self._get("runs", soon=1, known=self._mark)
        if reply != b"null":
            self._mark = head.get("X-Gradscope-Mark", "")
            self._names = [one["name"] for one in json.loads(reply)]
        if self._names:
            run = self._names[self._seed % len(self._names)]
            query = {"statistic": "gradient_norm", "rows": "layers"}
            self._get("matrix", run=run, soon=1, **query)
            self._get("findings", run=run, soon=1)
        self.polls += 1

    def _get(self, route: str, **query):
        path = f"{_BASE}/{route}?{urllib.parse.urlencode(query)}"
        for _ in range(200):
            begun = time.monotonic()
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read()
            taken = time.monotonic() - begun
            self._calls.append((begun, taken, response.status, len(body)))
            if response.status != 202:
                break
            time.sleep(0.1)  # as the page does
        return body, response.headers


def measure(options, logdir: str) -> list[list]:
    """Returns of each third of the time calls, median and 99th percentile of
    their seconds, statuses that are neither 200 nor 202, and memory."""
    writers = Writers(logdir, options.runs, options.variables)
    for _ in range(_KEPT + 50):
        writers.write()
    calls: list = []
    ends = threading.Event()
    more = [f"--samples_per_plugin=gradscope={_KEPT}"]
    with plugin_server.running(logdir, options.provider, more) as server:
        server.wait_until_loaded(options.runs)
        clients = [
            Client(server.address, number, calls)
            for number in range(options.clients)
        ]

        def until_the_end(action, pause):
            while not ends.wait(pause):
                action()

        tasks = [(writers.write, 1.0), *((one.poll, 0.0) for one in clients)]
        threads = [
            threading.Thread(target=until_the_end, args=task, daemon=True)
            for task in tasks
        ]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        memory = []
        for number in range(1, len(PARTS) + 1):
            end = begun + options.seconds * number / len(PARTS)
            time.sleep(max(0, end - time.monotonic()))
            memory.append(server.rss())
        ends.set()
        for thread in threads:
            thread.join()
        polls = sum(one.polls for one in clients) / len(clients)
    print(f"{polls:.0f} polls a client: {polls * _PAUSE / 60:.0f} minutes")
    found = []
    third = options.seconds / len(PARTS)
    for number, rss in enumerate(memory):
        here = [c for c in calls if int((c[0] - begun) / third) == number]
        times = [taken for _, taken, _, _ in here]
        wrong = sum(status not in (200, 202) for _, _, status, _ in here)
        found.append([len(here), *np.percentile(times, [50, 99]), wrong, rss])
    return found


def table(found: list[list]) -> str:
    """Return Markdown of what `measure` returns."""
    lines = [
        "| | calls | median | 99 % | errors | server's memory |",
        "|---|" + "--:|" * 5,
    ]
    for part, (count, median, late, wrong, rss) in zip(
        PARTS, found, strict=True
    ):
        lines.append(
            f"| {part} | {count} | {1000 * median:.0f} ms "
            f"| {1000 * late:.0f} ms | {wrong} | {rss / 2**20:.0f} MiB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--variables", type=int, default=40)
    parser.add_argument(
        "--provider", choices=plugin_server.PROVIDERS, default="fast"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as logdir:
        print(table(measure(options, logdir)))


if __name__ == "__main__":
    main()
