"""Optimizers of TensorFlow 1, in a session, in eager mode and in functions."""

import gc
import glob
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref

import numpy as np
import pytest
import sessions
import tensorflow as tf
from expected import expected_statistics, tensorboard_histograms
from sessions import KINDS, OPTIMIZERS, STEPS, Network, assert_same, train, v1
from thinning import thinned

import gradscope
from gradscope import wrapping
from gradscope.errors import GradscopeWarning
from gradscope.recording import device_ring, host_ring
from gradscope.schedule import Every, Seconds
from gradscope.wrapping.sessions import inbox


def written(logdir):
    """Returns the events with steps that were written."""
    paths = glob.glob(f"{logdir}/gradscope/*")
    events = [e for p in sorted(paths) for e in v1.train.summary_iterator(p)]
    return [event for event in events if event.summary.value]


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


BITS = [(optimizer, kind) for optimizer in OPTIMIZERS for kind in KINDS]
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


def norm(array):
    return np.linalg.norm(np.asarray(array, np.float64).ravel())


def as_dense(gradient, variable):
    """Returns what `Session.run` returned for a gradient as an array."""
    if not hasattr(gradient, "indices"):
        return gradient
    array = np.zeros(variable.shape, np.float32)
    np.add.at(array, gradient.indices, gradient.values)
    return array


def plain_steps(kind, change=lambda grads: grads):
    """Returns gradient, weight before and after of each step and variable,
    of plain SGD without gradscope, whose gradients are fetched."""
    network = Network(kind)
    with network.graph.as_default():
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        pairs = optimizer.compute_gradients(network.loss, network.variables)
        grads = change([g for g, _ in pairs])
        train_op = optimizer.apply_gradients(
            list(zip(grads, network.variables, strict=True)), network.step
        )
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        steps = []
        for number in range(STEPS):
            before = session.run(network.variables)
            fetched, _ = session.run([grads, train_op], network.feed(number))
            after = session.run(network.variables)
            fetched = map(as_dense, fetched, network.variables)
            steps.append(list(zip(fetched, before, after, strict=True)))
    return steps


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
    _, network = train("adam", "resource", tmp_path, every=2, histograms=3)
    gradscope.flush()
    histograms = tensorboard_histograms(tmp_path)
    for variable, name in zip(network.variables, network.names, strict=True):
        for kind in ("weights", "updates"):
            points = histograms[f"{kind}/{name}"]
            assert [step for step, _ in points] == [0, 3]
            for _, rows in points:
                assert rows[:, 2].sum() == np.prod(variable.shape)


# Learning rates


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


# Steps


def counting(logdir, kind="resource", **options):
    """Returns a graph's train op without a global step, and its weight."""
    weight = v1.get_variable(
        "weight", initializer=[3.0, 4.0], use_resource=KINDS[kind]
    )
    optimizer = v1.train.GradientDescentOptimizer(0.1)
    gradscope.wrap(optimizer, logdir, **options)
    return optimizer.apply_gradients([(tf.ones([2]), weight)]), weight


def test_without_a_global_step_the_runs_of_a_session_are_counted(tmp_path):
    with tf.Graph().as_default():
        train_op, _ = counting(tmp_path, every=Every(3, dense=2))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(8):
                session.run(train_op)
        assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 3, 6]
        # A session has variables of its own, and steps.
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(train_op)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0]
    np.testing.assert_allclose(record["weight_norm"], [[5.0]])


def test_a_step_that_fails_is_not_counted(tmp_path):
    with tf.Graph().as_default():
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        gradient = v1.placeholder(tf.float32, [2])
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path)
        train_op = optimizer.apply_gradients(
            [(tf.debugging.check_numerics(gradient, "wrong"), weight)]
        )
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op, {gradient: [1, 1]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="wrong"):
            session.run(train_op, {gradient: [np.nan, 1]})
        session.run(train_op, {gradient: [1, 1]})
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]


def test_a_global_step_that_a_checkpoint_restored_goes_on(tmp_path):
    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.AdamOptimizer()
        gradscope.wrap(optimizer, tmp_path, every=Every(10, dense=0))
        train_op = optimizer.minimize(network.loss, network.step)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(network.step.assign(48))
        network.run(train_op, 6, session)
        session.run(network.step.assign(28))
        network.run(train_op, 6, session)
    gradscope.flush()
    steps = [event.step for event in written(tmp_path)]
    assert steps == [50, 30]


def test_seconds_are_counted_by_the_session(tmp_path):
    with tf.Graph().as_default():
        train_op, _ = counting(tmp_path, every=Seconds(0.3))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for number in range(6):
                if number == 4:
                    time.sleep(0.4)
                session.run(train_op)
    steps = gradscope.read(tmp_path).steps.tolist()
    assert steps[0] == 0 and 4 in steps and len(steps) < 6


