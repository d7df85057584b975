"""Activations against numpy."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradscope.measuring import activations, sampling
from gradscope.measuring.activations import KINDS, MEASURED

FUNCTIONS = {
    name: getattr(keras.activations, name)
    for name in KINDS
    if name not in ("softmax", "gelu_tanh")
}
FUNCTIONS["gelu_tanh"] = functools.partial(
    keras.activations.gelu, approximate=True
)
X = np.linspace(-9, 9, 1801).astype("float32")


def numbers(kind, x, y, compiled=False):
    read = y if KINDS[kind].function is None else x

    def measure():
        return activations.measure(kind, tf.constant(read[None]))[0]

    run = tf.function(measure, jit_compile=True) if compiled else measure
    return dict(zip(MEASURED, run().numpy().tolist(), strict=True))


def slopes(kind):
    """Returns inputs and the true derivatives there, from a tape."""
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = FUNCTIONS[kind](x)
    return y.numpy(), tape.gradient(y, x).numpy()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_saturated_is_where_the_true_derivative_is_small(kind, compiled):
    y, slope = slopes(kind)
    found = numbers(kind, X, y, compiled)["saturated_fraction"]
    largest = np.abs(slope).max()
    expected = np.mean(np.abs(slope) < activations.SATURATED * largest)
    if KINDS[kind].derivative is None:
        assert expected == 0 and np.isnan(found)
    else:
        # An input at the very limit, or at a kink, may fall to either side.
        assert found == pytest.approx(expected, abs=3 / len(X))


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_what_is_read_gives_the_output(kind):
    y, _ = slopes(kind)
    found = numbers(kind, X, y)
    assert found["activation_mean"] == pytest.approx(
        y.mean(), rel=1e-5, abs=1e-6
    )
    assert found["activation_max"] == pytest.approx(np.abs(y).max(), rel=1e-5)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_largest_derivative_is_one(kind):
    y, slope = slopes(kind)
    derivative = KINDS[kind].derivative
    if derivative is not None:
        read = y if KINDS[kind].function is None else X
        share = derivative(tf.constant(read)).numpy()
        np.testing.assert_allclose(
            share[X != 0],
            (slope / np.abs(slope).max())[X != 0],
            rtol=0.02,
            atol=1e-3,
        )


def test_softmax_is_saturated_where_it_is_sure():
    y = np.array([[0.999, 0.001, 0], [0.4, 0.3, 0.3]], np.float32)
    assert numbers("softmax", y, y)["saturated_fraction"] == 0.5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_layer_by_hand(dtype):
    y = tf.cast(tf.constant([[0.0, 3.0], [4.0, 0.0]]), dtype).numpy()
    found = numbers("relu", y - 1, y)
    assert found == {
        "zero_fraction": 0.5,
        "saturated_fraction": 0.5,
        "activation_mean": 1.75,
        "activation_rms": 2.5,
        "activation_max": 4,
        "activation_nonfinite": 0,
    }


def test_what_is_not_finite_is_counted():
    y = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    assert numbers("tanh", y, y)["activation_nonfinite"] == 3


def test_time_steps_of_a_layer_are_one_activation():
    parts = [tf.constant([[1.0, 0.0]]), tf.constant([[3.0, 0.0]])]
    looked = sampling.sample([parts])
    whole = tf.constant([[[1.0, 0.0], [3.0, 0.0]]])
    np.testing.assert_array_equal(looked.values, whole)
    assert looked.examples.numpy().tolist() == [1]
    shares = activations.measure_with_activity("relu", looked.values)[1]
    assert shares.numpy().tolist() == [[1, 0]]


def test_several_activations_are_measured_as_each_of_them():
    random = np.random.default_rng(0)
    tensors = [tf.constant(random.normal(size=[n, 4])) for n in (5, 3)]
    looked = sampling.sample([[t] for t in tensors])
    assert looked.values.shape == [2, 5, 4]
    assert looked.rows.numpy().tolist() == [5, 3]
    both = activations.measure_with_activity(
        "relu", tf.nn.relu(looked.values), rows=looked.rows
    )
    for row, tensor in enumerate(tensors):
        alone = activations.measure_with_activity(
            "relu", tf.nn.relu(tensor[None])
        )
        for one, other in zip(both, alone, strict=True):
            np.testing.assert_allclose(one[row], other[0], rtol=1e-6)


def test_a_channel_fires_at_any_position():
    image = np.zeros([1, 2, 3, 3, 2], np.float32)
    image[0, 1, 2, 0, 1] = 0.1
    y = tf.constant(image)
    activity = activations.measure_with_activity("relu", y)[1].numpy()
    np.testing.assert_allclose(activity, [[0, 1 / 18]])


@pytest.mark.parametrize("shape", [[7, 5], [300, 64, 64, 1], [3, 10**6]])
def test_of_large_activations_the_first_examples_are_looked_at(shape):
    looked = sampling.sample([[tf.zeros(shape)]]).values
    assert looked.shape[2:] == shape[1:]
    most = max(1, sampling.MOST // np.prod(shape[1:]))
    assert looked.shape[1] == min(shape[0], most)
