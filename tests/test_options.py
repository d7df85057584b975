"""Every option of Keras optimizers: the same bits, and the right values."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from training import (
    BATCHES,
    EPOCHS,
    OPTIMIZERS,
    batches,
    dense_model,
    loop,
    loss,
    state,
    train,
)

import gradscope
from gradscope.schedule import Every

optimizers = keras.optimizers


def multi():
    return optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(0.05, momentum=0.9, clipvalue=0.02),
            {".*logits.*": optimizers.Adam(0.01, clipnorm=0.1)},
        )
    )


def scheduled():
    return optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 3, 0.7))


#: Options of optimizers.
OPTIONS = {
    "clipvalue": lambda: optimizers.SGD(0.05, clipvalue=0.02),
    "global_clipnorm": lambda: optimizers.Adam(0.01, global_clipnorm=0.1),
    "weight_decay": lambda: optimizers.SGD(0.05, weight_decay=0.1),
    "ema": lambda: optimizers.Adam(
        0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3
    ),
    "loss_scale_factor": lambda: optimizers.Adam(
        0.01, loss_scale_factor=64.0, clipnorm=0.05
    ),
    "loss_scale": lambda: optimizers.LossScaleOptimizer(
        optimizers.SGD(0.05, momentum=0.9), dynamic_growth_steps=4
    ),
    "scheduled": scheduled,
    "multi": multi,
    "schedule_free": lambda: optimizers.ScheduleFreeAdamW(
        0.01, weight_decay=0.01
    ),
    "muon": lambda: optimizers.Muon(0.01),
}

#: Other optimizers.
OTHERS = {
    "accumulation": lambda: optimizers.Adam(
        0.01, gradient_accumulation_steps=3, clipnorm=0.05
    ),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adafactor": lambda: optimizers.Adafactor(0.05),
    "adagrad": lambda: optimizers.Adagrad(0.05),
    "adamax": lambda: optimizers.Adamax(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.05),
    "lamb": lambda: optimizers.Lamb(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
}

# Graph and XLA are what can change a bit; how steps come is in test_bits. Under
# XLA a recorded step is computed again from its inputs, and reads nothing of an
# option: every third of them will do.
MATRIX = [("fit_graph", name) for name in OPTIONS | OTHERS]
MATRIX += [("fit_jit", name) for name in [*OPTIONS, *OTHERS][::3]]
MATRIX += [
    (mode, name)
    for name in ("multi", "loss_scale", "ema")
    for mode in ("fit_7_steps", "loop_eager")
]


@pytest.fixture(autouse=True)
def more_optimizers(monkeypatch):
    for name, make in (OPTIONS | OTHERS).items():
        monkeypatch.setitem(OPTIMIZERS, name, make)


@pytest.mark.parametrize("mode, name", MATRIX)
def test_no_option_loses_a_bit(mode, name, tmp_path):
    plain = train(mode, name)
    observed = train(
        mode,
        name,
        how="wrap",
        logdir=tmp_path,
        every=Every(3, dense=2),
        histograms=6,
    )
    for expected, actual in zip(state(*plain), state(*observed), strict=True):
        np.testing.assert_array_equal(actual, expected)
    gradscope.flush()
    steps = BATCHES * EPOCHS // (3 if name == "accumulation" else 1)
    recorded = gradscope.read(tmp_path).steps.tolist()
    assert recorded == [n for n in range(steps) if n < 2 or n % 3 == 0]


# Values


def norm(array):
    return np.linalg.norm(np.float64(array).ravel())


@functools.cache
def reference(name):
    """Returns gradients, weights before and weights after of each step."""
    keras.utils.set_random_seed(7)
    model, optimizer, notes = dense_model(), OPTIMIZERS[name](), []

    def note():
        notes.append([v.numpy() for v in model.variables])

    loop(model, optimizer, note)
    note()
    gradients = []
    for before, (x, y) in zip(notes[:-1], batches(), strict=True):
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
        with tf.GradientTape() as tape:
            value = loss()(y, model(x, training=True))
        found = tape.gradient(value, model.trainable_variables)
        gradients.append([g.numpy() for g in found])
    trainable = [v.trainable for v in model.variables]
    weights = [
        [w for w, chosen in zip(note, trainable, strict=True) if chosen]
        for note in notes
    ]
    return gradients, weights


def clipped(name, gradients):
    """Returns the norms after clipping, by their definition."""
    norms = np.array([norm(g) for g in gradients])
    whole = np.sqrt(np.sum(norms**2))
    by_norm = {"loss_scale_factor": 0.05}.get(name)
    if by_norm:
        return np.minimum(norms, by_norm)
    if name == "global_clipnorm":
        return norms * min(1, 0.1 / whole)
    if name == "clipvalue":
        return [norm(np.clip(g, -0.02, 0.02)) for g in gradients]
    if name == "multi":
        return [
            *(norm(np.clip(g, -0.02, 0.02)) for g in gradients[:-2]),
            *np.minimum(norms[-2:], 0.1),
        ]
    return np.full(len(gradients), np.nan)


@pytest.mark.parametrize("name", OPTIONS)
def test_values_are_those_of_a_plain_computation(name, tmp_path):
    gradients, weights = reference(name)
    keras.utils.set_random_seed(7)
    model, optimizer = dense_model(), OPTIMIZERS[name]()
    gradscope.wrap(optimizer, tmp_path, every=1)
    loop(model, optimizer, wrapper=tf.function)
    record = gradscope.read(tmp_path)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    bias = record.variables.index("first/bias")  # of norm 1e-9 and noise
    for step in range(4):
        norms = np.array([norm(g) for g in gradients[step]])
        chosen = np.arange(len(norms)) != bias
        close(record["gradient_norm"][step, chosen], norms[chosen])
        after = clipped(name, gradients[step])
        close(
            record["clipped_gradient_norm"][step, chosen],
            np.asarray(after)[chosen],
        )
        moved = [
            norm(np.float64(b) - a)
            for a, b in zip(weights[step], weights[step + 1], strict=True)
        ]
        # The update of a bias whose gradient is noise is noise under Adam.
        close(record["update_norm"][step, chosen], np.array(moved)[chosen])
        close(
            record["weight_norm"][step, chosen],
            np.array([norm(w) for w in weights[step]])[chosen],
        )


def test_the_loss_scale_is_that_of_the_step(tmp_path):
    train("fit_graph", "loss_scale", how="wrap", logdir=tmp_path, every=1)
    record = gradscope.read(tmp_path)
    # It doubles after every fourth step.
    expected = 2.0**15 * 2 ** (record.steps // 4)
    np.testing.assert_array_equal(record["loss_scale"], expected)
    np.testing.assert_array_equal(record["skipped"], 0 * expected)
    train("fit_graph", "loss_scale_factor", how="wrap", logdir=tmp_path / "b")
    assert (gradscope.read(tmp_path / "b")["loss_scale"] == 64).all()
    train("fit_graph", "sgd", how="wrap", logdir=tmp_path / "c")
    assert np.isnan(gradscope.read(tmp_path / "c")["loss_scale"]).all()
    assert np.isnan(gradscope.read(tmp_path / "c")["skipped"]).all()


def test_the_update_includes_a_constraint(tmp_path):
    """By hand: 3 and 4 minus 0 each, then scaled to length 1."""
    variable = keras.Variable([3.0, 4.0])
    variable.constraint = keras.constraints.UnitNorm(axis=0)
    optimizer = gradscope.wrap(optimizers.SGD(0.1), tmp_path)
    optimizer.apply([tf.zeros([2])], [variable])
    np.testing.assert_allclose(variable.numpy(), [0.6, 0.8], rtol=1e-6)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["update_norm"], [[4.0]], rtol=1e-6)
    np.testing.assert_array_equal(record["gradient_norm"], [[0.0]])


class Linear(tf.Module):
    """A model without Keras."""

    def __init__(self, inputs, outputs, name):
        super().__init__(name=name)
        with self.name_scope:
            start = tf.random.stateless_normal([inputs, outputs], seed=[1, 2])
            self.w = tf.Variable(start, name="w")
            self.b = tf.Variable(tf.zeros([outputs]), name="b")

    def __call__(self, x):
        return x @ self.w + self.b


@pytest.mark.parametrize("wrapper", ["eager", "function", "jit"])
def test_a_module_without_keras_is_observed(wrapper, tmp_path):
    def trained(observed):
        first, second = Linear(12, 8, "first"), Linear(8, 3, "second")
        variables = [*first.trainable_variables, *second.trainable_variables]
        optimizer = optimizers.Adam(0.01)
        if observed:
            gradscope.wrap(optimizer, tmp_path, every=1)
        optimizer.build(variables)
        norms = []

        def step(x, y):
            with tf.GradientTape() as tape:
                value = loss()(y, second(tf.tanh(first(x))))
            gradients = tape.gradient(value, variables)
            optimizer.apply(gradients, variables)
            return [tf.norm(g) for g in gradients]

        if wrapper != "eager":
            step = tf.function(step, jit_compile=wrapper == "jit")
        for x, y in list(batches())[:6]:
            norms.append(step(tf.constant(x), tf.constant(y)))
        return [v.numpy() for v in variables], np.array(norms), variables

    plain, norms, variables = trained(False)
    observed, _, _ = trained(True)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    record = gradscope.read(tmp_path)
    assert set(record.layers) == {"first", "second"}
    order = [record.variables.index(v.name.split(":")[0]) for v in variables]
    np.testing.assert_allclose(
        record["gradient_norm"][:, order], norms, rtol=1e-5
    )
