"""Steps of every kind that optimizers of tf_keras make, current and legacy."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras_training import (
    MODES,
    OPTIMIZERS,
    STEPS,
    batches,
    current,
    jitted,
    legacy,
    plain_network,
    train,
)

import gradscope
from gradscope.schedule import Every


def kinds(function):
    """Parametrizes a test over current and legacy optimizers."""
    return pytest.mark.parametrize(
        "kind", [current, legacy], ids=["current", "legacy"]
    )(function)


def step(optimizer, *pairs, **options):
    """One step of pairs of gradients and variables."""
    optimizer.apply_gradients(
        ((None if g is None else tf.constant(g), v) for g, v in pairs),
        **options,
    )


@kinds
@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function, jitted])
def test_minimize_is_observed_too(kind, wrapper, tmp_path):
    weight = tf.Variable([3.0, 4.0], name="layer/weight")
    optimizer = gradscope.wrap(kind.SGD(0.5), tmp_path, every=1)

    @wrapper
    def run():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(weight**2) / 2
        optimizer.minimize(value, [weight], tape=tape)

    for _ in range(3):
        run()
    record = gradscope.read(tmp_path)
    norms = [[5], [2.5], [1.25]]
    np.testing.assert_allclose(record["gradient_norm"], norms, rtol=1e-6)
    np.testing.assert_allclose(record["weight_norm"], norms, rtol=1e-6)
    np.testing.assert_allclose(record["update_norm"], np.divide(norms, 2))


@kinds
def test_a_missing_gradient_and_a_constraint(kind, tmp_path):
    clip = tf_keras.constraints.MaxNorm(1.0)
    used = tf.Variable([0.6, 0.8], constraint=clip)
    unused = tf.Variable([1.0])
    optimizer = gradscope.wrap(kind.SGD(1.0), tmp_path)
    step(optimizer, ([-0.6, -0.8], used), (None, unused))
    record = gradscope.read(tmp_path)
    np.testing.assert_array_equal(record["gradient_missing"], [[0, 1]])
    np.testing.assert_allclose(record["gradient_norm"], [[1, np.nan]])
    # The constraint takes back all of the update.
    np.testing.assert_allclose(record["update_norm"], [[0, 0]], atol=1e-6)


@kinds
def test_rows_of_an_embedding_are_summed(kind, tmp_path):
    table = tf.Variable(np.ones([5, 2], np.float32))
    optimizer = gradscope.wrap(kind.SGD(0.1), tmp_path)

    @tf.function
    def run(rows):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.gather(table, rows))
        grads = tape.gradient(value, [table])
        optimizer.apply_gradients(zip(grads, [table], strict=True))

    run(tf.constant([1, 1, 3]))
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["gradient_norm"], [[10**0.5]], rtol=1e-6)
    np.testing.assert_array_equal(record["gradient_size"], [[4]])


@kinds
@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_the_gradient_is_what_a_users_own_aggregation_returns(
    kind, wrapper, tmp_path
):
    def doubled(pairs):
        return [(2 * g, v) for g, v in pairs]

    if kind is legacy:
        optimizer = legacy.SGD(0.1, gradient_aggregator=doubled)
        skip = {"experimental_aggregate_gradients": False}
    else:
        optimizer = current.SGD(0.1)
        optimizer.aggregate_gradients = doubled
        skip = {"skip_gradients_aggregation": True}
    weight = tf.Variable([1.0, 1.0])
    gradscope.wrap(optimizer, tmp_path)
    run = wrapper(lambda **k: step(optimizer, ([3.0, 4.0], weight), **k))
    run()
    run(**skip)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["gradient_norm"], [[10], [5]])
    np.testing.assert_allclose(record["update_norm"], [[1], [0.5]], rtol=1e-6)


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function, jitted])
def test_a_transformed_gradient_counts_as_clipped(wrapper, tmp_path):
    def calls(observed):
        seen = []

        def halved(pairs):
            seen.append(1)
            return [(g / 2, v) for g, v in pairs]

        weight = tf.Variable([1.0, 1.0])
        optimizer = legacy.SGD(0.1, gradient_transformers=[halved])
        if observed:
            gradscope.wrap(optimizer, tmp_path)
        wrapper(lambda: step(optimizer, ([3.0, 4.0], weight)))()
        gradscope.flush()
        return len(seen)

    assert calls(True) == calls(False)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["gradient_norm"], [[5]])
    np.testing.assert_allclose(record["clipped_gradient_norm"], [[2.5]])


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_parts_of_a_built_optimizer_have_a_row_each(wrapper, tmp_path):
    first, second = tf.Variable([3.0]), tf.Variable([4.0])
    optimizer = gradscope.wrap(current.Adam(), tmp_path, every=1)
    optimizer.build([first, second])

    @wrapper
    def run():
        step(optimizer, ([1.0], first))
        step(optimizer, ([2.0], second))

    run()
    run()
    record = gradscope.read(tmp_path)
    nan = np.nan
    expected = [[1, nan], [nan, 2], [1, nan], [nan, 2]]
    np.testing.assert_allclose(record["gradient_norm"], expected)


@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_a_legacy_optimizer_may_meet_new_variables(wrapper, tmp_path):
    first, second = (tf.Variable([3.0], name=name) for name in ("a/w", "b/w"))
    optimizer = gradscope.wrap(legacy.Adam(), tmp_path, every=1)
    wrapper(lambda: step(optimizer, ([1.0], first)))()
    both = wrapper(lambda: step(optimizer, ([1.0], first), ([2.0], second)))
    both()
    both()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    assert list(record.variables) == ["a/w", "b/w"]
    expected = [[1, np.nan], [1, 2], [1, 2]]
    np.testing.assert_allclose(record["gradient_norm"], expected)


@kinds
@pytest.mark.parametrize("wrapper", [lambda f: f, tf.function])
def test_the_learning_rate_is_that_of_the_step(kind, wrapper, tmp_path):
    schedule = tf_keras.optimizers.schedules.PiecewiseConstantDecay(
        [1, 3], [0.3, 0.2, 0.1]
    )
    rates = {"schedule": (schedule, [0.3, 0.3, 0.2, 0.2])}
    rates["set"] = 0.5, [0.5, 0.5, 0.25, 0.25]
    for name, (rate, expected) in rates.items():
        optimizer = gradscope.wrap(kind.SGD(rate), tmp_path / name)
        weight = tf.Variable([1.0])
        run = wrapper(lambda o=optimizer, w=weight: step(o, ([1.0], w)))
        for number in range(4):
            if name == "set" and number == 2:
                optimizer.learning_rate = 0.25
            run()
        record = gradscope.read(tmp_path / name)
        np.testing.assert_allclose(record["learning_rate"], expected)


def test_the_rate_of_a_legacy_optimizer_includes_its_decay(tmp_path):
    optimizer = gradscope.wrap(legacy.SGD(0.5, decay=1.0), tmp_path)
    for _ in range(2):
        step(optimizer, ([1.0], tf.Variable([1.0])))
    rates = gradscope.read(tmp_path)["learning_rate"]
    np.testing.assert_allclose(rates, [0.5, 0.25])


def test_a_users_function_for_the_rate_is_not_called_again(tmp_path):
    def calls(observed):
        seen = []
        optimizer = legacy.SGD(lambda: seen.append(1) or 0.1)
        if observed:
            gradscope.wrap(optimizer, tmp_path)
        step(optimizer, ([1.0], tf.Variable([1.0])))
        gradscope.flush()
        return len(seen)

    assert calls(True) == calls(False)
    assert np.isnan(gradscope.read(tmp_path)["learning_rate"]).all()


def test_update_steps_that_are_compiled_on_their_own(tmp_path):
    """Where there is a GPU, an optimizer does so."""

    def run(observed):
        weight = tf.Variable([3.0, 4.0])
        optimizer = current.Adam(0.1)
        optimizer.jit_compile = True
        if observed:
            gradscope.wrap(optimizer, tmp_path, every=1)
        for wrapper in (lambda f: f, tf.function):
            wrapper(lambda: step(optimizer, ([3.0, 4.0], weight)))()
        return weight.numpy()

    np.testing.assert_array_equal(run(True), run(False))
    norms = gradscope.read(tmp_path)["gradient_norm"]
    np.testing.assert_allclose(norms, [[5], [5]])


def test_a_model_that_was_traced_before_is_traced_anew(tmp_path):
    model, optimizer = train("fit_graph", "adam")
    gradscope.wrap(optimizer, tmp_path, model=model)
    model.fit(*next(batches()), verbose=0)
    assert gradscope.read(tmp_path).steps.tolist() == [STEPS]
    gradscope.unwrap(optimizer, model=model)
    assert not {"apply_gradients", "build"} & set(vars(optimizer))
    model.fit(*next(batches()), verbose=0)
    assert gradscope.read(tmp_path).steps.tolist() == [STEPS]


def test_the_callback_leaves_steps_that_are_not_due_alone(tmp_path):
    # Without dropout, whose random numbers are counted by each program.
    model, programs = plain_network(), []

    class Measurables(tf_keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            programs.append(self.model.train_function)

    callback = gradscope.Callback(tmp_path, every=Every(4, dense=0))
    MODES["fit_graph"](model, OPTIMIZERS["adam"](), [callback, Measurables()])
    observed = {programs[number] for number in range(0, STEPS, 4)}
    plain = {programs[number] for number in range(STEPS) if number % 4}
    assert len(observed) == len(plain) == 1 and observed != plain
    assert gradscope.read(tmp_path).steps.tolist() == [0, 4, 8]


def test_the_callback_with_a_tuned_number_of_steps(tmp_path):
    callbacks = [gradscope.Callback(tmp_path, every=1)]
    model, optimizer = plain_network(), OPTIMIZERS["adam"]()
    options = {"steps_per_execution": "auto"}
    MODES["fit_graph"](model, optimizer, callbacks, **options)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(STEPS))
