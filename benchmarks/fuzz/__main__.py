"""Feeds readers what nobody wrote: spoilt files, schemas, runs and queries.

    python -m benchmarks.fuzz [--inputs 100000] [--seed 0]

It prints a table, and a traceback for each new kind of crash; the exit code
is 1 if there was one. A crash is an exception that is not gradscope's own, a
reply that is no JSON, is too long or lets a control character through, an input
that takes more than 10 s, or one that asks for more than 1 GiB of memory.
Names come from a list, bytes from a seed: the same seed makes the same inputs.
It takes some minutes, and needs Linux and TensorFlow (to write what is spoilt).
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import logging
import random
import resource
import signal
import sys
import tempfile
import time
import traceback

from benchmarks.fuzz import mutating, seeds, targets
from benchmarks.fuzz.provider import Memory

# Seconds, and bytes more than at the start.
_PATIENCE, _ROOM = 10, 2**30

_ROUTES = ("runs", "matrix", "series", "curves", "layer", "histograms")
_ROUTES += ("findings",)
_PARAMETERS = (
    *("run", "rows", "statistic", "only", "after", "mark", "preview", "soon"),
    *("layer", "variable", "kind", "known", "x" * 300, "run[]", "%00"),
)


@dataclasses.dataclass
class Counted:
    """What happened with the inputs of one target."""

    inputs: int = 0
    refused: int = 0
    crashes: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    slowest: float = 0.0
    memory: int = 0


class Inputs:
    """Makes inputs and feeds them, one target a method.

    Args:
        seed: Of all random numbers.
        directory: For files.
    """

    def __init__(self, seed: int, directory: str):
        self._chance = random.Random(seed)
        self._directory = directory
        self._network = seeds.described()
        other = seeds.described(3)
        self._events = seeds.events(self._network, range(6))
        self._two = self._events + seeds.events(other, range(4, 8), 1)
        self._schema = json.loads(self._network.to_json())
        self._client = targets.client_of(Memory({"run": self._two}))

    def file(self) -> None:
        """A file whose bytes were changed, anywhere."""
        content = seeds.framed(self._events)
        content = mutating.spoilt_bytes(content, self._chance)
        # Numbers whose checksum is right are as they were: no need to look.
        targets.read_file(content, self._directory, uses=False)

    def record(self) -> None:
        """A file with right checksums, of events that nobody would write."""
        events = self._chance.choice((self._events, self._two))
        events = mutating.spoilt_events(events, self._chance)
        targets.read_file(seeds.framed(events), self._directory)

    def schema(self) -> None:
        """The JSON of a schema with other values, keys and bytes."""
        changed = self._schema
        for _ in range(self._chance.randint(1, 3)):
            changed = mutating.spoilt_json(changed, self._chance)
        try:
            text = json.dumps(changed)
        except RecursionError:
            raise targets.Refused from None
        if self._chance.random() < 0.3:
            text = mutating.spoilt_bytes(text.encode(), self._chance)
        targets.parse(text)

    def run(self) -> None:
        """A run that nobody would write, shown by TensorBoard with another."""
        events = mutating.spoilt_events(self._two, self._chance)
        client = targets.client_of(Memory({"bad": events, "good": self._two}))
        targets.show(client, "bad")
        assert targets.ask(client, "findings", {"run": "good"}) == 200
        listed = client.get(f"{targets.BASE}/runs").get_json()
        (good,) = (one for one in listed if one["name"] == "good")
        assert good["steps"] == 8, good

    def query(self) -> None:
        """A request with any parameters."""
        good = {"run": "run", "rows": "layers", "statistic": "gradient_norm"}
        query: dict = good if self._chance.random() < 0.7 else {}
        query = dict(query)
        for _ in range(self._chance.randint(1, 4)):
            value = self._chance.choice(
                (*mutating.NAMES, *mutating.NUMBERS, *good.values(), "units")
            )
            value = str(value).encode(errors="replace").decode()
            query[self._chance.choice(_PARAMETERS)] = value
        if targets.ask(self._client, self._chance.choice(_ROUTES), query) > 202:
            raise targets.Refused


#: Of all inputs the share of each target; a file is not as cheap as a query.
TARGETS = {
    "file": 0.06,
    "record": 0.018,
    "schema": 0.7,
    "run": 0.002,
    "query": 0.22,
}


def feed(feed_one, count: int, told=None) -> Counted:
    """Feed a target; kinds of crashes that were not seen before are told.

    Args:
        feed_one: A method of `Inputs`.
        count: How often to call it.
        told: Called with a traceback.
    """
    counted = Counted(count)
    for _ in range(count):
        begun = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_PROF, _PATIENCE)
            feed_one()
        except targets.Refused:
            counted.refused += 1
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} in {where.filename}:{where.lineno}"
            if told is not None and kind not in counted.crashes:
                told("".join(traceback.format_exception(error)))
            counted.crashes[kind] += 1
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        taken = time.process_time() - begun
        counted.slowest = max(counted.slowest, taken)
    counted.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return counted


def table(counted: dict[str, Counted]) -> str:
    """Return Markdown: of each target what happened."""
    lines = [
        "| what is spoilt | inputs | refused | crashes | slowest | memory |",
        "|---|" + "--:|" * 5,
    ]
    lines += [
        f"| {name} | {one.inputs} | {one.refused} "
        f"| {one.crashes.total()} | {1000 * one.slowest:.0f} ms "
        f"| {one.memory / 2**20:.0f} MiB |"
        for name, one in counted.items()
    ]
    total = sum(one.inputs for one in counted.values())
    crashes = sum(one.crashes.total() for one in counted.values())
    return "\n".join([*lines, f"| all | {total} | | {crashes} | | |"])


def limit() -> None:
    """Make a hang an exception, and a large allocation as well."""

    def hang(*_):
        raise TimeoutError(f"an input took more than {_PATIENCE} s")

    # Of the processor's time: a busy machine makes no hang.
    signal.signal(signal.SIGPROF, hang)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TARGETS)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    counted = {}
    with tempfile.TemporaryDirectory() as directory:
        inputs = Inputs(options.seed, directory)
        limit()
        for name, share in TARGETS.items():
            if options.only in (None, name):
                count = round(options.inputs * share)
                print(f"{name}: {count} inputs", file=sys.stderr, flush=True)
                counted[name] = feed(getattr(inputs, name), count, print)
    print(table(counted))
    return int(any(one.crashes for one in counted.values()))


if __name__ == "__main__":
    sys.exit(main())
