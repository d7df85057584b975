"""Whether the page drops frames while it follows a long training.

    python -m benchmarks.plugin_live [--layers 200] [--steps 10000]
        [--seconds 30]

A run has recorded so many steps already, and grows by ten steps a second. The
page is open in TensorBoard's tab and asks for what is new every few seconds;
it must then draw all steps again. Two things are measured: the time between
the frames that the browser draws, and the longest task of the page's thread,
once by the clock and once by the time that the thread really had a processor.
A frame is dropped where a task takes 16.7 ms; the second number says so even
where other programs take the processors away.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
import threading
import time

import numpy as np

from benchmarks import plugin_logs, plugin_page, plugin_server
from gradscope.format import schema
from gradscope.recording import event_writer

#: Of a screen with 60 frames a second, in ms.
FRAME = 1000 / 60

_STEPS_A_SECOND = 10

# Milliseconds between frames for so many seconds.
_FRAMES = """
(seconds) => new Promise((resolve) => {
  const deltas = [];
  let before = null;
  const tick = (now) => {
    if (before !== null) deltas.push(now - before);
    before = now;
    if (performance.now() < end) requestAnimationFrame(tick);
    else resolve(deltas);
  };
  const end = performance.now() + 1000 * seconds;
  requestAnimationFrame(tick);
})
"""


@dataclasses.dataclass
class Live:
    """What was measured while the run grew.

    Attributes:
        deltas: Milliseconds between frames.
        clock, processor: The longest task in ms, by the clock and by the time
            that the thread had a processor.
        before, after: The last step that the page showed.
    """

    deltas: np.ndarray
    clock: float
    processor: float
    before: int
    after: int


class Growing:
    """A run that grows.

    Args:
        logdir: Of TensorBoard.
        layers: Layers, with a kernel each.
    """

    def __init__(self, logdir: str, layers: int):
        self._network = plugin_logs.network(layers)
        self._numbers = plugin_logs.patterns(layers)
        self._file = event_writer.EventWriter(
            os.path.join(logdir, "run", schema.DIRECTORY)
        )
        self.steps = 0

    def write(self, steps: int) -> None:
        """Write some more steps."""
        for step in range(self.steps, self.steps + steps):
            numbers = {
                "recorded": step + 1,
                "dropped": 0,
                "loss": 2.0 / (1 + step),
            }
            run = [[numbers.get(name, np.nan) for name in schema.RUN_COLUMNS]]
            table = self._numbers[step % len(self._numbers)]
            values = [
                plugin_logs.family_value(self._network, "variables", table),
                plugin_logs.family_value(self._network, "run", run),
            ]
            if step == 0:
                values.append(event_writer.schema_value(self._network))
            self._file.write(step, 1.7e9 + step, values)
        self._file.flush()
        self.steps += steps

    def go_on(self, end: threading.Event) -> None:
        """Write steps until the event is set."""
        while not end.wait(1):
            self.write(_STEPS_A_SECOND)


def longest_tasks(trace: bytes) -> tuple[float, float]:
    """Return the longest task of a page's threads, in ms.

    Args:
        trace: JSON of Chromium's tracing.

    Returns:
        By the clock, and by the processor.
    """
    events = json.loads(trace)["traceEvents"]
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name"
        and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event
        for event in events
        if event["name"] == "ThreadControllerImpl::RunTask"
        and (event["pid"], event["tid"]) in threads
    ]
    return tuple(
        max((task.get(key, 0) for task in tasks), default=0) / 1000
        for key in ("dur", "tdur")
    )


def measure(layers: int, steps: int, seconds: float) -> Live:
    """Measure the page beside a run that grows."""
    with tempfile.TemporaryDirectory() as logdir:
        run, end = Growing(logdir, layers), threading.Event()
        run.write(steps)
        more = ["--samples_per_plugin=gradscope=0", "--reload_interval=1"]
        with (
            plugin_page.browsing() as browser,
            plugin_server.running(logdir, "fast", more) as server,
        ):
            server.wait_until_loaded(1)
            tab = plugin_page.Tab(browser, server.address)
            tab.open_tensorboard()
            tab.open_gradscope()
            tab.rest()
            writer = threading.Thread(target=run.go_on, args=[end])
            writer.start()
            try:
                time.sleep(5)
                before = tab.steps()
                deltas, trace = tab.traced(_FRAMES, seconds)
                after = tab.steps()
            finally:
                end.set()
                writer.join()
            tab.close()
    return Live(np.array(deltas), *longest_tasks(trace), before, after)


def table(live: Live) -> str:
    """Return Markdown of what was measured."""
    late = int(np.sum(live.deltas > 1.5 * FRAME))
    return "\n".join(
        [
            "| steps | frames | later than a frame | longest gap "
            "| longest task by the clock | by the processor |",
            "|---|" + "--:|" * 5,
            f"| {live.before} to {live.after} | {len(live.deltas)} | {late} "
            f"| {live.deltas.max():.1f} ms | {live.clock:.1f} ms "
            f"| {live.processor:.1f} ms |",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    print(table(measure(options.layers, options.steps, options.seconds)))


if __name__ == "__main__":
    main()
