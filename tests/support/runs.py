"""Synthetic runs in real event files, for the tests of the plugin.

Each function takes the log directory first and writes one run below it, under
the name that TensorBoard gives it: `<name>/gradscope`.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from gradscope.format import histogram_buckets, json_tensor, schema
from gradscope.recording import event_bytes, event_writer, unit_history

COLUMNS = schema.VARIABLE_COLUMNS
WALL_TIME = 1.7e9


def network(layers: int, width: int = 32, name: str = "dense_{}"):
    """Returns the schema of a multilayer perceptron."""
    variables = []
    for number in range(1, layers + 1):
        layer = name.format(number)
        for kind, shape in (("kernel", (width, width)), ("bias", (width,))):
            variables.append(
                schema.Variable(f"{layer}/{kind}", layer, shape, "float32")
            )
    return schema.Schema(tuple(variables), {"name": "SGD"})


def statistics(gradients: np.ndarray, weights: float = 4.0) -> np.ndarray:
    """Returns float32 `[T, V, columns]` that fits the gradients' norms.

    Args:
        gradients: Gradient norms [T, V].
        weights: Norm of every weight.
    """
    updates = 0.01 * gradients
    numbers = {
        "gradient_norm": gradients,
        "gradient_rms": gradients / 32,
        "gradient_max": gradients / 8,
        "gradient_zero_fraction": (gradients == 0).astype(float),
        "gradient_size": np.full_like(gradients, 1024),
        "clipped_gradient_norm": np.full_like(gradients, np.nan),
        "gradient_nonfinite": (~np.isfinite(gradients)).astype(float),
        "gradient_unit_spread": np.full_like(gradients, 0.9),
        "weight_norm": np.full_like(gradients, weights),
        "weight_rms": np.full_like(gradients, weights / 32),
        "update_norm": updates,
        "gradient_to_weight_ratio": gradients / weights,
        "update_to_weight_ratio": updates / weights,
        "gradient_missing": np.zeros_like(gradients),
    }
    nothing = np.full_like(gradients, np.nan)
    columns = [numbers.get(name, nothing) for name in COLUMNS]
    return np.stack(columns, axis=2).astype(np.float32)


def write(
    logdir,
    name,
    described,
    steps,
    variables,
    *,
    dropped=0,
    whole=(),
    panels=None,
    begun=WALL_TIME,
    **more,
):
    """Writes one run.

    Args:
        logdir: TensorBoard's log directory.
        name: Name of the run, without `/gradscope`.
        described: Its schema.
        steps: T steps.
        variables: float32 [T, V, columns].
        dropped: How many records were lost, at every step.
        whole: Numbers of the step as a whole, `{column: [T]}`.
        panels: Returns further values of a step, if any.
        begun: Wall time of step 0; that of step 1 is a second later.
        **more: Of other families float32 [T, rows, columns], or a dictionary
            of steps to [rows, columns] where only some steps have them.
    """
    file = event_writer.EventWriter(
        os.path.join(logdir, name, schema.DIRECTORY)
    )
    for index, (step, matrix) in enumerate(zip(steps, variables, strict=True)):
        run = {"recorded": index + 1, "dropped": dropped}
        run |= {name: values[index] for name, values in dict(whole).items()}
        run = [[run.get(name, np.nan) for name in schema.RUN_COLUMNS]]
        values = [
            event_writer.family_value("variables", described.id, matrix),
            event_writer.family_value("run", described.id, run),
        ]
        for family, numbers in more.items():
            rare = isinstance(numbers, dict)
            found = numbers.get(int(step)) if rare else numbers[index]
            if found is not None:
                values.append(
                    event_writer.family_value(family, described.id, found)
                )
        if index == 0:
            values.append(event_writer.schema_value(described))
        values += panels(int(step)) if panels else []
        if step <= file.last_step:
            file.restart(int(step))
        file.write(int(step), begun + int(step), values)
    file.close()


def dense_then_sparse(steps: int) -> np.ndarray:
    """Returns the first 50 steps, then every tenth: gradscope's default."""
    return np.array([s for s in range(steps) if s < 50 or s % 10 == 0])


