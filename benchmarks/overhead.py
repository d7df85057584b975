"""How much longer a step takes when it is observed.

    python -m benchmarks.overhead [--rounds 10] [--only TEXT] [--quick]

All variants are trained side by side in one process, round by round, so that
whatever else the machine does hits all of them alike. A round is as many steps
as the plain program makes in half a second, 20 at least, and the writing of
what they recorded. Each ratio is the median over the rounds of a variant's time
over the plain step's time in the same round. On two cores `--modes fit` took 13
minutes and `--modes xla` 22; `--only TEXT` takes some of the networks.
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

#: Seconds of a round of the plain program.
_ROUND = 0.5


@dataclasses.dataclass
class Training:
    """One model in training: `step` returns the loss, `finish` writes."""

    step: Callable
    finish: Callable = lambda: None


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
    """A way to train.

    Attributes:
        name: In the table.
        start: Returns a `Training` of a model, given a log directory.
        options: Of `start`.
        jit: Whether XLA compiles the step.
    """

    name: str
    start: Callable
    options: dict = dataclasses.field(default_factory=dict)
    jit: bool = False


def fit(model, logdir, every=None, **options) -> Training:
    """`fit`, step by step; with the callback unless `every` is None."""
    data = tf.data.Dataset.from_tensors(batch(model)).repeat()
    iterator = iter(data)
    if every is None:
        model.make_train_function()
        return Training(lambda: model.train_function(iterator)["loss"])
    callback = gradscope.Callback(
        logdir, every=Every(every, dense=0), probe=False, **options
    )
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)

    def step():
        callback.on_train_batch_begin(0)
        loss = model.train_function(iterator)["loss"]
        callback.on_train_batch_end(0)
        return loss

    return Training(step, lambda: gradscope.flush(model.optimizer))


def loop(model, logdir, every=None) -> Training:
    """A `tf.function` of one's own; wrapped unless `every` is None."""
    step = _step(model)
    if every is None:
        return Training(step)
    schedule = Every(every, dense=0)
    gradscope.wrap(model.optimizer, logdir, every=schedule, model=model)
    return Training(step, lambda: gradscope.flush(model.optimizer))


def recipe(model, logdir) -> Training:
    """What tutorials do: two `tf.summary.histogram` for each variable."""
    writer = tf.summary.create_file_writer(logdir)

    def summarize(gradients):
        step = tf.cast(model.optimizer.iterations.value, tf.int64)
        with writer.as_default(step):
            pairs = zip(gradients, model.trainable_variables, strict=True)
            for gradient, variable in pairs:
                tf.summary.histogram(variable.path, variable.value)
                gradient = tf.convert_to_tensor(gradient)
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


_NEVER = 10**9
_MODES = ("fit", "xla", "loop")
_FULL = {"every": 1, "histograms": 1}

#: For each plain training, the trainings that are compared with it.
VARIANTS = {
    Variant("plain `fit`", fit): [
        Variant("`Callback`, every 10 (the default)", fit, {"every": 10}),
        Variant("`Callback`, every step", fit, {"every": 1}),
        Variant("`Callback`, every step, histograms too", fit, _FULL),
        Variant("`Callback`, no step recorded", fit, {"every": _NEVER}),
    ],
    Variant("plain `fit`, `jit_compile=True`", fit, {}, True): [
        Variant("XLA, every 10 (the default)", fit, {"every": 10}, True),
        Variant("XLA, every step", fit, {"every": 1}, True),
        Variant("XLA, every step, histograms too", fit, _FULL, True),
        Variant("XLA, no step recorded", fit, {"every": _NEVER}, True),
    ],
    Variant("plain loop in `tf.function`", loop): [
        Variant("`wrap`, every 10 (the default)", loop, {"every": 10}),
        Variant("`wrap`, every step", loop, {"every": 1}),
        Variant("two `tf.summary.histogram` a variable, every step", recipe),
    ],
}