def test_a_session_in_another_thread(tmp_path):
    with tf.Graph().as_default() as graph:
        train_op, _ = counting(tmp_path)
        session = v1.Session()
        session.run(v1.global_variables_initializer())

    def loop():
        for _ in range(5):
            session.run(train_op)

    assert graph is session.graph
    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    assert gradscope.read(tmp_path).steps.tolist() == list(range(5))


# Several train ops, optimizers and graphs


def two_parts(logdir, **options):
    """Returns two train ops of one optimizer, each for its own variable."""
    left = v1.get_variable("left/kernel", initializer=[3.0, 4.0])
    right = v1.get_variable("right/kernel", initializer=[6.0, 8.0])
    optimizer = v1.train.GradientDescentOptimizer(1.0)
    gradscope.wrap(optimizer, logdir, **options)
    first = optimizer.apply_gradients([(tf.constant([1.0, 0.0]), left)])
    second = optimizer.apply_gradients([(tf.constant([0.0, 2.0]), right)])
    return first, second


def test_two_train_ops_that_take_turns(tmp_path):
    with tf.Graph().as_default():
        first, second = two_parts(
            tmp_path, every=Every(4, dense=0), histograms=4
        )
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        for _ in range(5):
            session.run(first)
            session.run(second)
    record = gradscope.read(tmp_path)
    assert record.variables == ("left/kernel", "right/kernel")
    # Each part is due at its first step since 0, 4 and 8.
    nan = np.nan
    steps = {0: [1, nan], 4: [1, nan], 5: [nan, 2], 8: [1, nan], 9: [nan, 2]}
    assert record.steps.tolist() == list(steps)
    np.testing.assert_array_equal(record["gradient_norm"], list(steps.values()))
    np.testing.assert_array_equal(record["gradient_missing"][0], [0, nan])


def test_two_train_ops_that_run_at_once_are_one_step(tmp_path):
    with tf.Graph().as_default():
        train_ops = two_parts(tmp_path, histograms=2)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(tf.group(*train_ops))
    record = gradscope.read(tmp_path)
    assert record.steps[0] == 0
    norms = record["gradient_norm"]
    np.testing.assert_array_equal(np.nanmax(norms, axis=0), [1, 2])


def test_a_train_op_that_comes_late_adds_rows(tmp_path):
    with tf.Graph().as_default():
        left = v1.get_variable("left/kernel", initializer=[3.0, 4.0])
        right = v1.get_variable("right/kernel", initializer=[6.0, 8.0])
        optimizer = v1.train.GradientDescentOptimizer(1.0)
        gradscope.wrap(optimizer, tmp_path)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(optimizer.apply_gradients([(tf.ones([2]), left)]))
        session.run(optimizer.apply_gradients([(tf.ones([2]), right)]))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1]
    norms = dict(zip(record.variables, record["weight_norm"].T, strict=True))
    np.testing.assert_array_equal(norms["left/kernel"], [5, np.nan])
    np.testing.assert_array_equal(norms["right/kernel"], [np.nan, 10])


def test_two_optimizers_in_one_graph_have_a_record_each(tmp_path):
    network = Network()
    with network.graph.as_default():
        train_ops = []
        for name, rate in [("one", 0.1), ("two", 0.01)]:
            optimizer = v1.train.AdamOptimizer(rate, name=name)
            gradscope.wrap(optimizer, tmp_path / name)
            variables = network.variables[:2]
            if name == "two":
                variables = network.variables[2:]
            train_ops.append(
                optimizer.minimize(network.loss, var_list=variables)
            )
    network.run(train_ops)
    for name, rate, rows in [("one", 0.1, [0, 1]), ("two", 0.01, [2, 3])]:
        record = gradscope.read(tmp_path / name)
        assert record.steps.tolist() == list(range(STEPS))
        assert list(record.variables) == [network.names[i] for i in rows]
        np.testing.assert_allclose(record["learning_rate"], rate)


def test_one_optimizer_in_two_graphs(tmp_path):
    optimizer = gradscope.wrap(v1.train.AdamOptimizer(), tmp_path)
    for _ in range(2):
        network = Network()
        with network.graph.as_default():
            train_op = optimizer.minimize(network.loss, network.step)
        network.run(train_op, 3)
    record = gradscope.read(tmp_path)
    assert list(record.variables) == network.names
    assert record.steps.tolist() == [0, 1, 2]