def noisy(steps, variables, levels, seed=0):
    """Returns gradient norms [T, V] around one level per variable."""
    noise = np.random.default_rng(seed).normal(size=(len(steps), variables))
    return np.asarray(levels) * np.exp(0.3 * noise)


def healthy(logdir, name="healthy", layers=12, steps=400):
    """A run whose layers all receive about the same gradient."""
    described, steps = network(layers), dense_then_sparse(steps)
    gradients = noisy(steps, 2 * layers, 0.5)
    write(logdir, name, described, steps, statistics(gradients))


def vanishing(logdir, name="vanishing", layers=12, steps=400):
    """A run whose gradient loses two thirds of itself in every layer."""
    described, steps = network(layers), dense_then_sparse(steps)
    levels = np.repeat(10.0 ** -np.linspace(7.5, 0.5, layers), 2)
    gradients = noisy(steps, 2 * layers, levels)
    write(logdir, name, described, steps, statistics(gradients))


def abnormal(logdir, name="abnormal", steps=120):
    """A run of six layers with every kind of abnormal cell.

    From step 30 dense_1 gets zeros, from 60 dense_2 has no gradient, at 80
    dense_3 is infinite, from 90 all of dense_4 to dense_6 is NaN.
    """
    described, steps = network(6), np.arange(steps)
    gradients = noisy(steps, 12, 0.1)
    gradients[30:, 0:2] = 0
    gradients[80, 4:6] = np.inf
    gradients[90:, 6:12] = np.nan
    numbers = statistics(gradients)
    absent = [n for n, c in enumerate(COLUMNS) if "gradient_" in c]
    numbers[60:, 2:4, absent] = np.nan
    numbers[60:, 2:4, COLUMNS.index("gradient_missing")] = 1
    write(logdir, name, described, steps, numbers, dropped=3)


def deep(logdir, name="deep", layers=200, steps=5000):
    """A run of 200 layers whose gradient explodes around the middle."""
    described = network(layers, name="block_{}/residual/dense")
    steps = np.arange(steps)
    bump = 6 * np.exp(-(((np.arange(layers) - 100) / 20) ** 2))
    gradients = noisy(steps, 2 * layers, np.repeat(10.0 ** (bump - 5), 2))
    write(logdir, name, described, steps, statistics(gradients))


#: Units of the run `layered` that die at step 150, and the one that revives.
DYING, REVIVING = (5, 18, 40, 41, 42, 63), 17


def layered(logdir, name="layered", steps=400):
    """A run with all that a record can hold, of batches of 32 examples.

    Of the 64 units of dense_1 seven die at step 150, one of them lives again
    from step 260; unit 30 is only rarely on. dense_2 is wide, and from step
    200 its units 0 to 7 are dead. dense_3 has units that cannot die. Dropout
    drops .7, the moving statistics of batch norm lag behind.
    """
    described, families = _layered(steps)
    gradients = noisy(np.arange(steps), 6, 0.5)
    numbers = statistics(gradients)
    write(logdir, name, described, np.arange(steps), numbers, **families)


def _layered(steps):
    """Returns the schema of `layered` and its families besides variables."""
    described = dataclasses.replace(
        network(3),
        activations=(
            schema.Activation("dense_1/relu", "relu", 64),
            schema.Activation("dense_2/relu", "relu", 256),
            schema.Activation("dense_3/leaky_relu", "leaky_relu", 16),
        ),
        states=(
            schema.State("batch_normalization", "batch_norm"),
            schema.State("dropout", "dropout"),
        ),
        data=(schema.Data("input"), schema.Data("target")),
    )
    shares, maps = _units(described, steps)
    steps = np.arange(steps)
    return described, {
        "activations": shares,
        "state": _states(steps),
        "data": _data(steps),
        "units": maps,
    }


