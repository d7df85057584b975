"""Optimizers of TensorFlow 1, in a session, in eager mode and in functions."""

import numpy as np
import pytest
import sessions
import tensorflow as tf
from expected import expected_statistics, tensorboard_histograms
from sessions import (
    BITS,
    KINDS,
    STEPS,
    Network,
    assert_same,
    norm,
    plain_steps,
    train,
    v1,
)
from thinning import thinned

import gradscope


def traces(graph):
    """Returns what a checkpoint, a report or an export knows of a graph."""
    with graph.as_default():
        saver = v1.train.Saver()
        return {
            "collections": {
                name: [getattr(item, "name", item) for item in items]
                for name in graph.get_all_collection_keys()
                for items in [graph.get_collection(name)]
            },
            "saved": sorted(v.name for v in saver._var_list),
            "uninitialized": sorted(
                v1.Session().run(v1.report_uninitialized_variables()).tolist()
            ),
        }


REFERENCE = ("sgd", "adam", "ftrl")


@pytest.mark.parametrize(
    "optimizer, kind",
    thinned(
        BITS,
        fast=[(o, k) for o, k in BITS if k == "resource" or o in REFERENCE],
    ),
)
def test_training_is_the_same_bit_for_bit(optimizer, kind, tmp_path):
    plain, plain_network = train(optimizer, kind)
    notes, network = train(optimizer, kind, tmp_path, every=1, histograms=2)
    assert_same(notes, plain)
    assert network.train_op.name == plain_network.train_op.name
    assert traces(network.graph) == traces(plain_network.graph)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS))
    assert list(record.variables) == network.names
    rate = {"adadelta": 10.0, "rmsprop": 0.01, "centered": 0.01}
    np.testing.assert_allclose(
        record["learning_rate"], rate.get(optimizer, 0.1)
    )
    for row, variable in enumerate(network.variables):
        for step in range(STEPS):
            before, after = (
                notes[n][variable.name].astype(np.float64)
                for n in (step, step + 1)
            )
            np.testing.assert_allclose(
                [record[s][step, row] for s in ("weight_norm", "update_norm")],
                [np.linalg.norm(before), np.linalg.norm(after - before)],
                rtol=1e-5,
            )


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_equals_a_plain_computation(kind, tmp_path):
    train("sgd", kind, tmp_path, every=1)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["learning_rate"], 0.1)
    assert record.activations == ("dense/relu",)
    for number, step in enumerate(plain_steps(kind)):
        for row, arrays in enumerate(step):
            gradient = arrays[0]
            expected = expected_statistics(*arrays)
            if row == 0:  # of the table only the words that were read count
                rows = gradient[np.unique(sessions.BATCHES[number][1])]
                expected |= {
                    "gradient_size": rows.size,
                    "gradient_rms": norm(rows) / np.sqrt(rows.size),
                    "gradient_zero_fraction": np.mean(rows == 0),
                    "gradient_unit_spread": np.nan,
                }
            for name, value in expected.items():
                np.testing.assert_allclose(
                    record[name][number, row],
                    value,
                    rtol=1e-5,
                    err_msg=f"{name} of {record.variables[row]}, {number}",
                )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_that_the_user_clips_are_recorded_clipped(kind, tmp_path):
    def clipped(grads):
        return tf.clip_by_global_norm(grads, 0.5)[0]

    network = Network(kind)
    with network.graph.as_default():
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path, every=1)
        pairs = optimizer.compute_gradients(network.loss, network.variables)
        grads, variables = zip(*pairs, strict=True)
        # A `zip` can be read once.
        train_op = optimizer.apply_gradients(
            zip(clipped(grads), variables, strict=True), network.step
        )
    network.run(train_op)
    record = gradscope.read(tmp_path)
    for number, step in enumerate(plain_steps(kind, clipped)):
        np.testing.assert_allclose(
            record["gradient_norm"][number],
            [norm(gradient) for gradient, _, _ in step],
            rtol=1e-5,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_that_is_the_weight_itself_is_that_before(kind, tmp_path):
    """In place, the update changes what the gradient is read from."""
    with tf.Graph().as_default():
        weight = v1.get_variable(
            "weight", initializer=[3.0, 4.0], use_resource=KINDS[kind]
        )
        optimizer = v1.train.GradientDescentOptimizer(0.5)
        gradscope.wrap(optimizer, tmp_path)
        train_op = optimizer.apply_gradients([(weight.read_value(), weight)])
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        session.run(train_op)
    record = gradscope.read(tmp_path)
    np.testing.assert_allclose(record["gradient_norm"], [[5.0], [2.5]])
    np.testing.assert_allclose(record["weight_norm"], [[5.0], [2.5]])
    np.testing.assert_allclose(record["update_norm"], [[2.5], [1.25]])


def test_a_missing_gradient_is_told(tmp_path):
    network = Network()
    with network.graph.as_default():
        unused = v1.get_variable("unused/kernel", [2])
        optimizer = v1.train.AdamOptimizer()
        gradscope.wrap(optimizer, tmp_path)
        train_op = optimizer.minimize(network.loss, network.step)
    notes = network.run(train_op)
    record = gradscope.read(tmp_path)
    assert record.variables[-1] == "unused/kernel"
    assert record["gradient_missing"][0].tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(
        record["weight_norm"][:, -1], norm(notes[0][unused.name]), rtol=1e-6
    )
    np.testing.assert_array_equal(record["update_norm"][:, -1], 0)
    assert np.isnan(record["gradient_norm"][:, -1]).all()


def test_histograms_count_every_element(tmp_path):
    options = {"every": 2, "histograms": 3, "include": "*"}
    _, network = train("adam", "resource", tmp_path, **options)
    gradscope.flush()
    histograms = tensorboard_histograms(tmp_path)
    for variable, name in zip(network.variables, network.names, strict=True):
        for kind in ("weights", "updates"):
            points = histograms[f"{kind}/{name}"]
            assert [step for step, _ in points] == [0, 3]
            for _, rows in points:
                assert rows[:, 2].sum() == np.prod(variable.shape)


@pytest.mark.parametrize("kind", KINDS)
def test_a_learning_rate_in_the_graph_is_that_of_the_step(kind, tmp_path):
    network = Network(kind)
    with network.graph.as_default():
        rate = v1.train.exponential_decay(0.1, network.step, 1, 0.5)
        optimizer = v1.train.AdamOptimizer(rate)
        gradscope.wrap(optimizer, tmp_path)
        train_op = optimizer.minimize(network.loss, network.step)
    network.run(train_op)
    np.testing.assert_allclose(
        gradscope.read(tmp_path)["learning_rate"],
        0.1 * 0.5 ** np.arange(STEPS),
    )


def test_a_learning_rate_of_a_function_is_what_the_function_returned(tmp_path):
    calls = []

    def rate():
        calls.append(1)
        return 0.25

    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.GradientDescentOptimizer(rate)
        gradscope.wrap(optimizer, tmp_path)
        train_op = optimizer.minimize(network.loss)
    network.run(train_op)
    assert len(calls) == 1
    np.testing.assert_allclose(gradscope.read(tmp_path)["learning_rate"], 0.25)


def test_an_optimizer_without_a_known_learning_rate_has_none(tmp_path):
    class Own(v1.train.Optimizer):
        def _resource_apply_dense(self, grad, handle):
            return handle.assign_sub(0.1 * grad)

    with tf.Graph().as_default():
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        optimizer = gradscope.wrap(Own(False, "own"), tmp_path)
        train_op = optimizer.apply_gradients([(tf.ones([2]), weight)])
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
    record = gradscope.read(tmp_path)
    assert np.isnan(record["learning_rate"]).all()
    np.testing.assert_allclose(record["update_norm"], [[0.02**0.5]], rtol=1e-5)
