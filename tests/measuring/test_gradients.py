"""Gradients as the optimizer got them."""

import numpy as np
import pytest
import tensorflow as tf

from gradscope.measuring import gradients


def test_no_gradient_stays_none():
    assert gradients.to_dense(None) is None
    assert gradients.regenerate(None, None) is None


def test_a_tensor_is_dense_already():
    gradient = tf.constant([1.0])
    assert gradients.to_dense(gradient) is gradient


def test_repeated_rows_are_summed():
    slices = tf.IndexedSlices(
        tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        tf.constant([2, 0, 2]),
        tf.constant([4, 2]),
    )
    dense = gradients.to_dense(slices).numpy().tolist()
    assert dense == [[3, 4], [0, 0], [6, 8], [0, 0]]


def test_the_gradient_of_an_embedding_equals_its_dense_twin():
    table = tf.Variable(np.random.default_rng(0).normal(size=[5, 3]))
    rows = [1, 1, 4, 1]
    with tf.GradientTape(persistent=True) as tape:
        sparse = tf.reduce_sum(tf.gather(table, rows) ** 2)
        dense = tf.reduce_sum(
            tf.matmul(tf.one_hot(rows, 5, dtype="float64"), table) ** 2
        )
    slices = tape.gradient(sparse, table)
    assert isinstance(slices, tf.IndexedSlices)
    np.testing.assert_allclose(
        gradients.to_dense(slices), tape.gradient(dense, table)
    )


def operations(graph):
    return {op.name for op in graph.get_operations()}


def test_the_elementwise_end_is_computed_again():
    with tf.Graph().as_default() as graph:
        inner = tf.exp(tf.compat.v1.placeholder(tf.float32, [3]))
        gradient = tf.reshape(-(inner * 2.0 + inner), [3, 1])
        before = operations(graph)
        copy = gradients.regenerate(gradient, graph)
        added = operations(graph) - before
    assert copy is not gradient and copy.shape == gradient.shape
    types = sorted(graph.get_operation_by_name(name).type for name in added)
    assert types == ["AddV2", "Mul", "Neg", "Reshape"]


def test_a_copy_has_the_same_bits():
    @tf.function
    def both(x):
        gradient = tf.cast(tf.squeeze(-(x * 3.0 - 1.0) + x, [1]), tf.float16)
        graph = tf.compat.v1.get_default_graph()
        return gradient, gradients.regenerate(gradient, graph)

    x = np.random.default_rng(0).normal(size=[99, 1]).astype("float32")
    gradient, copy = both(x)
    np.testing.assert_array_equal(gradient, copy)


def test_what_is_used_twice_is_copied_once():
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [])
        doubled = x + x
        for _ in range(20):
            doubled = doubled + doubled
        before = len(graph.get_operations())
        gradients.regenerate(doubled, graph)
        assert len(graph.get_operations()) - before <= 8


@pytest.mark.parametrize("graph", ["own", "other"])
def test_what_is_no_elementwise_end_stays_as_it_is(graph):
    with tf.Graph().as_default() as own:
        x = tf.compat.v1.placeholder(tf.float32, [])
        gradient = tf.exp(x) if graph == "own" else x + x
        asked = own if graph == "own" else tf.Graph()
        assert gradients.regenerate(gradient, asked) is gradient


def test_of_indexed_slices_the_values_are_computed_again():
    with tf.Graph().as_default() as graph:
        values = tf.compat.v1.placeholder(tf.float32, [2, 3]) * 2.0
        slices = tf.IndexedSlices(
            values, tf.constant([0, 1]), tf.constant([4, 3])
        )
        copy = gradients.regenerate(slices, graph)
    assert copy.values is not slices.values
    assert copy.indices is slices.indices
    assert copy.dense_shape is slices.dense_shape
