"""python -m benchmarks.diagnosis [--set NAME ...] [--only TEXT] [-v]

Trains every network of a set, broken and repaired, and prints how often its
findings are right. With --records DIR the runs stay there, and those that are
there are not trained again.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import time

from benchmarks.diagnosis import case, score

_LOST_AFTER = 300  # seconds, many times what the slowest network takes


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", nargs="+", default=case.SETS)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--records", metavar="DIR")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for name in options.set:
            records = os.path.join(options.records or directory, name)
            results = run(name, records, options)
            wrong = [r for r in results if not r.is_good]
            for result in results if options.verbose else wrong:
                print(result.line())
            print(f"\n### {name} ({time.strftime('%Y-%m-%d')})\n")
            print(score.table(results), flush=True)


def run(name: str, records: str, options) -> list[score.Result]:
    """Train and diagnose what a set has."""
    todo = [
        (one, broken)
        for one in case.load(name)
        if options.only in one.title
        for broken in ((True, False) if one.faulty else (False,))
    ]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        trained = pool.map(lambda pair: _train(name, records, *pair), todo)
        return [
            _diagnose(logdir, one, broken)
            for logdir, (one, broken) in zip(trained, todo, strict=True)
        ]


def _train(name: str, records: str, one, broken: bool) -> str:
    logdir = os.path.join(records, one.title, "broken" if broken else "good")
    if not os.path.isdir(logdir):
        # A process of its own has no names of layers, programs or seeds of
        # another training.
        command = [sys.executable, "-m", "benchmarks.diagnosis.train"]
        command += [name, one.title, logdir] + ["--broken"] * broken
        with open(os.devnull) as nothing:
            try:
                done = subprocess.run(
                    command,
                    stdin=nothing,
                    capture_output=True,
                    timeout=_LOST_AFTER,
                )
            except subprocess.TimeoutExpired:
                print(f"{one.title}: not done in {_LOST_AFTER} s")
                return logdir
        if done.returncode:
            print(f"{one.title}:\n{done.stderr.decode()[-800:]}")
    return logdir


def _diagnose(logdir: str, one, broken: bool) -> score.Result:
    import gradscope

    start = time.perf_counter()
    try:
        found = [f.to_dict() for f in gradscope.diagnose(logdir)]
    except FileNotFoundError:
        found = None
    seconds = time.perf_counter() - start
    return score.Result(one, broken, found, seconds)


if __name__ == "__main__":
    main()
