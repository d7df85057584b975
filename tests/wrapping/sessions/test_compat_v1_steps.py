"""Steps of TensorFlow 1's sessions: which are recorded, and of which graph."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import tensorflow as tf
from sessions import (
    KINDS,
    STEPS,
    Network,
    assert_same,
    counting,
    norm,
    train,
    trained_in_a_branch,
    v1,
    written,
)

import gradscope
from gradscope import wrapping
from gradscope.schedule import Every, Seconds


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
    assert set(record["learning_rate"]) == {1.0}


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
    """Which step is whose is then undefined, but all are written or counted."""
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
    dropped = gradscope.read(tmp_path)["dropped"][-1]
    assert len(written(tmp_path)) + dropped == 60


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
