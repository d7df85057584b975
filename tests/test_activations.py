"""Activations against numpy, and the window against counting by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gradscope.measuring import activations
from gradscope.measuring.activations import KINDS, MEASURED

FUNCTIONS = {
    name: getattr(keras.activations, name)
    for name in KINDS
    if name != "softmax"
}
X = np.linspace(-9, 9, 1801).astype("float32")


def numbers(kind, x, y, compiled=False):
    def measure():
        return activations.measure(kind, *map(tf.constant, (x[None], y[None])))[
            0
        ]

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
def test_the_largest_derivative_is_one(kind):
    y, slope = slopes(kind)
    derivative = KINDS[kind].derivative
    if derivative is not None:
        share = derivative(tf.constant(X), tf.constant(y)).numpy()
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
    y = activations.sample([parts])
    whole = tf.constant([[[1.0, 0.0], [3.0, 0.0]]])
    np.testing.assert_array_equal(y, whole)
    assert activations.fired(y).numpy().tolist() == [[True, False]]
    assert activations.rested(y).numpy().tolist() == [[False, True]]


def test_several_activations_are_measured_as_each_of_them():
    random = np.random.default_rng(0)
    tensors = [tf.constant(random.normal(size=[n, 4])) for n in (5, 3)]
    # Those of the examples that both have.
    y = activations.sample([[t] for t in tensors])
    assert y.shape == [2, 3, 4]
    both = activations.measure("relu", y, tf.nn.relu(y))
    for row, tensor in enumerate(tensors):
        one = tensor[None, :3]
        alone = activations.measure("relu", one, tf.nn.relu(one))
        np.testing.assert_allclose(both[row], alone[0])


def test_a_channel_fires_at_any_position():
    image = np.zeros([1, 2, 3, 3, 2], np.float32)
    image[0, 1, 2, 0, 1] = 0.1
    y = tf.constant(image)
    assert activations.fired(y).numpy().tolist() == [[False, True]]
    assert activations.rested(y).numpy().all()


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 100),
    st.integers(0, 999),
)
def test_the_window_is_that_of_a_brute_force_count(batches, window, seed):
    random = np.random.default_rng(seed)
    rare = random.random(5) * 0.1
    outputs = [
        (random.random([n, 5]) < rare).astype("float32") for n in batches
    ]
    idle = tf.zeros([5])
    for number, y in enumerate(outputs):
        idle = activations.since(
            idle, activations.fired(tf.constant(y[None]))[0], float(len(y))
        )
        seen = sum(batches[: number + 1])
        share = activations.share_without(idle, float(seen), window).numpy()
        if seen < window:
            assert np.isnan(share)
            continue
        # Dead: in no batch of the last that hold a window of examples.
        first = number
        while sum(batches[first : number + 1]) < window:
            first -= 1
        recent = np.concatenate(outputs[first : number + 1])
        assert share == pytest.approx(np.mean(~recent.any(axis=0)))


def test_counts_of_examples_end_where_float32_does():
    idle = tf.constant([2.0**24 - 5])
    later = activations.since(idle, tf.constant([False]), 100.0)
    assert later.numpy().tolist() == [2**24]


@pytest.mark.parametrize("shape", [[7, 5], [300, 64, 64, 1], [3, 10**6]])
def test_of_large_activations_the_first_examples_are_looked_at(shape):
    looked = activations.sample([[tf.zeros(shape)]])
    assert looked.shape[2:] == shape[1:]
    most = max(1, activations.MOST // np.prod(shape[1:]))
    assert looked.shape[1] == min(shape[0], most)