def test_an_optimizer_that_is_forgotten_goes_on_with_its_graph(tmp_path):
    network = Network()
    with network.graph.as_default():
        train_op = gradscope.wrap(v1.train.AdamOptimizer(), tmp_path).minimize(
            network.loss, network.step
        )
    gc.collect()
    network.run(train_op)
    assert gradscope.read(tmp_path).steps.tolist() == list(range(STEPS))
    graph = weakref.ref(network.graph)
    del network, train_op
    v1.reset_default_graph()
    gc.collect()
    assert graph() is None
    gradscope.flush()
    assert not wrapping._seams


def test_the_layers_are_in_the_order_of_the_forward_pass(tmp_path):
    _, network = train("adam", "reference", tmp_path)
    record = gradscope.read(tmp_path)
    assert list(record.variables) == network.names
    assert record.layers == ("words", "dense", "last")


# Sessions that watch


@pytest.mark.parametrize("kind", KINDS)
def test_a_monitored_session_needs_nothing_else(kind, tmp_path):
    network = Network(kind)
    with network.graph.as_default():
        optimizer = v1.train.AdamOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path / "run", every=1)
        train_op = optimizer.minimize(network.loss, network.step)
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path / "checkpoints"),
            hooks=[v1.train.StopAtStepHook(num_steps=STEPS)],
        ) as session:
            for number in range(STEPS):
                session.run(train_op, network.feed(number))
            assert network.graph.finalized
    record = gradscope.read(tmp_path / "run")
    assert record.steps.tolist() == list(range(STEPS))
    latest = tf.train.latest_checkpoint(tmp_path / "checkpoints")
    saved = {name for name, _ in tf.train.list_variables(latest)}
    with network.graph.as_default():
        assert saved == {v.op.name for v in v1.global_variables()}


def test_what_is_made_later_draws_the_same_numbers(tmp_path):
    """Of a graph's seed each random op gets its own, by its number."""

    def draws(logdir):
        network = Network()
        with network.graph.as_default():
            optimizer = v1.train.AdamOptimizer(0.1)
            if logdir is not None:
                gradscope.wrap(optimizer, logdir)
            optimizer.minimize(network.loss)
            later = tf.random.normal([3])
            with v1.Session() as session:
                return later.name, session.run(later).tolist()

    assert draws(tmp_path) == draws(None)


def trained_in_a_branch(logdir):
    """Trains where a condition in the graph says so."""
    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.MomentumOptimizer(0.1, 0.9)
        if logdir is not None:
            gradscope.wrap(optimizer, logdir, every=1)
        pairs = optimizer.compute_gradients(network.loss)

        def branch():
            with tf.control_dependencies([optimizer.apply_gradients(pairs)]):
                return tf.constant(1)

        odd = tf.equal(network.step % 2, 1)
        with tf.control_dependencies(
            [tf.cond(odd, branch, lambda: tf.constant(0))]
        ):
            train_op = network.step.assign_add(1)
    return network.run(train_op)


def test_a_train_op_in_a_branch(tmp_path):
    notes = trained_in_a_branch(tmp_path)
    assert_same(notes, trained_in_a_branch(None))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    moved = [
        norm(notes[n + 1]["dense/kernel:0"] - notes[n]["dense/kernel:0"])
        for n in (1, 3, 5)
    ]
    row = record.variables.index("dense/kernel")
    np.testing.assert_allclose(record["update_norm"][:, row], moved, rtol=1e-5)


def test_a_train_op_in_a_loop(tmp_path):
    def trained(logdir):
        with tf.Graph().as_default():
            weight = v1.get_variable("weight", initializer=[3.0, 4.0])
            optimizer = v1.train.MomentumOptimizer(0.1, 0.9)
            if logdir is not None:
                gradscope.wrap(optimizer, logdir)

            def body(number):
                pairs = [(weight.read_value(), weight)]
                with tf.control_dependencies(
                    [optimizer.apply_gradients(pairs)]
                ):
                    return number + 1

            loop = tf.while_loop(lambda n: n < 5, body, [tf.constant(0)])
            session = v1.Session()
            session.run(v1.global_variables_initializer())
            session.run(loop)
            return session.run(weight)

    np.testing.assert_array_equal(trained(tmp_path), trained(None))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(5))
    np.testing.assert_allclose(
        record["gradient_norm"], record["weight_norm"], rtol=1e-6
    )


def test_a_server_of_this_process_and_devices_by_name(tmp_path):
    server = tf.distribute.Server.create_local_server()
    with tf.Graph().as_default() as graph:
        with tf.device("/job:localhost/task:0/device:CPU:0"):
            train_op, _ = counting(tmp_path)
        with v1.train.MonitoredTrainingSession(server.target) as session:
            for _ in range(3):
                session.run(train_op)
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2]
    devices = {
        op.device
        for op in graph.get_operations()
        if op.name.startswith("gradscope/")
    }
    # The job is the user's; the device is left to TensorFlow, or the host.
    task = "/job:localhost/task:0"
    assert devices <= {task, f"{task}/device:CPU:0"}


