"""How records of TensorFlow 1's sessions end, and what cannot be recorded."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from expected import tensorboard_histograms
from sessions import Network, counting, v1

import gradscope
from gradscope.errors import GradscopeWarning
from gradscope.recording import device_ring, host_ring
from gradscope.wrapping.sessions import inbox


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
            GradscopeWarning,
            match="this AdamOptimizer has already made a train op",
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
            match="'there' was made before this call. Let `apply_gradients`",
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
            GradscopeWarning, match="XLA compiles this train op as a whole"
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
        match=r"TensorFlow 1 optimizer on 2 replicas sums .*Train with a Keras",
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
