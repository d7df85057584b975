"""How much longer a step takes when it is observed.

    python -m benchmarks.overhead [--rounds 10] [--steps 100] [--quick]

It takes about a quarter of an hour, most of it for tracing the tutorials'
recipe in the network of 50 layers.

All variants are trained side by side in one process, round by round, so that
whatever else the machine does hits all of them alike. A round is 100 steps and
the writing of what they recorded. Each ratio is the median over the rounds of
a variant's time over the plain step's time in the same round.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

import gradscope
from benchmarks.networks import NETWORKS, batch, compiled
from gradscope.schedule import Every


@dataclasses.dataclass
class Training:
    """One model in training: `step` returns the loss, `finish` writes."""

    step: Callable
    finish: Callable = lambda: None


def fit(model, logdir, every=None, **options) -> Training:
    """`fit`, step by step; with the callback unless `every` is None."""
    data = tf.data.Dataset.from_tensors(batch(model)).repeat()
    iterator = iter(data)
    if every is None:
        model.make_train_function()
        return Training(lambda: model.train_function(iterator)["loss"])
    schedule = Every(every, dense=0)
    callback = gradscope.Callback(logdir, every=schedule, **options)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)

    def step():
        callback.on_train_batch_begin(0)
        loss = model.train_function(iterator)["loss"]
        callback.on_train_batch_end(0)
        return loss

    return Training(step, lambda: gradscope.flush(model.optimizer))


def compiled_fit(model, logdir, every=None) -> Training:
    """`fit` of a model that XLA compiles."""
    model.jit_compile = True
    return fit(model, logdir, every)


def fit_without_activations(model, logdir, every) -> Training:
    """`fit` with nothing of what lies between the weights."""
    return fit(model, logdir, every, activations=False)


def loop(model, logdir, every=None) -> Training:
    """A `tf.function` of one's own; wrapped unless `every` is None."""
    step = _step(model)
    if every is None:
        return Training(step)
    gradscope.wrap(model.optimizer, logdir, every=Every(every, dense=0))
    return Training(step, lambda: gradscope.flush(model.optimizer))


def recipe(model, logdir, every) -> Training:
    """What tutorials do: two `tf.summary.histogram` for each variable."""
    writer = tf.summary.create_file_writer(logdir)

    def summarize(gradients):
        step = tf.cast(model.optimizer.iterations.value, tf.int64)
        due = tf.equal(step % every, 0)
        with writer.as_default(step), tf.summary.record_if(due):
            pairs = zip(gradients, model.trainable_variables, strict=True)
            for gradient, variable in pairs:
                tf.summary.histogram(variable.path, variable.value)
                tf.summary.histogram(f"{variable.path}_grad", gradient)

    return Training(_step(model, summarize), writer.flush)


def _step(model, look=lambda gradients: None):
    inputs, labels = map(tf.constant, batch(model))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = model.loss(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        look(gradients)
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


#: For each plain training, the trainings that are compared with it.
VARIANTS = {
    ("plain `fit`", fit, None): [
        ("`gradscope.Callback`, every step", fit, 1),
        ("`gradscope.Callback`, every 10", fit, 10),
        ("`gradscope.Callback`, every 100", fit, 100),
        (
            "every step, `activations=False`",
            fit_without_activations,
            1,
        ),
        ("every 10, `activations=False`", fit_without_activations, 10),
    ],
    ("plain `fit`, `jit_compile=True`", compiled_fit, None): [
        ("`gradscope.Callback` with XLA, every step", compiled_fit, 1),
        ("`gradscope.Callback` with XLA, every 10", compiled_fit, 10),
    ],
    ("plain loop in `tf.function`", loop, None): [
        ("`gradscope.wrap`, every step", loop, 1),
        ("`gradscope.wrap`, every 10", loop, 10),
        ("`gradscope.wrap`, every 100", loop, 100),
        ("`tf.summary.histogram`, every step", recipe, 1),
        ("`tf.summary.histogram`, every 10", recipe, 10),
    ],
}
ALL = [v for plain, others in VARIANTS.items() for v in (plain, *others)]


def measure(network, rounds: int, steps: int, logdir: str):
    """Returns for each variant the first step's seconds, and `[rounds]`
    seconds of a later step."""
    timed(train(ALL[0], network, logdir), 1)  # TensorFlow's own first time
    trainings, first, later = {}, {}, {name: [] for name, *_ in ALL}
    for variant in ALL:
        name = variant[0]
        trainings[name] = train(variant, network, logdir)
        first[name] = timed(trainings[name], 1)
        # Up to here gradscope has seen the step that it observes; the
        # callback's other program is traced by the next one.
        first[name] += timed(trainings[name], 1)
    for _ in range(rounds):
        for name, training in trainings.items():
            later[name].append(timed(training, steps) / steps)
    return first, {name: np.array(times) for name, times in later.items()}


def train(variant, network, logdir) -> Training:
    """Starts one variant with a model and a directory of its own."""
    _, start, every = variant
    directory = tempfile.mkdtemp(dir=logdir)
    return start(compiled(network), os.path.join(directory, "run"), every)


def timed(training: Training, steps: int) -> float:
    """Returns the seconds of some steps and of writing what they recorded."""
    start = time.perf_counter()
    for _ in range(steps):
        loss = training.step()
    float(loss)
    training.finish()
    return time.perf_counter() - start


def table(title: str, times: dict, unit: str, scale: float) -> str:
    """Returns a markdown table of ratios, a column for each network.

    Args:
        title: Heads the first column.
        times: For each network and each variant its seconds, any shape.
        unit, scale: Of the plain training's absolute time.
    """
    lines = [[title, *times], ["---"] + ["--:"] * len(times)]
    for (plain, *_), others in VARIANTS.items():
        absolute = [np.median(t[plain]) * scale for t in times.values()]
        lines.append([plain, *(f"{value:.2f} {unit}" for value in absolute)])
        for name, *_ in others:
            ratios = [np.median(t[name] / t[plain]) for t in times.values()]
            lines.append([name, *(f"{ratio:.2f}" for ratio in ratios)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100, help="of a round")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="2 rounds of 10 steps of the first network: a trial",
    )
    options = parser.parse_args()
    networks = list(NETWORKS.items())
    if options.quick:
        options.rounds, options.steps, networks = 2, 10, networks[:1]
    tf.get_logger().setLevel("ERROR")  # many tracings are the point here
    first, later = {}, {}
    with tempfile.TemporaryDirectory() as logdir:
        for name, network in networks:
            first[name], later[name] = measure(
                network, options.rounds, options.steps, logdir
            )
    print(table("a step", later, "ms", 1e3))
    print()
    print(table("the first two steps, with tracing", first, "s", 1))


if __name__ == "__main__":
    main()