def test_the_pieces_of_a_variable_belong_to_one_layer(tmp_path):
    with tf.Graph().as_default():
        halves = v1.fixed_size_partitioner(2)
        with v1.variable_scope("net", partitioner=halves):
            kernel = v1.get_variable("dense/kernel", [4, 3])
            bias = v1.get_variable("dense/bias", [4])
            top = v1.get_variable("top/bias", [4])
        loss = sum(tf.nn.l2_loss(v.as_tensor()) for v in (kernel, bias, top))
        optimizer = gradscope.wrap(v1.train.AdamOptimizer(), tmp_path)
        train_op = optimizer.minimize(loss)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
    record = gradscope.read(tmp_path)
    assert record.layers == ("dense", "top")
    assert record.variables == (
        "dense/kernel/part_0",
        "dense/kernel/part_1",
        "dense/bias/part_0",
        "dense/bias/part_1",
        "top/bias/part_0",
        "top/bias/part_1",
    )


def test_threads_that_race_lose_nothing_but_numbers(tmp_path):
    """Which step is whose is then undefined, but all are written."""
    with tf.Graph().as_default():
        train_op, weight = counting(tmp_path, every=1)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
    threads = [
        threading.Thread(
            target=lambda: [session.run(train_op) for _ in range(20)]
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(session.run(weight), [-3, -2], atol=1e-4)
    gradscope.flush()
    assert len(written(tmp_path)) == 60


@pytest.mark.parametrize(
    "options, panels",
    [({"histograms": None}, []), ({"include": "den*"}, ["dense"])],
)
def test_histograms_can_be_chosen(options, panels, tmp_path):
    notes, _ = train("adam", "resource", tmp_path, **options)
    assert_same(notes, train("adam", "resource")[0])
    gradscope.flush()
    assert len(gradscope.read(tmp_path).steps) == STEPS
    tags = {v.tag for event in written(tmp_path) for v in event.summary.value}
    kinds = ("gradients/", "weights/", "updates/")
    there = {tag.split("/")[1] for tag in tags if tag.startswith(kinds)}
    assert there == set(panels)


# Optimizers around optimizers


def scaled(logdir, scale, kind="resource"):
    network = Network(kind)
    with network.graph.as_default():
        optimizer = v1.train.experimental.MixedPrecisionLossScaleOptimizer(
            v1.train.MomentumOptimizer(0.1, 0.9), scale()
        )
        if logdir is not None:
            gradscope.wrap(optimizer, logdir, every=1)
        train_op = optimizer.minimize(network.loss, network.step)
    return network.run(train_op), network


@pytest.mark.parametrize(
    "scale, kind",
    [
        ("fixed", "reference"),
        ("fixed", "resource"),
        # TensorFlow 2's `cond` takes no reference variables.
        ("dynamic", "resource"),
    ],
)
def test_under_a_loss_scale_gradients_are_unscaled(scale, kind, tmp_path):
    scales = v1.train.experimental
    make = {
        "fixed": lambda: scales.FixedLossScale(128.0),
        "dynamic": lambda: scales.DynamicLossScale(1024.0),
    }[scale]
    notes, network = scaled(tmp_path, make, kind)
    assert_same(notes, scaled(None, make, kind)[0])
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS))
    known = 128 if scale == "fixed" else np.nan
    np.testing.assert_array_equal(record["loss_scale"], known)
    # The first step of momentum is the gradient times the rate.
    np.testing.assert_allclose(
        record["gradient_norm"][0],
        [
            norm(notes[1][v.name] - notes[0][v.name]) / 0.1
            for v in network.variables
        ],
        rtol=1e-4,
    )


def test_steps_that_a_dynamic_loss_scale_skips_are_no_steps(tmp_path):
    network = Network()
    with network.graph.as_default():
        scales = v1.train.experimental
        optimizer = scales.MixedPrecisionLossScaleOptimizer(
            v1.train.GradientDescentOptimizer(0.1),
            scales.DynamicLossScale(1024.0),
        )
        gradscope.wrap(optimizer, tmp_path, every=1)
        train_op = optimizer.minimize(network.loss, network.step)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        feed = network.feed(0)
        for factor in (1, np.inf, 1):
            session.run(train_op, feed | {network.x: feed[network.x] * factor})
        assert session.run(network.step) == 2
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1]
    np.testing.assert_array_equal(record["gradient_nonfinite"], 0)


