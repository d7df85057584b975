"""float16 with a loss scale, and bfloat16."""

import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import STEPS, X, Y, batches, loss, state

import gradscope
from gradscope.schedule import Every

HOWS = ["plain", "inner", "compiled", "callback"]


@pytest.fixture
def policy():
    """Lets a test set the policy of layers."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def network():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, "relu", name="first"),
            layers.Dropout(0.2),
            layers.Dense(3, dtype="float32", name="logits"),
        ]
    )


def fit(how, logdir, *, scale=None, every=1, **arguments):
    """Trains with a loss scale from `compile` or with a given one.

    `how` is where the optimizer is wrapped: not at all, before `compile` puts
    a loss scale around it, after it, or by the callback.
    """
    keras.utils.set_random_seed(7)
    model = network()
    optimizer = keras.optimizers.Adam(0.01)
    if how == "inner":
        gradscope.wrap(optimizer, logdir, every=every)
    if scale is not None:
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=scale
        )
    model.compile(optimizer, loss(), **arguments)
    if how == "compiled":
        gradscope.wrap(model.optimizer, logdir, every=every)
    callbacks = []
    if how == "callback":
        callbacks = [gradscope.Callback(logdir, every=every)]
    with warnings.catch_warnings():
        # numpy says so where float16 overflows; ours are still errors.
        warnings.simplefilter("ignore", RuntimeWarning)
        model.fit(
            X,
            Y,
            batch_size=16,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    return model


@functools.cache
def plain_state(precision, jit):
    """One of the precision that is set, for all ways of observing it."""
    model = fit("plain", None, jit_compile=jit)
    return state(model, model.optimizer)


@pytest.mark.parametrize(
    "precision, jit, how",
    thinned(
        [
            (precision, *case)
            for precision in ("mixed_float16", "mixed_bfloat16")
            for case in (
                (False, "inner"),
                (False, "compiled"),
                (False, "callback"),
                (True, "callback"),
            )
        ],
        fast=[
            ("mixed_float16", False, "inner"),
            ("mixed_float16", False, "compiled"),
            ("mixed_float16", False, "callback"),
            ("mixed_bfloat16", False, "callback"),
        ],
    ),
)
def test_mixed_precision_keeps_every_bit(policy, precision, jit, how, tmp_path):
    policy(precision)
    every = Every(3, dense=2)
    plain = plain_state(precision, jit)
    observed = fit(how, tmp_path, every=every, jit_compile=jit)
    for a, b in zip(
        plain,
        state(observed, observed.optimizer),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [
        n for n in range(STEPS) if n < 2 or n % 3 == 0
    ]
    scale = 2.0**15 if precision == "mixed_float16" else np.nan
    np.testing.assert_array_equal(record["loss_scale"], scale)
    skipped = 0 if precision == "mixed_float16" else np.nan
    np.testing.assert_array_equal(record["skipped"], skipped)


FITS = {
    "graph": {"jit_compile": False},
    "jit": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "4_steps": {"steps_per_execution": 4, "jit_compile": False},
}


@pytest.mark.parametrize(
    "mode, how",
    thinned(
        [(mode, how) for mode in FITS for how in HOWS[1:]],
        fast=[
            ("graph", "callback"),
            ("jit", "callback"),
            ("eager", "compiled"),
            ("4_steps", "inner"),
        ],
    ),
)
def test_skipped_steps_are_counted_and_are_no_nan(policy, mode, how, tmp_path):
    policy("mixed_float16")
    plain = fit("plain", None, scale=2.0**30, **FITS[mode])
    model = fit(how, tmp_path, scale=2.0**30, **FITS[mode])
    for a, b in zip(
        state(plain, plain.optimizer),
        state(model, model.optimizer),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    applied = int(model.optimizer.inner_optimizer.iterations.numpy())
    count = STEPS - applied
    assert count > 2
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(applied))
    assert record["skipped"][-1] == count
    scale = float(model.optimizer.dynamic_scale.numpy())
    assert record["loss_scale"][-1] == scale == 2.0 ** (30 - count)
    # What was skipped was never applied: no gradient and no NaN of it.
    assert (record["gradient_nonfinite"] == 0).all()
    assert np.isfinite(record["gradient_norm"]).all()


def test_unscaled_gradients_are_those_of_a_plain_tape(tmp_path):
    """The loss scale is a power of two: nothing is rounded by it."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    gradscope.wrap(optimizer, tmp_path, every=1)
    optimizer.build(model.trainable_variables)
    expected = []
    for x, y in list(batches())[:5]:
        with tf.GradientTape(persistent=True) as tape:
            value = loss()(y, model(x))
            scaled = optimizer.scale_loss(value)
        unscaled = tape.gradient(value, model.trainable_variables)
        expected.append([tf.norm(g).numpy() for g in unscaled])
        gradients = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["gradient_norm"], expected, rtol=1e-6)


