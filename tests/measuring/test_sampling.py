"""Sizes that are not known while tracing: samples of a batch, and what is
measured of them, against numpy."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from gradscope.format.schema import Activation, Schema
from gradscope.format.step_layout import ACTIVATION_MEASURED
from gradscope.measuring import activations, data, sampling
from gradscope.measuring.activations import KINDS
from gradscope.wrapping.forward.activations import ActivationTensors
from gradscope.wrapping.forward.forward_pass import ForwardPass
from gradscope.wrapping.steps.forward_row import ForwardMeasurement

COMPILED = pytest.mark.parametrize("jit", [False, True])


def outputs(kind, x):
    return x if KINDS[kind].function else np.abs(x) * (x > 0.2)


def numbers(y, kind):
    """Returns what is measured of a matrix, in numpy."""
    if not y.size:
        return {n: np.nan for n in ACTIVATION_MEASURED} | {
            "activation_nonfinite": 0,
            "examples": 0,
        }
    read, one = tf.constant(y), KINDS[kind]
    flat = np.full(y.shape, np.nan)
    if one.derivative:
        flat = np.abs(one.derivative(read).numpy()) < activations.SATURATED
    y = one.function(read).numpy() if one.function else y
    return {
        "zero_fraction": np.mean(y == 0),
        "saturated_fraction": np.mean(flat),
        "activation_mean": y.mean(),
        "activation_rms": np.sqrt(np.mean(np.square(y))),
        "activation_max": np.abs(y).max(),
        "activation_nonfinite": 0,
        "examples": len(y),
    }


def measured(kind, several, specs, jit=False):
    """Returns what a traced program measures of activations."""
    rows = [
        Activation(f"layer_{n}", kind, t.shape[-1])
        for n, t in enumerate(several)
    ]
    watch = ForwardMeasurement(Schema((), activations=tuple(rows)))

    @tf.function(input_signature=specs, jit_compile=jit)
    def measure(*tensors):
        found = [ActivationTensors("", kind, [tensor]) for tensor in tensors]
        seen = ForwardPass(dict(zip(rows, found, strict=True)))
        return watch.measure(seen)

    width = len(ACTIVATION_MEASURED)
    row = measure(*map(tf.constant, several)).numpy()[: width * len(rows)]
    return [
        dict(zip(ACTIVATION_MEASURED, part, strict=True))
        for part in row.reshape([-1, width])
    ]


def assert_close(found, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("kind", KINDS)
def test_activations_of_several_lengths_are_measured_as_each_alone(kind):
    random = np.random.default_rng(0)
    for sizes in [(5, 3), (0, 4), (2, 0), (6, 6)]:
        several = [
            outputs(kind, random.normal(size=[n, 4])).astype("f") for n in sizes
        ]
        found = measured(kind, several, [tf.TensorSpec([None, 4])] * 2)
        for one, y in zip(found, several, strict=True):
            assert_close(one, numbers(y, kind))


@COMPILED
@pytest.mark.parametrize("kind", ["relu", "tanh", "gelu"])
def test_lengths_positions_and_none_at_all(kind, jit):
    """Images of unknown size, of which some batches have none."""
    random = np.random.default_rng(1)
    spec = tf.TensorSpec([None, None, None, 3])
    for shapes in [
        ([2, 4, 4, 3], [2, 2, 2, 3], [3, 1, 5, 3]),
        ([0, 4, 4, 3], [2, 0, 2, 3], [1, 1, 1, 3]),
    ]:
        several = [
            outputs(kind, random.normal(size=shape)).astype("f")
            for shape in shapes
        ]
        found = measured(kind, several, [spec] * 3, jit)
        for one, y in zip(found, several, strict=True):
            rest = dict(numbers(y, kind))
            rest["examples"] = len(y)
            assert_close(one, rest)


@COMPILED
def test_activity_of_units_counts_nothing_but_their_own_rows(jit):
    many, few = [[1.0, 0.0], [1.0, 0.0], [1.0, 3.0]], [[2.0, 0.0]]

    @tf.function(
        input_signature=[tf.TensorSpec([None, 2])] * 2, jit_compile=jit
    )
    def shares(*tensors):
        looked = sampling.sample([[t] for t in tensors])
        return activations.measure_with_activity(
            "relu", looked.values, jit, looked.rows
        )[1]

    found = shares(tf.constant(many), tf.constant(few)).numpy()
    np.testing.assert_array_equal(found, np.float32([[1, 1 / 3], [1, 0]]))
    found = shares(tf.constant(many)[:0], tf.constant(few)).numpy()
    np.testing.assert_array_equal(found, np.float32([[np.nan] * 2, [1, 0]]))


def test_calls_of_a_layer_on_images_of_several_sizes_are_one_activation():
    calls = [tf.ones([2, 4, 4, 3]), tf.zeros([2, 2, 2, 3])]
    looked = sampling.sample([calls])
    assert looked.values.shape == [1, 2 * 16 + 2 * 4, 3]
    assert looked.examples.numpy().tolist() == [2]
    shares = activations.measure_with_activity("relu", looked.values)[1]
    np.testing.assert_allclose(shares, [[32 / 40] * 3])


@COMPILED
@pytest.mark.parametrize("size", [100, 1000])
def test_of_images_of_unknown_size_as_many_are_looked_at_as_of_any(size, jit):
    @tf.function(
        input_signature=[tf.TensorSpec([None, None, 3])], jit_compile=jit
    )
    def count(images):
        return tf.shape(sampling.sample([[images]]).values)[1]

    most = max(1, sampling.MOST // (3 * size))
    assert count(tf.zeros([most + 5, size, 3])) == most
    assert count(tf.zeros([3, size, 3])) == min(3, most)


def test_a_scalar_is_one_example():
    for shape, count in (([], 1), ([4, 2], 4), ([0, 2], 0)):
        for spec in (shape, None):
            counted = tf.function(
                sampling.count_examples, input_signature=[tf.TensorSpec(spec)]
            )
            assert counted(tf.zeros(shape)) == count


@COMPILED
@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("shape", [[4, 3], [1, 3], [0, 3], [2, 0]])
def test_data_whose_rank_or_sizes_are_not_known(shape, rank, jit):
    values = np.random.default_rng(2).normal(size=shape).astype("f")
    spec = tf.TensorSpec(None if rank is None else [None] * rank)

    @functools.partial(tf.function, input_signature=[spec], jit_compile=jit)
    def traced(tensor):
        return data.measure([tensor])[0]

    np.testing.assert_allclose(
        traced(values), data.measure([tf.constant(values)])[0], rtol=1e-6
    )


def test_a_number_whose_rank_is_not_known_is_data():
    traced = tf.function(
        lambda tensor: data.measure([tensor])[0],
        input_signature=[tf.TensorSpec(None)],
    )
    found = traced(tf.constant(3.0)).numpy()
    np.testing.assert_allclose(found, [3, 3, np.nan, 3, 3, 0, 0, 1])


def test_of_sentences_of_unknown_length_more_than_two_are_looked_at():
    """Two of them may well have the same label."""

    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def variation(labels):
        return data.measure([labels])[0][2]

    assert variation(tf.constant([[1.0], [1.0], [0.0]])) > 0.4