def test_replicas_that_wait_for_each_other_are_observed_together(tmp_path):
    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.SyncReplicasOptimizer(
            v1.train.GradientDescentOptimizer(0.1),
            replicas_to_aggregate=1,
            total_num_replicas=1,
        )
        assert gradscope.wrap(optimizer, tmp_path, every=1) is optimizer
        train_op = optimizer.minimize(network.loss, network.step)
        # What the chief's queue runner does, without its thread.
        updates = optimizer.get_chief_queue_runner().enqueue_ops
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run([optimizer.local_step_init_op, optimizer.chief_init_op])
        for number in range(3):
            session.run([train_op, updates], network.feed(number))
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2]
    expected = [norm(gradient) for gradient, _, _ in plain_steps("resource")[0]]
    np.testing.assert_allclose(record["gradient_norm"][0], expected, rtol=1e-5)


# Eager mode and functions


@pytest.mark.parametrize("with_step", [False, True])
@pytest.mark.parametrize(
    "wrapper",
    [lambda f: f, tf.function, tf.function(jit_compile=True)],
    ids=["eager", "function", "jit"],
)
def test_outside_of_sessions(wrapper, with_step, tmp_path):
    def trained(logdir):
        weight = tf.Variable([6.0, 8.0], name="layer/kernel")
        step = tf.Variable(7, dtype=tf.int64) if with_step else None
        optimizer = v1.train.MomentumOptimizer(0.5, 0.9)
        if logdir is not None:
            gradscope.wrap(optimizer, logdir, every=1)

        def train_step():
            with tf.GradientTape() as tape:
                loss = tf.nn.l2_loss(weight)
            grads = tape.gradient(loss, [weight])
            optimizer.apply_gradients(zip(grads, [weight], strict=True), step)

        train_step = wrapper(train_step)
        for _ in range(3):
            train_step()
        return weight.numpy()

    np.testing.assert_array_equal(trained(tmp_path), trained(None))
    record = gradscope.read(tmp_path)
    first = 7 if with_step else 0
    assert record.steps.tolist() == [first, first + 1, first + 2]
    assert record.variables == ("layer/kernel",)
    np.testing.assert_allclose(record["gradient_norm"][:2], [[10], [5]])
    np.testing.assert_allclose(record["update_norm"][0], [5])
    np.testing.assert_allclose(record["learning_rate"], 0.5)


def test_one_optimizer_in_eager_mode_and_in_a_graph(tmp_path):
    optimizer = v1.train.GradientDescentOptimizer(0.5)
    gradscope.wrap(optimizer, tmp_path)
    weight = tf.Variable([6.0, 8.0], name="kernel")
    optimizer.apply_gradients([(tf.ones([2]), weight)])
    with tf.Graph().as_default():
        other = v1.get_variable("other", initializer=[3.0, 4.0])
        train_op = optimizer.apply_gradients([(tf.ones([2]), other)])
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        # The eager record is written too, while a graph is the default.
        gradscope.flush()
    assert len(written(tmp_path)) == 2


# Programs of TensorFlow 1


PROGRAM = """
import sys
import numpy as np
import tensorflow as tf
v1 = tf.compat.v1
sys.path.insert(0, {tests!r})
{settings}
import gradscope, sessions
from gradscope.errors import GradscopeWarning
import warnings
warnings.simplefilter("error", GradscopeWarning)
{body}
"""