def _units(described, steps):
    """Returns the families `activations` and `units` of `layered`."""
    random = np.random.default_rng(0)
    chances = random.beta(2, 3, 64 + 256 + 16)
    chances[30] = 0.03
    account = unit_history.UnitHistory(described.activations, window=256)
    columns = len(schema.ACTIVATION_COLUMNS)
    shares, maps = np.full([steps, 3, columns], np.nan, np.float32), {}
    for step in range(steps):
        chances_now = chances.copy()
        if step >= 150:
            chances_now[list(DYING)] = 0
        if 150 <= step < 260:
            chances_now[REVIVING] = 0
        if step >= 200:
            chances_now[64:72] = 0
        activity = random.binomial(32, chances_now) / 32
        counted = account.count(step, activity, np.full(3, 32.0))
        shares[step, :, :2] = counted
        found = account.map(step)
        if found is not None:
            maps[step] = found
    return shares, maps


def _states(steps):
    """Returns the family `state` of `layered`: batch norm, then dropout."""
    noise = np.random.default_rng(1).normal(size=len(steps))
    lag = np.exp(-steps / 200)
    nothing = np.full(len(steps), np.nan)
    batch_norm = {
        "mean_distance": 1.4 * lag * np.exp(0.1 * noise),
        "variance_distance": 2.5 * lag,
        "state_movement": 1.5 * (1 - lag),
        "training_mode": np.ones(len(steps)),
    }
    dropout = {
        "dropout_rate": np.full(len(steps), 0.7),
        "dropped_fraction": 0.7 + 0.01 * noise,
    }
    layers = [
        [layer.get(name, nothing) for name in schema.STATE_COLUMNS]
        for layer in (batch_norm, dropout)
    ]
    return np.array(layers).transpose(2, 0, 1)


def _data(steps):
    """Returns the family `data` of `layered`: pixels up to 255, and classes.

    One batch, that of step 120, has a NaN in a thousand inputs."""
    numbers = np.zeros([len(steps), 2, len(schema.DATA_COLUMNS)])
    numbers[:, 0] = [33, 79, 60, 0, 255, 0, 0.5, 128]
    numbers[:, 1] = [4.5, 5.3, 2.9, 0, 9, 0, 0.1, 128]
    numbers[120, 0] = [np.nan, np.nan, np.nan, 0, 255, 1e-3, 0.5, 128]
    return numbers


def facts(described):
    """Returns a model's facts, as in `gradscope.format.model_facts`."""
    config = {"units": 32, "activation": "relu", "use_bias": True}
    config["kernel_initializer"] = {"class_name": "HeNormal", "config": {}}
    return {
        "layers": [
            {"name": name, "class": "Dense", "config": config}
            for name in described.layers
        ],
        "loss": None,
        "metrics": ["accuracy"],
    }


