"""Whether large networks keep their bits while they are observed.

    python -m benchmarks.bits [NETWORK ...] [--how callback wrap]
        [--optimizer adam sgd] [--batch 16] [--steps 3] [--in-order] [--jit]

Each is trained for some steps without gradscope, twice, and then observed: the
first step and every second one, with histograms and activations. The table has
how many sums TensorFlow rewrites in the plain program (it adds up their terms
in any order then, see docs/reliability.md), whether plain training repeats its
bits, and how many of all weights are other ones when it is observed. Where the
plain program has no rewritten sum, that must be none. `--in-order` is after
`gradscope.sums_in_order()`. With `--jit` XLA compiles the steps: there no sum
is rewritten. A network takes one to three minutes and 2 to 6 GB.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from typing import NamedTuple

import keras
from tensorflow.python.eager import context

import gradscope
from benchmarks.large_networks import NETWORKS, data
from gradscope.runtime import rewritten_sums

HOWS = ("callback", "wrap", "wrap-model")
OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "sgd": lambda: keras.optimizers.SGD(0.1),
}


class Training(NamedTuple):
    """How a network is trained."""

    optimizer: str
    batch: int
    steps: int
    jit: bool


def train(network: str, how: str, training: Training) -> list:
    """Return the weights after some steps."""
    batch, steps = training.batch, training.steps
    keras.backend.clear_session(free_memory=True)
    keras.utils.set_random_seed(0)
    model = NETWORKS[network]()
    optimizer = OPTIMIZERS[training.optimizer]()
    logdir = tempfile.mkdtemp()
    options = {
        "every": gradscope.schedule.Every(2, dense=0),
        "histograms": gradscope.schedule.Every(2, dense=0),
    }
    callbacks = []
    if how == "callback":
        callbacks = [gradscope.Callback(logdir, findings=False, **options)]
    elif how != "plain":
        watched = model if how == "wrap-model" else None
        gradscope.wrap(optimizer, logdir, model=watched, **options)
    # Without `--jit` it is grappler that counts: XLA adds up in the order of
    # the terms.
    model.compile(
        optimizer, "sparse_categorical_crossentropy", jit_compile=training.jit
    )
    model.fit(
        *data(network, batch * steps),
        batch_size=batch,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    )
    if how.startswith("wrap"):
        gradscope.unwrap(optimizer)
    if how != "plain":
        # If nothing was recorded, equal bits would prove nothing.
        recorded = gradscope.read(logdir).steps.tolist()
        assert recorded == list(range(0, steps, 2)), recorded
    return [weight.numpy() for weight in model.weights]


def count_rewritten(network: str, training: Training) -> tuple:
    """Return the weights after a plain training, and how many sums of its
    program are rewritten."""
    context.enable_graph_collection()
    weights = train(network, "plain", training)
    collected = context.export_run_metadata()
    context.disable_graph_collection()
    return weights, len(rewritten_sums._rewritten(collected))


def differing(one: list, other: list) -> int:
    """Return how many weights are not the same bit for bit."""
    pairs = zip(one, other, strict=True)
    return sum(a.tobytes() != b.tobytes() for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", nargs="*", help=", ".join(NETWORKS))
    parser.add_argument("--how", nargs="*", default=HOWS, choices=HOWS)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument(
        "--optimizer", nargs="*", default=["adam"], choices=OPTIMIZERS
    )
    parser.add_argument("--in-order", action="store_true")
    parser.add_argument("--jit", action="store_true")
    arguments = parser.parse_args()
    if arguments.in_order:
        gradscope.sums_in_order()
    print(
        "network         optimizer  batch  rewritten  plain again  observed by "
        "  weights  differ  seconds"
    )
    for network in arguments.network or NETWORKS:
        for optimizer in arguments.optimizer:
            training = Training(
                optimizer, arguments.batch, arguments.steps, arguments.jit
            )
            compare(network, arguments.how, training)


def compare(network: str, hows: list[str], training: Training) -> None:
    """Print a row for each way of observing."""
    plain, rewritten = count_rewritten(network, training)
    again = differing(plain, train(network, "plain", training))
    for how in hows:
        start = time.perf_counter()
        count = differing(plain, train(network, how, training))
        seconds = time.perf_counter() - start
        print(
            f"{network:15} {training.optimizer:9} {training.batch:6} "
            f"{rewritten:10} {'differs' if again else 'the same':>12}  "
            f"{how:12} {len(plain):8} {count:7} {seconds:8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