def run_program(settings, body, **environment):
    script = PROGRAM.format(
        tests=os.path.dirname(__file__),
        settings=settings,
        body=textwrap.dedent(body),
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


BEHAVIOURS = {
    "cond_v1": ("v1.disable_v2_behavior()", ["reference", "resource"]),
    # TensorFlow 2's `cond` takes no reference variables, and the global step
    # is one here.
    "cond_v2": (
        "v1.disable_v2_behavior(); v1.enable_control_flow_v2()",
        [],
    ),
}


@pytest.mark.parametrize(
    "behaviour", thinned(list(BEHAVIOURS), fast=["cond_v1"])
)
def test_a_program_of_tensorflow_1(behaviour, tmp_path):
    """Reference variables are the default, and nothing is ever eager."""
    settings, scaled_kinds = BEHAVIOURS[behaviour]
    body = f"""
        for kind in sessions.KINDS:
            for name in ("adam", "sgd"):
                logdir = {str(tmp_path)!r} + f"/{{kind}}/{{name}}"
                notes, network = sessions.train(name, kind, logdir, every=2)
                plain, other = sessions.train(name, kind)
                sessions.assert_same(notes, plain)
                assert network.graph.collections == other.graph.collections
                record = gradscope.read(logdir)
                assert record.steps.tolist() == list(range(sessions.STEPS))
                assert list(record.variables) == network.names
        # In branches; a dynamic loss scale is one around its optimizer.
        import test_compat_v1 as tests
        logdir = {str(tmp_path)!r} + "/branch"
        notes = tests.trained_in_a_branch(logdir)
        sessions.assert_same(notes, tests.trained_in_a_branch(None))
        assert gradscope.read(logdir).steps.tolist() == [0, 1, 2]
        scale = lambda: v1.train.experimental.DynamicLossScale(1024.0)
        for kind in {scaled_kinds!r}:
            logdir = {str(tmp_path)!r} + "/scaled_" + kind
            notes, _ = tests.scaled(logdir, scale, kind)
            sessions.assert_same(notes, tests.scaled(None, scale, kind)[0])
            record = gradscope.read(logdir)
            assert record.steps.tolist() == list(range(sessions.STEPS))
            assert record["update_norm"].min() > 0
        # Written when the program ends.
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        train_op = gradscope.wrap(
            v1.train.GradientDescentOptimizer(1.0), {str(tmp_path / "end")!r}
        ).minimize(tf.nn.l2_loss(weight))
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        session.run(train_op)
    """
    run_program(settings, body)
    for kind in KINDS:
        record = gradscope.read(tmp_path / kind / "sgd")
        for number, step in enumerate(plain_steps(kind)):
            for row, (gradient, before, after) in enumerate(step):
                np.testing.assert_allclose(
                    [
                        record[name][number, row]
                        for name in (
                            "gradient_norm",
                            "weight_norm",
                            "update_norm",
                        )
                    ],
                    [norm(gradient), norm(before), norm(after - before)],
                    rtol=1e-5,
                )
    record = gradscope.read(tmp_path / "end")
    np.testing.assert_allclose(record["gradient_norm"], [[5.0], [0.0]])
    np.testing.assert_allclose(record["weight_norm"], [[5.0], [0.0]])


@pytest.mark.slow
def test_a_session_that_compiles_clusters(tmp_path):
    body = f"""
        config = v1.ConfigProto()
        level = v1.OptimizerOptions.ON_1
        config.graph_options.optimizer_options.global_jit_level = level

        def trained(name, logdir):
            network = sessions.Network()
            with network.graph.as_default():
                optimizer = sessions.OPTIMIZERS[name](network.step)
                if logdir is not None:
                    gradscope.wrap(optimizer, logdir, every=1)
                train_op = optimizer.minimize(network.loss, network.step)
                session = v1.Session(config=config)
                session.run(v1.global_variables_initializer())
            return network.run(train_op, session=session)

        for name in ("sgd", "adam"):
            logdir = {str(tmp_path)!r} + "/" + name
            sessions.assert_same(trained(name, logdir), trained(name, None))
            record = gradscope.read(logdir)
            assert record.steps.tolist() == list(range(sessions.STEPS))
            assert record["update_norm"].min() > 0
    """
    flags = "--tf_xla_cpu_global_jit --tf_xla_min_cluster_size=1"
    run_program("", body, TF_XLA_FLAGS=flags)


IMPORT = """
    with tf.Graph().as_default(), v1.Session() as session:
        saver = v1.train.import_meta_graph({model!r} + ".meta")
        saver.restore(session, {model!r})
        train_op, = v1.get_collection("train_op")
        for number in range(3):
            feed = sessions.BATCHES[number]
            session.run(train_op, dict(zip(["x:0", "words:0"], feed)))
        step = v1.train.get_global_step()
        assert session.run(step) == sessions.STEPS + 3
"""


def test_a_graph_that_is_imported_elsewhere_trains_on(tmp_path):
    """Where there is nobody to deliver to."""
    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.AdamOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path / "run", every=1)
        train_op = optimizer.minimize(network.loss, network.step)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        network.run(train_op, session=session)
        model = v1.train.Saver().save(session, str(tmp_path / "model"))
    script = textwrap.dedent(IMPORT).format(model=model)
    run_program("", script)
    # Here, too, when the graph that it was is gone.
    gradscope.unwrap(optimizer)
    del network, optimizer, train_op, session
    gc.collect()
    exec(script, {"tf": tf, "v1": v1, "sessions": sessions})
    assert gradscope.read(tmp_path / "run").steps.tolist() == list(range(STEPS))


# Ending, and what cannot be


