"""Trains one case in a process of its own:

python -m benchmarks.diagnosis.train SET TITLE LOGDIR [--broken]
"""

from __future__ import annotations

import argparse
import contextlib
import os


def main() -> None:
    """Train the case that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("set")
    parser.add_argument("title")
    parser.add_argument("logdir")
    parser.add_argument("--broken", action="store_true")
    train(**vars(parser.parse_args()))


def train(set: str, title: str, logdir: str, broken: bool) -> None:
    """Train a case; errors of the training itself are a part of some."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    import gradscope
    from benchmarks.diagnosis import case

    (chosen,) = [c for c in case.load(set) if c.title == title]
    keras.utils.set_random_seed(chosen.options.get("seed", 0))
    training = case.Training(logdir, broken, chosen.options)
    chosen.train(training)
    for optimizer in training.wrapped:
        with contextlib.suppress(ValueError):
            gradscope.unwrap(optimizer)


if __name__ == "__main__":
    main()
