"""Recorded values equal what one computes by hand; see test_modes, too."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned
from training import MODES, STEPS

import gradscope


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


@pytest.mark.parametrize(
    "mode",
    thinned(
        ["fit_graph", "fit_jit", "fit_eager"], fast=["fit_graph", "fit_eager"]
    ),
)
def test_of_accumulated_gradients_the_applied_mean_is_recorded(mode, tmp_path):
    """SGD 1 moves the weight by just the gradient that it applies."""

    class EagerTensor(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            weights.append(self.model.get_weights()[0])

    weights = []
    model = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=4)
    callback = gradscope.Callback(tmp_path, every=1)
    MODES[mode](model, optimizer, callbacks=[EagerTensor(), callback])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS // 4))
    moved = [np.linalg.norm(b - a) for a, b in itertools.pairwise(weights[::4])]
    np.testing.assert_allclose(
        record["gradient_norm"][: len(moved), 0], moved, rtol=1e-5
    )
    np.testing.assert_allclose(
        record["update_norm"][: len(moved), 0], moved, rtol=1e-5
    )