def test_after_unwrap_a_train_op_records_no_more(tmp_path):
    with tf.Graph().as_default():
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        attributes = dict(vars(optimizer))
        gradscope.wrap(optimizer, tmp_path)
        train_op = optimizer.apply_gradients([(tf.ones([2]), weight)])
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        session.run(train_op)
        assert gradscope.unwrap(optimizer) is optimizer
        assert vars(optimizer).keys() == attributes.keys()
        for _ in range(3):
            session.run(train_op)
        np.testing.assert_allclose(session.run(weight), [2.5, 3.5], rtol=1e-6)
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1]


def test_a_train_op_from_before_wrap_is_told(tmp_path):
    network = Network()
    with network.graph.as_default():
        optimizer = v1.train.AdamOptimizer()
        optimizer.minimize(network.loss)
        with pytest.warns(
            GradscopeWarning, match="this AdamOptimizer has made a train op"
        ):
            gradscope.wrap(optimizer, tmp_path)


def test_errors_of_the_optimizer_are_the_same(tmp_path):
    def messages(optimizer):
        with tf.Graph().as_default():
            weight = v1.get_variable("weight", [2])
            for pairs in ([(None, weight)], [], [(tf.ones([2]), "weight")], 3):
                with pytest.raises(Exception) as raised:
                    optimizer.apply_gradients(pairs)
                yield type(raised.value), str(raised.value)

    make = v1.train.GradientDescentOptimizer
    wrapped = gradscope.wrap(make(0.1), tmp_path)
    assert list(messages(wrapped)) == list(messages(make(0.1)))


def test_a_train_op_that_is_an_update_itself_is_told(tmp_path):
    class Own(v1.train.GradientDescentOptimizer):
        def apply_gradients(self, grads_and_vars, global_step=None, name=None):
            ((gradient, variable),) = grads_and_vars
            return variable.assign_sub(gradient, read_value=False)

    with tf.Graph().as_default():
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        optimizer = gradscope.wrap(Own(0.1), tmp_path)
        with pytest.warns(
            GradscopeWarning,
            match=r"cannot observe Own: the train op "
            r"'AssignSubVariableOp' itself updates.*return `tf.group",
        ):
            train_op = optimizer.apply_gradients([(tf.ones([2]), weight)])
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        np.testing.assert_allclose(session.run(weight), [2, 3])


def test_a_train_op_that_was_there_before_is_told(tmp_path):
    class Own(v1.train.GradientDescentOptimizer):
        def apply_gradients(self, grads_and_vars):
            return there

    with tf.Graph().as_default():
        there = tf.no_op("there")
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        session = v1.Session()
        session.run(there)
        optimizer = gradscope.wrap(Own(0.1), tmp_path)
        with pytest.warns(
            GradscopeWarning,
            match="'there' is older than this call. Let `apply_gradients` ret",
        ):
            session.run(optimizer.apply_gradients([(tf.ones([2]), weight)]))


def test_a_train_op_on_a_parameter_server_is_told(tmp_path):
    with tf.Graph().as_default(), tf.device("/job:ps/task:0"):
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        optimizer = gradscope.wrap(v1.train.AdamOptimizer(), tmp_path)
        with pytest.warns(
            GradscopeWarning,
            match=r"is placed on /job:ps/task:0, .* Call `apply_gradients` on",
        ):
            optimizer.minimize(tf.nn.l2_loss(weight))


def test_a_worker_of_parameter_servers_delivers_itself(tmp_path):
    with tf.Graph().as_default() as graph:
        setter = v1.train.replica_device_setter(
            ps_tasks=1, worker_device="/job:worker/task:3"
        )
        with v1.device(setter):
            weight = v1.get_variable("weight", initializer=[3.0, 4.0])
            optimizer = gradscope.wrap(v1.train.AdamOptimizer(), tmp_path)
            optimizer.minimize(tf.nn.l2_loss(weight))
    assert weight.device == "/job:ps/task:0"
    kinds = ("MutableHashTableV2", "LookupTableFindV2", "LookupTableInsertV2")
    cells = [op.device for op in graph.get_operations() if op.type in kinds]
    assert set(cells) == {"/job:worker/task:3/device:CPU:0"}


def test_a_train_op_that_is_none_is_told(tmp_path):
    class Own(v1.train.GradientDescentOptimizer):
        def apply_gradients(self, grads_and_vars):
            return "done"

    with tf.Graph().as_default():
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        optimizer = gradscope.wrap(Own(0.1), tmp_path)
        with pytest.warns(
            GradscopeWarning, match="must return an operation, got 'done'"
        ):
            optimizer.apply_gradients([(tf.ones([2]), weight)])


