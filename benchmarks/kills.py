"""python -m benchmarks.kills [--count N] [--how kill|terminate|exit]

Ends trainings at random moments, with SIGKILL, with SIGTERM or by an
`os._exit` of their own, and looks at what they leave: whether the file can be
read, up to the last drain, and how many steps are missing. Children are forked
from a process that has TensorFlow, which takes 3 s each; a new interpreter
would take 10.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time

#: `os._exit` runs in the child, as a handler of SIGUSR1.
_SIGNALS = {
    "kill": signal.SIGKILL,
    "terminate": signal.SIGTERM,
    "exit": signal.SIGUSR1,
}

#: Steps that were made, and steps that were handed to the operating system.
_NUMBERS = struct.Struct("qq")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--how", choices=_SIGNALS, default="kill")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    lost = [ended(seed, options.how) for seed in seeds]
    print(f"{options.how}: {len(lost)} trainings ended at random moments")
    broken = [one for one in lost if one[0] is None]
    print(f"could not be read: {len(broken)}")
    lost = [one for one in lost if one[0] is not None]
    print(f"lost what was drained: {sum(r < d for _, d, r in lost)}")
    if not lost:
        return
    missing = sorted(made - read for made, _, read in lost)
    print(f"steps made: at most {max(made for made, *_ in lost)}")
    print(f"steps missing: median {missing[len(missing) // 2]}, ", end="")
    print(f"at most {missing[-1]} (a ring has 4096)")


def ended(seed: int, how: str = "kill") -> tuple[int | None, int, int]:
    """Train, end the training, and read its record.

    Returns:
        The number of steps that were made, of those that were drained, and of
        those that can be read, from the first on; None first if reading
        failed.
    """
    # Memory that the child shares, and that stays when it is killed.
    numbers = mmap.mmap(-1, _NUMBERS.size)
    with tempfile.TemporaryDirectory() as logdir:
        child = os.fork()
        if not child:
            try:
                _train(logdir, numbers)
            finally:
                os._exit(1)
        # Before the first step there is nothing to lose.
        while not _NUMBERS.unpack(numbers[:])[0]:
            time.sleep(0.01)
        # Drains are 2 s apart: over some of them, at any moment of one.
        time.sleep(random.Random(seed).uniform(0, 4))
        os.kill(child, _SIGNALS[how])
        os.waitpid(child, 0)
        made, drained = _NUMBERS.unpack(numbers[:])
        return _read(logdir, made, drained)


def _read(logdir: str, made: int, drained: int):
    import gradscope

    try:
        steps = gradscope.read(logdir).steps.tolist()
    except FileNotFoundError:  # nothing was drained yet
        return made, drained, 0
    except Exception as error:
        print(f"could not be read: {error!r}", file=sys.stderr)
        return None, drained, 0
    if steps != list(range(len(steps))):
        return None, drained, 0
    return made, drained, len(steps)


def _train(logdir: str, numbers) -> None:
    """Train until it is ended, and note how far it came."""
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))
    import keras
    import numpy as np

    import gradscope
    from gradscope.recording import event_writer

    class Progress(keras.callbacks.Callback):
        made = 0

        def on_train_batch_end(self, batch, logs=None):
            self.made += 1
            numbers[:8] = struct.pack("q", self.made)

    flush = event_writer.EventWriter.flush
    write = event_writer.EventWriter.write
    written = []

    def noted_write(self, step, *arguments):
        write(self, step, *arguments)
        written.append(step)

    def noted_flush(self, **options):
        is_safe = flush(self, **options)
        numbers[8:] = struct.pack("q", max(written, default=-1) + 1)
        return is_safe

    event_writer.EventWriter.write = noted_write
    event_writer.EventWriter.flush = noted_flush
    x = np.random.default_rng(0).normal(size=[1600, 8]).astype("float32")
    model = keras.Sequential(
        [
            keras.Input([8]),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.SGD(0.01)
    model.compile(gradscope.wrap(optimizer, logdir, every=1), "mse")
    options = {"batch_size": 16, "epochs": 10**6, "verbose": 0}
    model.fit(x, x[:, :1], callbacks=[Progress()], **options)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow  # noqa: F401  before the first fork

    main()