def scaled_steps(logdir=None):
    """Makes three steps in a function that XLA compiles."""
    start = np.linspace(-1, 1, 15, dtype="float32").reshape(3, 5)
    weight = keras.Variable(start)
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Lion(0.01), dynamic_growth_steps=2
    )
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, every=1, histograms=None)
    optimizer.build([weight])

    @tf.function(jit_compile=True)
    def step(x):
        with tf.GradientTape() as tape:
            value = optimizer.scale_loss(tf.reduce_sum(tf.tanh(x * weight)))
        optimizer.apply([tape.gradient(value, weight.value)], [weight])

    for number in (1.0, 2.0, 3.0):
        step(tf.constant(number))
    if logdir is not None:
        gradscope.unwrap(optimizer)
    return [weight.numpy(), *(v.numpy() for v in optimizer.variables)]


@pytest.mark.xla
def test_a_loss_scale_keeps_every_bit(tmp_path):
    """Of a sum of two products, as in `Lion` and `Adafactor`, XLA rounds one or
    the other, and not the same one if the loss scale's conditional changes."""
    plain, observed = scaled_steps(), scaled_steps(tmp_path)
    for expected, actual in zip(plain, observed, strict=True):
        assert expected.tobytes() == actual.tobytes()
    record = gradscope.read(tmp_path)
    # What is recorded is that of before the step, which doubles the scale.
    scales = [2.0**15, 2.0**15, 2.0**16]
    assert record["loss_scale"].tolist() == scales
    assert record.steps.tolist() == [0, 1, 2]
    first = np.linalg.norm(1 / np.cosh(np.linspace(-1, 1, 15)) ** 2)
    assert record["gradient_norm"][0, 0] == pytest.approx(first, rel=1e-6)


def branches(function):
    """Returns the types of operations in each branch of conditionals."""
    graph = function.get_concrete_function().graph
    return [
        sorted(node.op for node in function.node_def)
        for function in graph.as_graph_def().library.function
        if "cond" in function.signature.name
    ]


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_is_added_to_the_branches_of_a_loss_scale(when, tmp_path):
    def traced(wrap):
        inner = keras.optimizers.Adam(0.01)
        if when == "before":
            wrap(inner)
        optimizer = keras.optimizers.LossScaleOptimizer(inner)
        if when == "after":
            wrap(optimizer)
        weight = keras.Variable([1.0, 2.0])
        # The first call builds it.
        return tf.function(lambda: optimizer.apply([weight * 2], [weight]))

    plain = branches(traced(lambda optimizer: None))
    assert len(plain) == 4  # of the step, and of the growth of the scale
    observed = branches(
        traced(lambda optimizer: gradscope.wrap(optimizer, tmp_path))
    )
    for branch in plain:
        observed.remove(branch)
    assert observed  # that record, in branches of their own


def test_the_optimizer_inside_of_a_loss_scale_can_step_alone(tmp_path):
    weight = keras.Variable([4.0])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5))
    gradscope.wrap(optimizer, tmp_path, every=1)
    optimizer.build([weight])
    optimizer.apply([tf.constant([2.0**15])], [weight])
    optimizer.inner_optimizer.apply([tf.constant([1.0])], [weight])
    assert weight.numpy().tolist() == [3.0]
    record = gradscope.read(tmp_path)
    assert record["gradient_norm"].tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_that_is_skipped_again_and_again_is_seen(compiled, tmp_path):
    """A loss of NaN: nothing is ever applied, and that is what is shown."""
    variable = keras.Variable([1.0, 2.0])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    gradscope.wrap(optimizer, tmp_path)
    optimizer.build([variable])

    def step():
        optimizer.apply([tf.constant([np.nan, 1.0])], [variable])

    if compiled:
        step = tf.function(step)
    for _ in range(5):
        step()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0]
    assert record["skipped"].tolist() == [5]
    assert np.isnan(record["gradient_norm"]).all()
    assert np.isnan(record["gradient_missing"]).all()
    # For a long time: not a record for each of them.
    for _ in range(150):
        step()
    record = gradscope.read(tmp_path)
    assert record["skipped"].tolist() == [101]
    assert record["loss_scale"].tolist() == [2.0 ** (15 - 100)]


def test_unwrapping_gives_the_loss_scale_its_methods_back(tmp_path):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    before = dict(vars(optimizer)), dict(vars(optimizer.inner_optimizer))
    gradscope.wrap(optimizer, tmp_path)
    assert dict(vars(optimizer)) != before[0]
    gradscope.unwrap(optimizer)
    after = dict(vars(optimizer)), dict(vars(optimizer.inner_optimizer))
    assert after == before
    inner = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    outer = keras.optimizers.LossScaleOptimizer(inner)
    outer.build([keras.Variable([1.0])])
    gradscope.unwrap(outer)
    for one in (inner, outer):
        assert not any(
            type(value).__module__.startswith("gradscope")
            for value in vars(one).values()
        )
