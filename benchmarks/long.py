"""python -m benchmarks.long [--steps 200000] [--every 1]

Trains for long, and prints memory, threads and file descriptors at the start,
in the middle and at the end: none of them may grow.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import threading

_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as logdir:
        rows = trained(logdir, options.steps, options.every)
    print("| step | memory, MB | threads | Python's | descriptors |")
    print("|---|---|---|---|---|")
    for step, *numbers in rows:
        print(f"| {step} | " + " | ".join(map(str, numbers)) + " |")


def trained(logdir: str, steps: int, every: int) -> list[tuple]:
    """Train a small network in a loop with `tf.function`.

    Returns:
        Step, resident memory in MB, threads, those of Python, and open file
        descriptors: after a tenth of the steps, when all is built, and then
        five times more.
    """
    import tensorflow as tf

    import gradscope

    keras = tf.keras
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input([16]),
            keras.layers.Dense(32, "relu"),
            keras.layers.Dense(32, "relu"),
            keras.layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.Adam(0.001)
    gradscope.wrap(optimizer, logdir, every=every, model=model)
    optimizer.build(model.trainable_variables)
    x = tf.random.normal([64, 16])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - x[:, :1]) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    first = steps // 10
    looks = [first + n * (steps - first) // 5 for n in range(6)]
    rows = []
    for n in range(1, steps + 1):
        step()
        if n in looks:
            gradscope.flush()
            rows.append((n, *held()))
    gradscope.unwrap(optimizer)
    return rows


def held() -> tuple[int, int, int, int]:
    """Return resident memory in MB, threads, Python's threads, and file
    descriptors of this process."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    threads = len(os.listdir("/proc/self/task"))
    descriptors = len(os.listdir("/proc/self/fd"))
    memory = round(pages * _PAGE / 2**20)
    return memory, threads, threading.active_count(), descriptors


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