def histograms(described, every=20):
    """Returns the panels of a step: histograms as gradscope writes them.

    Gradients are positive and negative, spread over 2^-12 to 2^-4, a tenth of
    them zero; they fade by a factor of 2 in 50 steps.
    """

    def panels(step):
        if step % every:
            return []
        found = []
        for variable in described.variables:
            for kind, exponent in (
                ("gradients", -8 - step // 50),
                ("weights", -2),
                ("updates", -14),
            ):
                counts = np.zeros(histogram_buckets.COUNT)
                middle = 2 * (exponent - histogram_buckets.LOWEST_EXPONENT)
                bell = np.exp(-((np.arange(-8, 9) / 4) ** 2)) * 50
                counts[
                    histogram_buckets.ZERO + 1 + middle + np.arange(-8, 9)
                ] = bell
                counts[
                    histogram_buckets.ZERO - 1 - middle - np.arange(-8, 9)
                ] = bell
                counts[histogram_buckets.ZERO] = (
                    100 if kind == "gradients" else 0
                )
                (rows,) = histogram_buckets.tensorboard_rows(
                    counts[np.newaxis].round()
                )
                tag = f"{kind}/{variable.name}"
                found.append(event_writer.histogram_value(tag, rows))
        return found

    return panels


def detailed(logdir, name="detailed", steps=400):
    """The run `layered` with a model's facts and with histograms."""
    described, families = _layered(steps)
    described = dataclasses.replace(described, model=facts(described))
    gradients = noisy(np.arange(steps), 6, 0.5)
    write(
        logdir,
        name,
        described,
        np.arange(steps),
        statistics(gradients),
        panels=histograms(described),
        **families,
    )


def diverging(logdir, name="diverging", steps=200, at=80, layer=2):
    """Writes `<name>_a` and `<name>_b`: equal, until from one step on the
    gradients of one layer, and a step later of those above it, are halved."""
    described, numbers = network(6), noisy(np.arange(steps), 12, 0.5)
    write(logdir, f"{name}_a", described, range(steps), statistics(numbers))
    other = numbers.copy()
    other[at:, 2 * layer : 2 * layer + 2] /= 2
    other[at + 1 :, : 2 * layer] /= 2
    write(logdir, f"{name}_b", described, range(steps), statistics(other))


def blocks(logdir, name="blocks", count=24, size=4, steps=60):
    """A run whose layers are in blocks, with one NaN in the 6th block."""
    names = [
        f"stage_{block + 1}/dense_{one + 1}"
        for block in range(count)
        for one in range(size)
    ]
    described = schema.Schema(
        tuple(
            schema.Variable(f"{layer}/{kind}", layer, shape, "float32")
            for layer in names
            for kind, shape in (("kernel", (8, 8)), ("bias", (8,)))
        )
    )
    steps = np.arange(steps)
    gradients = noisy(steps, 2 * count * size, 0.5)
    gradients[33, 2 * (5 * size + 2)] = np.nan
    write(logdir, name, described, steps, statistics(gradients))


def changed(logdir, name="changed"):
    """A run whose model is another one from step 40 on."""
    first = network(3)
    numbers = statistics(noisy(range(40), 6, 0.5))
    write(logdir, name, first, range(40), numbers)
    second = network(4, name="conv_{}")
    numbers = statistics(noisy(range(40), 8, 0.05))
    write(logdir, name, second, range(40, 80), numbers)


def replaced(logdir, name="replaced"):
    """A run of 77 steps, whose directory a longer one of another model took."""
    numbers = statistics(noisy(range(77), 6, 0.5))
    write(logdir, name, network(3), range(77), numbers)
    numbers = statistics(noisy(range(90), 8, 0.05))
    second = network(4, name="conv_{}")
    write(logdir, name, second, range(90), numbers, begun=WALL_TIME + 1000)


def one_step(logdir, name="one_step"):
    """A run of a single step and a single layer."""
    described = network(1)
    write(logdir, name, described, [0], statistics(np.full((1, 2), 0.5)))


HOSTILE = "<img src=x onerror=alert(1)>_{}_🔥"


def hostile(logdir, name="<b>bold</b> 🚀"):
    """A run whose names are HTML and emoji."""
    described, steps = network(3, name=HOSTILE), np.arange(5)
    write(logdir, name, described, steps, statistics(noisy(steps, 6, 0.1)))


def restarted(logdir, name="restarted"):
    """A run of steps 0 to 99 that was resumed from step 50, to step 80."""
    described = network(2)
    first, again = np.arange(100), np.arange(50, 81)
    write(logdir, name, described, first, statistics(noisy(first, 4, 0.1)))
    write(logdir, name, described, again, statistics(noisy(again, 4, 0.2, 1)))


def bad_schema(logdir, name="newer"):
    """A run of a later gradscope, whose format nobody here knows."""
    described = network(2)
    version = f'"version": {schema.FORMAT_VERSION}'
    text = described.to_json().replace(version, '"version": 99')
    value = event_writer.schema_value(described)
    tensor = event_bytes.tensor(json_tensor.to_array(text))
    value = value._replace(tensor=tensor)
    file = event_writer.EventWriter(
        os.path.join(logdir, name, schema.DIRECTORY)
    )
    matrix = statistics(np.ones((1, 4)))[0]
    family = event_writer.family_value("variables", described.id, matrix)
    file.write(0, WALL_TIME, [family, value])
    file.close()