def test_what_xla_compiles_as_a_whole_is_told(tmp_path):
    with tf.Graph().as_default():
        weight = v1.get_variable("weight", initializer=[3.0, 4.0])
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path)

        @tf.function(jit_compile=True)
        def step():
            optimizer.apply_gradients([(tf.ones([2]), weight)])
            return tf.constant(0)

        with pytest.warns(
            GradscopeWarning, match="XLA is to compile this train op as a who"
        ):
            train_op = step()
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        session.run(train_op)
        np.testing.assert_allclose(session.run(weight), [2.9, 3.9])


def test_several_replicas_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        type(tf.distribute.get_strategy()), "num_replicas_in_sync", 2
    )
    with pytest.raises(
        NotImplementedError,
        match=r"of TensorFlow 1 on 2 replicas adds up .*Train with a Keras opt",
    ):
        gradscope.wrap(v1.train.AdamOptimizer(), tmp_path)


def test_what_is_no_tf_variable_is_told(tmp_path):
    class Own(v1.train.GradientDescentOptimizer):
        def apply_gradients(self, grads_and_vars):
            return tf.no_op()

    with tf.Graph().as_default():
        optimizer = gradscope.wrap(Own(0.1), tmp_path)
        with pytest.warns(GradscopeWarning, match="'x' is not a tf.Variable"):
            optimizer.apply_gradients([(tf.ones([2]), "x")])


def test_a_failure_while_recording_is_one_warning(tmp_path, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("broken")

    with tf.Graph().as_default():
        train_op, weight = counting(tmp_path)
        monkeypatch.setattr(inbox.SessionInbox, "_open", broken)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        with pytest.warns(
            GradscopeWarning,
            match="cannot record the steps of GradientDescentOptimizer: "
            "RuntimeError: broken",
        ) as warned:
            for _ in range(3):
                session.run(train_op)
        assert len(warned) == 1
        np.testing.assert_allclose(session.run(weight), [2.7, 3.7], rtol=1e-6)


def test_a_failure_while_recording_that_is_an_error_is_printed(
    tmp_path, monkeypatch, capsys
):
    def broken(*arguments):
        raise RuntimeError("broken")

    with tf.Graph().as_default():
        train_op, _ = counting(tmp_path)
        monkeypatch.setattr(inbox.SessionInbox, "_open", broken)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.run(train_op)
    assert "RuntimeError: broken" in capsys.readouterr().err


# The ring


def test_a_ring_on_the_host_loses_the_oldest_and_counts_them():
    ring = host_ring.HostRing(2)
    assert ring.fetch()[2] == 0
    for step in range(5):
        assert ring.put(step, np.full(3, step, np.float32), 0, np.add)
    assert ring.count_waiting() == 2
    steps, rows, lost = ring.fetch()
    assert steps.tolist() == [3, 4] and steps.dtype == np.int64
    assert rows.tolist() == [[3, 3, 3], [4, 4, 4]]
    assert lost == 3
    assert ring.count_waiting() == 0 and ring.fetch()[2] == 0


def test_a_ring_on_the_host_combines_the_parts_of_a_step():
    ring = host_ring.HostRing(4)
    assert ring.put(7, np.ones(1), 0, np.add)
    assert not ring.put(7, np.ones(1), 1, np.add)
    # The same part once more: another session, perhaps.
    assert ring.put(7, np.ones(1), 1, np.add)
    steps, rows, _ = ring.fetch()
    assert steps.tolist() == [7, 7]
    assert rows.tolist() == [[2], [1]]


def test_no_due_step_is_lost_uncounted(tmp_path, monkeypatch):
    monkeypatch.setattr(device_ring, "RING_BYTES", 1)
    with tf.Graph().as_default():
        train_op, _ = counting(tmp_path, every=1, histograms=1)
        session = v1.Session()
        session.run(v1.global_variables_initializer())
        for _ in range(50):
            session.run(train_op)
    record = gradscope.read(tmp_path)
    assert len(record.steps) + record["dropped"][-1] == 50
    assert record["histograms_dropped"][-1] == 0
    assert len(tensorboard_histograms(tmp_path)["weights/weight/weight"]) > 40


def test_a_model_of_tf_keras_takes_it(tmp_path):
    import tf_keras

    def trained(logdir):
        tf_keras.utils.set_random_seed(7)
        model = tf_keras.Sequential([tf_keras.layers.Dense(3, name="layer")])
        optimizer = v1.train.AdamOptimizer(0.1)
        if logdir is not None:
            gradscope.wrap(optimizer, logdir)
        model.compile(optimizer, "mse")
        x, y = np.ones([32, 4]), np.ones([32, 3])
        model.fit(x, y, batch_size=8, verbose=0)
        return model.get_weights()

    for left, right in zip(trained(tmp_path), trained(None), strict=True):
        np.testing.assert_array_equal(left, right)
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == [0, 1, 2, 3]
    assert record.layers == ("layer",)
