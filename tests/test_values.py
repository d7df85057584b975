"""Recorded values equal a plain `GradientTape` computation, in every mode.

The reference: the same network is trained without gradscope, all its variables
are noted before each step, and for each note the gradients are computed again
on the same batch and with the same random stream. (XLA draws other random
numbers than TensorFlow from the same seed, so for it that is compiled too.)
"""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_unit_spread import expected as unit_spread
from training import (
    FEW,
    MODES,
    OBSERVED,
    OPTIMIZERS,
    STEPS,
    batches,
    dense_model,
    loop,
    loss,
    train,
)

import gradscope

TOLERANCE = 1e-5

# Small differences between modes (XLA adds in another order) grow from step
# to step, and the reference follows one mode only.
COMPARED = 6


@functools.cache
def reference(optimizer, jit):
    """Returns gradients, weights before and weights after of each step."""
    keras.utils.set_random_seed(7)
    model, notes = dense_model(), []
    wrapper = functools.partial(tf.function, jit_compile=jit)
    loop(
        model,
        OPTIMIZERS[optimizer](),
        before_step=lambda: notes.append([v.numpy() for v in model.variables]),
        wrapper=wrapper,
    )
    notes.append([v.numpy() for v in model.variables])

    def gradients_of(x, y):
        with tf.GradientTape() as tape:
            value = loss()(y, model(x, training=True))
        return tape.gradient(value, model.trainable_variables)

    if jit:
        gradients_of = wrapper(gradients_of)
    is_weight = [v.trainable for v in model.variables]
    steps = []
    for number, (x, y) in zip(range(COMPARED), batches(), strict=False):
        for variable, value in zip(model.variables, notes[number], strict=True):
            variable.assign(value)
        gradients = gradients_of(x, y)
        before, after = (
            [w for w, chosen in zip(notes[n], is_weight, strict=True) if chosen]
            for n in (number, number + 1)
        )
        steps.append(([g.numpy() for g in gradients], before, after))
    names = [v.path.split("/", 1)[1] for v in model.trainable_variables]
    return names, steps


def norm(array):
    return np.linalg.norm(array.astype(np.float64).ravel())


def expected_statistics(gradient, before, after):
    update = after.astype(np.float64) - before
    with np.errstate(divide="ignore"):
        return {
            "gradient_norm": norm(gradient),
            "gradient_rms": np.sqrt(np.mean(gradient.astype(np.float64) ** 2)),
            "gradient_max": np.abs(gradient).max(),
            "gradient_zero_fraction": np.mean(gradient == 0),
            "gradient_size": gradient.size,
            "gradient_nonfinite": 0.0,
            "gradient_unit_spread": unit_spread(gradient),
            "clipped_gradient_norm": np.nan,
            "weight_norm": norm(before),
            "weight_rms": norm(before) / np.sqrt(before.size),
            "update_norm": norm(update),
            "gradient_to_weight_ratio": np.divide(norm(gradient), norm(before)),
            "update_to_weight_ratio": np.divide(norm(update), norm(before)),
            "gradient_missing": 0.0,
        }


@pytest.mark.parametrize("mode, how", OBSERVED)
def test_every_value_equals_a_plain_computation(mode, how, tmp_path):
    # A large first step, so that the updates are far above rounding.
    train(mode, "sgd", how=how, logdir=tmp_path, every=1)
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS))
    names, steps = reference("sgd", "jit" in mode)
    assert list(record.variables) == names
    for number, arrays in enumerate(steps):
        for row, step in enumerate(zip(*arrays, strict=True)):
            for name, value in expected_statistics(*step).items():
                np.testing.assert_allclose(
                    record[name][number, row],
                    value,
                    rtol=TOLERANCE,
                    # The bias before a batch norm has a true gradient of 0:
                    # what is computed is noise, of 1e-9 here.
                    atol=1e-7 if names[row] == "first/bias" else 0,
                    err_msg=f"{name} of {names[row]} in step {number}",
                )


def test_updates_include_weight_decay_and_clipping(tmp_path):
    """A hand computation: SGD 0.1, decay 0.5, gradient [3, 4] clipped to 1."""
    weight = keras.Variable([6.0, 8.0])
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5, clipnorm=1.0)
    gradscope.wrap(optimizer, tmp_path)
    optimizer.apply([tf.constant([3.0, 4.0])], [weight])
    record = gradscope.read(tmp_path)
    # 6 - 6 * 0.5 * 0.1 = 5.7, then minus 0.1 * 0.6; likewise 8 to 7.52.
    np.testing.assert_allclose(weight.numpy(), [5.64, 7.52], rtol=1e-6)
    np.testing.assert_allclose(record["gradient_norm"], [[5.0]], rtol=1e-6)
    np.testing.assert_allclose(record["update_norm"], [[0.6]], rtol=1e-6)
    np.testing.assert_allclose(
        record["update_to_weight_ratio"], [[0.06]], rtol=1e-6
    )
    np.testing.assert_allclose(record["learning_rate"], [0.1], rtol=1e-6)
    np.testing.assert_allclose(record["global_gradient_norm"], [5.0], rtol=1e-6)
    clipped = [
        record["clipped_gradient_norm"][0],
        record["global_clipped_norm"],
    ]
    np.testing.assert_allclose(clipped, [[1.0], [1.0]], rtol=1e-6)


