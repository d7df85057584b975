"""What it costs to observe networks of a size that people train.

    python -m benchmarks.large [NETWORK ...] [--rounds 3] [--steps 80]
        [--optimizer adam] [--jit]

Each network is trained by `fit` in processes of their own, in turns without
gradscope and with its `Callback` as it is by default, so that whatever else
the machine does hits both. The table has the medians of the rounds:

* start: seconds until the first recorded and the first plain step are over, of
  a model that is built.
* built: operations that Python has built until then, one by one.
* recorded: a step that is recorded, as a ratio to a plain one.
* whole: the seconds of all steps.
* peak: the largest memory of the process.
* log, diagnose, findings: bytes of the log, the seconds that `diagnose` takes,
  and the findings other than notes (the networks do learn).

A round of a network takes one to five minutes on two cores, and 1 to 4 GB.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

#: The first and every tenth step are recorded in the process that observes.
_EVERY = 10

_HEAD = (
    "| network | start, s | built | recorded | whole, s | peak, MB "
    "| log, kB | diagnose, s | findings |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--jit", action="store_true")
    parser.add_argument("--measure", choices=["plain", "observed"])
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options)))
        return
    from benchmarks.large_networks import NETWORKS

    print(_HEAD, flush=True)
    for network in options.network or NETWORKS:
        rounds: dict[str, list] = collections.defaultdict(list)
        for _ in range(options.rounds):
            for way in "plain", "observed":
                rounds[way].append(_in_a_process(network, way, options))
        print(row(network, rounds["plain"], rounds["observed"]), flush=True)


def _in_a_process(network: str, way: str, options) -> dict:
    """Measure in a new process with the same options."""
    command = [
        *(sys.executable, "-m", "benchmarks.large", network),
        *("--measure", way, "--optimizer", options.optimizer),
        *("--steps", str(options.steps), "--batch", str(options.batch)),
        *(["--jit"] if options.jit else []),
    ]
    output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(output.splitlines()[-1])


def row(network: str, plain: list[dict], observed: list[dict]) -> str:
    """Return the row of a network: plain → observed, from all rounds."""

    def median(rounds, name):
        return float(np.median([numbers[name] for numbers in rounds]))

    def both(name, digits):
        return " → ".join(
            f"{median(rounds, name):.{digits}f}" for rounds in (plain, observed)
        )

    ratio = median(observed, "recorded") / median(plain, "unrecorded")
    cells = [
        network,
        both("start", 1),
        both("built", 0),
        f"{ratio:.2f}",
        both("whole", 1),
        both("peak", 0),
        f"{median(observed, 'log'):.0f}",
        f"{median(observed, 'diagnose'):.2f}",
        ", ".join(observed[0]["findings"]) or "none",
    ]
    return f"| {' | '.join(cells)} |"


def measure(options) -> dict:
    """Train a network once, and return what it took."""
    import keras
    from tensorflow.python.client import pywrap_tf_session

    from benchmarks.large_networks import NETWORKS, data

    built, finish = [], pywrap_tf_session.TF_FinishOperation
    pywrap_tf_session.TF_FinishOperation = lambda *arguments: (
        built.append(1) or finish(*arguments)
    )
    keras.utils.set_random_seed(0)
    (network,) = options.network
    model = NETWORKS[network]()
    model.compile(
        options.optimizer,
        "sparse_categorical_crossentropy",
        jit_compile=options.jit,
    )
    # As `fit` does: a program that makes slots is traced twice.
    model.optimizer.build(model.trainable_variables)
    inputs, labels = data(network, options.batch * options.steps)
    before = len(built)
    clock = _clock(lambda: len(built) - before)
    with tempfile.TemporaryDirectory() as logdir:
        callbacks, observed = [clock], options.measure == "observed"
        if observed:
            callbacks.insert(0, _callback(logdir))
        model.fit(
            inputs,
            labels,
            batch_size=options.batch,
            verbose=0,
            callbacks=callbacks,
        )
        numbers = clock.numbers()
        return numbers | (_of_log(logdir) if observed else {})


def _callback(logdir: str):
    import gradscope

    # Nothing is dense, so that the second step is the first plain one.
    every = gradscope.schedule.Every(_EVERY, dense=0)
    return gradscope.Callback(logdir, every=every, findings=False)


def _clock(count_built):
    """Return a callback that takes the times of steps."""
    import keras

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.begin, self.ends, self.built = time.perf_counter(), [], None

        def on_train_batch_end(self, batch, logs=None):
            self.ends.append(time.perf_counter())
            if batch == 1:
                self.built = count_built()

        def numbers(self) -> dict:
            """Return seconds, operations and megabytes."""
            steps = np.diff([self.begin, *self.ends])
            later = np.arange(len(steps)) >= 2
            is_recorded = np.arange(len(steps)) % _EVERY == 0
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return {
                "start": self.ends[1] - self.begin,
                "built": self.built,
                "recorded": float(np.median(steps[later & is_recorded])),
                "unrecorded": float(np.median(steps[later & ~is_recorded])),
                "whole": self.ends[-1] - self.begin,
                "peak": peak / 1024,
            }

    return Clock()


def _of_log(logdir: str) -> dict:
    import gradscope

    start = time.perf_counter()
    findings = gradscope.diagnose(logdir)
    seconds = time.perf_counter() - start
    files = [p for p in pathlib.Path(logdir).rglob("*") if p.is_file()]
    return {
        "log": sum(path.stat().st_size for path in files) / 1000,
        "diagnose": seconds,
        "findings": [f.kind for f in findings if f.severity != "note"],
    }


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
