"""Whether large networks keep their bits while they are observed.

    python -m benchmarks.bits [NETWORK ...] [--how callback wrap]
        [--batch 16] [--steps 3] [--in-order]

Each is trained for some steps without gradscope, twice, and then observed: the
first step and every second one, with histograms and activations. The table has
how many sums TensorFlow rewrites in the plain program (it adds up their terms
in any order then, see docs/reliability.md), whether plain training repeats its
bits, and how many of all weights are other ones when it is observed. Where the
plain program has no rewritten sum, that must be none. `--in-order` is after
`gradscope.sums_in_order()`. A network takes one to three minutes and 2 to 6 GB.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import keras
from tensorflow.python.eager import context

import gradscope
from benchmarks.large_networks import NETWORKS, data
from gradscope.runtime import rewritten_sums

HOWS = ("callback", "wrap", "wrap-model")


def train(network: str, how: str, batch: int, steps: int) -> list:
    """Return the weights after some steps."""
    keras.backend.clear_session(free_memory=True)
    keras.utils.set_random_seed(0)
    model = NETWORKS[network]()
    optimizer = keras.optimizers.Adam(1e-3)
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
    # XLA adds up in the order of the terms; here it is grappler that counts.
    model.compile(
        optimizer, "sparse_categorical_crossentropy", jit_compile=False
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


def count_rewritten(network: str, batch: int, steps: int) -> tuple:
    """Return the weights after a plain training, and how many sums of its
    program are rewritten."""
    context.enable_graph_collection()
    weights = train(network, "plain", batch, steps)
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
    parser.add_argument("--in-order", action="store_true")
    arguments = parser.parse_args()
    if arguments.in_order:
        gradscope.sums_in_order()
    size = arguments.batch, arguments.steps
    print(
        "network         batch  rewritten  plain again  observed by   weights"
        "  differ  seconds"
    )
    for network in arguments.network or NETWORKS:
        plain, rewritten = count_rewritten(network, *size)
        again = differing(plain, train(network, "plain", *size))
        for how in arguments.how:
            start = time.perf_counter()
            count = differing(plain, train(network, how, *size))
            seconds = time.perf_counter() - start
            print(
                f"{network:15} {arguments.batch:5} {rewritten:10} "
                f"{'differs' if again else 'the same':>12}  {how:12} "
                f"{len(plain):8} {count:7} {seconds:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