def test_the_learning_rate_is_that_of_the_step(tmp_path):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [1, 3], [0.3, 0.2, 0.1]
    )
    optimizer = keras.optimizers.SGD(schedule)
    gradscope.wrap(optimizer, tmp_path)
    weight = keras.Variable([1.0])
    for _ in range(5):
        optimizer.apply([tf.ones([1])], [weight])
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(
        record["learning_rate"], [0.3, 0.3, 0.2, 0.2, 0.1]
    )


def test_a_user_function_for_the_learning_rate_is_not_called_again(tmp_path):
    calls = []

    def rate():
        calls.append(1)
        return 0.1

    optimizer = keras.optimizers.SGD(rate)
    gradscope.wrap(optimizer, tmp_path)
    optimizer.apply([tf.ones([1])], [keras.Variable([1.0])])
    assert len(calls) == 1
    assert np.isnan(gradscope.read(tmp_path)["learning_rate"]).all()


@pytest.mark.parametrize("mode", FEW)
def test_histograms_count_every_element_in_every_mode(mode, tmp_path):
    model, _ = train(
        mode, "sgd", how="wrap", logdir=tmp_path, every=5, histograms=10
    )
    gradscope.flush()
    histograms = tensorboard_histograms(tmp_path)
    for kind in ("gradients", "weights", "updates"):
        for variable in model.trainable_variables:
            name = variable.path.split("/", 1)[1]
            points = histograms[f"{kind}/{name}"]
            assert [step for step, _ in points] == [0, 10, 20]
            for _, rows in points:
                assert rows[:, 2].sum() == np.prod(variable.shape)
                np.testing.assert_array_equal(rows[1:, 0], rows[:-1, 1])


def tensorboard_histograms(logdir):
    """Returns the histograms that TensorBoard sees below a directory."""
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.util import tensor_util

    accumulator = event_accumulator.EventAccumulator(
        str(logdir / "gradscope"), size_guidance={"tensors": 0}
    )
    accumulator.Reload()
    return {
        tag: [
            (event.step, tensor_util.make_ndarray(event.tensor_proto))
            for event in accumulator.Tensors(tag)
        ]
        for tag in accumulator.PluginTagToContent("histograms")
    }


def test_a_frozen_layer_and_a_missing_gradient(tmp_path):
    used, unused = keras.Variable([3.0, 4.0]), keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([tf.constant([1.0, 0.0]), None], [used, unused])
    record = gradscope.read(tmp_path)
    np.testing.assert_array_equal(record["gradient_missing"], [[0, 1]])
    np.testing.assert_array_equal(record["gradient_norm"], [[1, np.nan]])
    np.testing.assert_array_equal(record["weight_norm"], [[5, 1]])
    np.testing.assert_array_equal(record["update_norm"][0, 1], 0)
    np.testing.assert_array_equal(record["gradient_zero_fraction"][0, 0], 0.5)


@pytest.mark.parametrize("jit", [False, True])
def test_repeated_rows_of_an_embedding_are_summed(jit, tmp_path):
    table = tf.Variable(np.ones([5, 2], np.float32))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build([table])
    gradscope.wrap(optimizer, tmp_path)

    @tf.function(jit_compile=jit)
    def step(rows):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.gather(table, rows))
        gradient = tape.gradient(value, table)
        assert isinstance(gradient, tf.IndexedSlices)
        optimizer.apply([gradient], [table])

    step(tf.constant([1, 1, 3]))
    record = gradscope.read(tmp_path)
    # Row 1 got [2, 2], row 3 got [1, 1].
    np.testing.assert_allclose(record["gradient_norm"], [[10**0.5]], rtol=1e-6)
    # Rows that the batch does not use are not gradients of zero.
    np.testing.assert_array_equal(record["gradient_zero_fraction"], [[0]])


def test_slices_without_a_shape_get_that_of_their_variable(tmp_path):
    table = tf.Variable(np.ones([5, 2], np.float32))
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    values = tf.constant([[3.0, 4.0]])
    slices = tf.IndexedSlices(values, tf.constant([2]))
    optimizer.apply([slices], [table])
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["gradient_norm"], [[5.0]], rtol=1e-6)


@pytest.mark.parametrize("mode", ["fit_graph", "fit_jit", "fit_eager"])
def test_of_accumulated_gradients_the_applied_mean_is_recorded(mode, tmp_path):
    """SGD 1 moves the weight by just the gradient that it applies."""

    class Noted(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            weights.append(self.model.get_weights()[0])

    weights = []
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=4)
    callback = gradscope.Callback(tmp_path, every=1)
    MODES[mode](model, optimizer, callbacks=[Noted(), callback])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS // 4))
    moved = [norm(b - a) for a, b in itertools.pairwise(weights[::4])]
    np.testing.assert_allclose(
        record["gradient_norm"][: len(moved), 0], moved, rtol=1e-5
    )
    np.testing.assert_allclose(
        record["update_norm"][: len(moved), 0], moved, rtol=1e-5
    )
