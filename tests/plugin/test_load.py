"""Many clients at once: counted, not timed (`benchmarks.load` takes times)."""

import argparse
import collections
import threading

import pytest

from benchmarks import load
from benchmarks.fuzz import seeds, targets
from benchmarks.fuzz.provider import Memory
from gradscope.format import schema
from gradscope_plugin import plugin
from gradscope_plugin.runs import run_data

CLIENTS, RUNS, ROUNDS = 12, 4, 5


class Growing(Memory):
    """Runs that grow by a step when told; counts what is read of them."""

    def __init__(self):
        self._network = seeds.described()
        self._steps = 0
        self.read = collections.Counter()
        self.grow()

    def grow(self):
        self._steps += 4
        events = seeds.events(self._network, range(self._steps))
        super().__init__({f"run_{n}": events for n in range(RUNS)})

    def read_tensors(self, *args, run_tag_filter, **kwargs):
        for run in run_tag_filter.runs:
            for tag in run_tag_filter.tags:
                self.read[run, schema.parse_tag(tag)[0], self._steps] += 1
        return super().read_tensors(
            *args, run_tag_filter=run_tag_filter, **kwargs
        )


def test_what_many_ask_for_is_read_once_and_memory_is_bounded():
    provider = Growing()
    context = targets.base_plugin.TBContext(data_provider=provider)
    served = plugin.GradscopePlugin(context)
    application = targets.application.TensorBoardWSGI(
        [served], data_provider=provider
    )
    wrong, before = [], threading.active_count()

    def poll(number):
        client = targets.Client(application)
        run = f"run_{number % RUNS}"
        query = {"run": run, "rows": "layers", "statistic": "gradient_norm"}
        try:
            for route, asked in (
                ("runs", {}),
                ("matrix", query),
                ("findings", {"run": run}),
            ):
                for _ in range(200):
                    status = targets.ask(client, route, asked | {"soon": 1})
                    if status != 202:
                        break
                assert status == 200, (route, status)
        except Exception as error:
            wrong.append(error)

    for _ in range(ROUNDS):
        threads = [
            threading.Thread(target=poll, args=[number])
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        provider.grow()
    assert not wrong, wrong[0]
    # The numbers of a run were read once each time it had grown, whoever asked.
    numbers = {k: n for k, n in provider.read.items() if k[1] == "variables"}
    assert set(numbers.values()) == {1}
    assert len(numbers) == RUNS * ROUNDS
    # A thread for what is read, one for findings; none for a client.
    assert threading.active_count() <= before + 3
    assert len(served._runs._records) <= RUNS
    assert served._runs._records.bytes <= run_data._CACHE_BYTES
    assert len(served._findings._replies) == RUNS
    assert not served._runs._locks
    for beside in (served._record_queue, served._findings_queue):
        assert len(beside._started) <= RUNS


@pytest.mark.slow
def test_the_benchmark_measures_and_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "_KEPT", 5)
    options = argparse.Namespace(
        seconds=6, clients=3, runs=2, variables=4, provider="slow"
    )
    found = load.measure(options, str(tmp_path))
    assert len(found) == 3
    assert all(calls and not wrong for calls, _, _, wrong, _ in found)
    lines = load.table(found).splitlines()
    assert [line.split()[1] for line in lines[2:]] == ["start", "middle", "end"]


@pytest.mark.parametrize("part", load.PARTS)
def test_a_table_has_each_part(part):
    found = [[10, 0.01, 0.02, 0, 2**20]] * 3
    assert f"| {part} | 10 | 10 ms | 20 ms | 0 | 1 MiB |" in load.table(found)