def measure(network, plain, others, rounds: int, logdir: str):
    """Returns for each variant the first step's seconds, and `[rounds]`
    seconds of a later step."""
    timed(train(plain, network, logdir), 1)  # TensorFlow's own first time
    trainings, first = {}, {}
    for variant in [plain, *others]:
        trainings[variant] = train(variant, network, logdir)
        first[variant] = timed(trainings[variant], 1)
        # Up to here gradscope has seen the step that it observes; the
        # callback's other program is traced by the next one.
        first[variant] += timed(trainings[variant], 1)
    steps = max(20, round(_ROUND / (timed(trainings[plain], 20) / 20)))
    later = {variant: [] for variant in trainings}
    for _ in range(rounds):
        for variant, training in trainings.items():
            later[variant].append(timed(training, steps) / steps)
    return first, {name: np.array(times) for name, times in later.items()}


def train(variant: Variant, network, logdir: str) -> Training:
    """Start one variant with a model and a directory of its own."""
    directory = os.path.join(tempfile.mkdtemp(dir=logdir), "run")
    model = compiled(network, jit_compile=variant.jit)
    return variant.start(model, directory, **variant.options)


def timed(training: Training, steps: int) -> float:
    """Return the seconds of some steps and of writing what they recorded."""
    start = time.perf_counter()
    for _ in range(steps):
        loss = training.step()
    # A step returns before the device has made it; to read its loss is to wait.
    float(loss)
    training.finish()
    return time.perf_counter() - start


def table(title: str, times: dict, unit: str, scale: float) -> str:
    """Return a markdown table of ratios, a column for each network.

    Args:
        title: Heads the first column.
        times: For each network and each variant its seconds, any shape.
        unit, scale: Of the plain training's absolute time.
    """
    lines = [[title, *times], ["---"] + ["--:"] * len(times)]
    for plain, others in VARIANTS.items():
        if not all(plain in t for t in times.values()):
            continue
        absolute = [np.median(t[plain]) * scale for t in times.values()]
        lines.append(
            [plain.name, *(f"{value:.2f} {unit}" for value in absolute)]
        )
        for one in others:
            ratios = [np.median(t[one] / t[plain]) for t in times.values()]
            lines.append([one.name, *(f"{ratio:.2f}" for ratio in ratios)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bandwidth() -> float:
    """Return the bytes a second at which TensorFlow reads memory."""
    values = tf.ones([64 * 2**20])
    read = tf.function(lambda: tf.reduce_max(values))
    float(read())
    times = []
    for _ in range(5):
        start = time.perf_counter()
        float(read())
        times.append(time.perf_counter() - start)
    # The fastest read is the one that nothing else disturbed.
    return 4 * 64 * 2**20 / min(times)


def limits(networks: dict, later: dict) -> str:
    """Return a table of what every step must cost at least: to read the
    gradient, and the weight before and after, once from memory."""
    speed = bandwidth()
    plain = next(iter(VARIANTS))
    title = f"bytes that must be read, at {speed / 1e9:.0f} GB/s"
    lines = [[title, "MB", "ms", "ratio"], ["---"] + ["--:"] * 3]
    for name, network in networks.items():
        read = 3 * 4 * sum(int(np.prod(v.shape)) for v in network().variables)
        step = np.median(later[name][plain])
        cells = read / 1e6, read / speed * 1e3, 1 + read / speed / step
        lines.append([name, *(f"{value:.2f}" for value in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="networks with this name"
    )
    parser.add_argument(
        "--modes", nargs="+", choices=_MODES, default=_MODES, metavar="MODE"
    )
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of the first network"
    )
    options = parser.parse_args()
    networks = {n: f for n, f in NETWORKS.items() if options.only in n}
    if options.quick:
        options.rounds, networks = 2, dict(list(networks.items())[:1])
    tf.get_logger().setLevel("ERROR")  # many tracings are the point here
    first, later = ({name: {} for name in networks} for _ in range(2))
    with tempfile.TemporaryDirectory() as logdir:
        for mode, (plain, others) in zip(_MODES, VARIANTS.items(), strict=True):
            if mode not in options.modes:
                continue
            for name, network in networks.items():
                found = measure(network, plain, others, options.rounds, logdir)
                first[name] |= found[0]
                later[name] |= found[1]
    print(table("a step", later, "ms", 1e3))
    print()
    print(table("the first two steps, with tracing", first, "s", 1))
    if "fit" in options.modes:
        print()
        print(limits(networks, later))


if __name__ == "__main__":
    main()
