"""Every option of Keras optimizers has the right values.

That none of them changes a bit is in test_combinations.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from combinations import X, Y, batches, network
from training import fit, loop, loss

import gradscope

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

# Values


def norm(array):
    return np.linalg.norm(np.float64(array).ravel())


#: Batches of the steps that are compared.
COMPARED = list(batches())[:6]


def reference(name):
    """Returns the gradients of each step, and the weights before and after."""
    keras.utils.set_random_seed(7)
    model, weights, gradients = network(), [], []
    loop(
        model,
        OPTIONS[name](),
        lambda: weights.append(model.get_weights()),
        data=COMPARED,
    )
    weights.append(model.get_weights())
    for before, (x, y) in zip(weights, COMPARED, strict=False):
        model.set_weights(before)
        with tf.GradientTape() as tape:
            value = loss()(y, model(x, training=True))
        of_step = tape.gradient(value, model.trainable_variables)
        gradients.append([g.numpy() for g in of_step])
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
    model, optimizer = network(), OPTIONS[name]()
    gradscope.wrap(optimizer, tmp_path, every=1, histograms=None)
    loop(model, optimizer, wrapper=tf.function, data=COMPARED)
    record = gradscope.read(tmp_path)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    for step, of_step in enumerate(gradients):
        before, after = weights[step : step + 2]
        close(record["gradient_norm"][step], list(map(norm, of_step)))
        close(record["clipped_gradient_norm"][step], clipped(name, of_step))
        close(record["weight_norm"][step], list(map(norm, before)))
        updates = map(np.subtract, map(np.float64, after), before)
        close(record["update_norm"][step], list(map(norm, updates)))


def test_the_loss_scale_is_that_of_the_step(tmp_path):
    def train(name, logdir, **options):
        model, optimizer = network(), OPTIONS[name]()
        gradscope.wrap(optimizer, logdir, histograms=None, **options)
        fit(model, optimizer, data=(X, Y), jit_compile=False)
        return gradscope.read(logdir)

    record = train("loss_scale", tmp_path, every=1)
    # It doubles after every fourth step.
    expected = 2.0**15 * 2 ** (record.steps // 4)
    np.testing.assert_array_equal(record["loss_scale"], expected)
    np.testing.assert_array_equal(record["skipped"], 0 * expected)
    record = train("loss_scale_factor", tmp_path / "b")
    assert (record["loss_scale"] == 64).all()
    record = train("clipvalue", tmp_path / "c")
    assert np.isnan(record["loss_scale"]).all()
    assert np.isnan(record["skipped"]).all()


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
