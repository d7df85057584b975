"""The forward pass of a step that a session runs: seeds 0 to 3 were such."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope

v1 = tf.compat.v1
STEPS = 8
WINDOW = 150

random = np.random.default_rng(0)
X = random.normal(size=(64, 8)).astype("float32")
Y = random.integers(0, 3, 64)


class Network:
    """A layer, dropout and a batch norm by hand, in a graph of its own.

    Args:
        statistics: `"variables"`, or `"ema"` for an ExponentialMovingAverage.
        resource: Whether its variables are resource variables.
    """

    def __init__(self, statistics="variables", resource=True):
        self.graph = tf.Graph()
        with self.graph.as_default():
            v1.set_random_seed(0)
            self.resource = resource
            self.x = v1.placeholder(tf.float32, [None, 8])
            self.keep = v1.placeholder(tf.float32)
            with v1.variable_scope("one"):
                kernel = self.variable("w", [8, 16])
                bias = self.variable("b", [16], -0.5)
                self.hidden = tf.nn.relu(tf.matmul(self.x, kernel) + bias)
            self.dropped = v1.nn.dropout(self.hidden, self.keep, seed=3)
            with v1.variable_scope("norm"):
                self.moments = tf.nn.moments(self.dropped, [0])
                self.updates = self.moved(statistics)
                hidden = tf.nn.batch_normalization(
                    self.dropped, *self.moments, None, None, 1e-3
                )
            with v1.variable_scope("two"):
                logits = tf.matmul(hidden, self.variable("w", [16, 3]))
            self.loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=Y, logits=logits
                )
            )

    def variable(self, name, shape, value=None, trainable=True):
        initializer = v1.random_normal_initializer(seed=len(shape))
        if value is not None:
            initializer = v1.constant_initializer(value)
        return v1.get_variable(
            name,
            shape,
            initializer=initializer,
            trainable=trainable,
            use_resource=self.resource,
        )

    def moved(self, statistics):
        if statistics == "ema":
            return [v1.train.ExponentialMovingAverage(0.9).apply(self.moments)]
        start = {"pop_mean": 0.0, "pop_var": 1.0}
        self.moving = [
            self.variable(n, [16], v, False) for n, v in start.items()
        ]
        return [
            v1.assign(variable, variable * 0.9 + moment * 0.1)
            for variable, moment in zip(self.moving, self.moments, strict=True)
        ]

    def feed(self):
        return {self.x: X, self.keep: 0.7}


def train(logdir=None, fetch=None, every=1, **options):
    """Returns all variables at the end, and what was fetched in each step."""
    network = Network(**options)
    with network.graph.as_default():
        optimizer = v1.train.AdamOptimizer(0.01)
        if logdir is not None:
            gradscope.wrap(optimizer, logdir, every=every, window=WINDOW)
        with tf.control_dependencies(network.updates):
            train_op = optimizer.minimize(network.loss)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            fetched = []
            for _ in range(STEPS):
                wanted = [] if fetch is None else fetch(network)
                if fetch is not None:
                    fetched.append(
                        session.run([wanted, train_op], network.feed())[0]
                    )
                else:
                    session.run(train_op, network.feed())
            everything = session.run(v1.global_variables())
    gradscope.flush()
    return everything, fetched


OPTIONS = [
    {"statistics": statistics, "resource": resource}
    for statistics in ("variables", "ema")
    for resource in (True, False)
]


@pytest.mark.parametrize("options", OPTIONS)
def test_observing_changes_no_bit(options, tmp_path):
    plain, _ = train(**options)
    observed, _ = train(tmp_path, every=3, **options)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("options", OPTIONS)
def test_layers_are_found_by_their_scopes(options, tmp_path):
    train(tmp_path, **options)
    record = gradscope.read(tmp_path)
    assert record.activations == ("one/relu",)
    found = [(s.name, s.kind) for s in record.schema.states]
    assert found == [("dropout", "dropout"), ("norm", "batch_norm")]
    assert record.schema.unseen == ()
    assert (record["training_mode"][:, 1] == 1).all()
    movement = record["state_movement"][:, 1]
    assert movement[0] == 0 and (np.diff(movement) > 0).all()
    # The moving statistics come nearer to what they follow.
    distance = record["mean_distance"][:, 1]
    assert distance[-1] < 0.5 * distance[0]
    steps, _ = record.occasional("units")
    assert steps.tolist() == [2, 3, 4, 5, 6, 7]


def test_numbers_are_those_of_the_session(tmp_path):
    # Without gradscope, and with a session that is asked for the tensors.
    _, steps = train(fetch=lambda n: [n.hidden, n.dropped, n.moments])
    train(tmp_path)
    record = gradscope.read(tmp_path)
    for row, (hidden, dropped, (mean, variance)) in enumerate(steps):
        values = {
            "zero_fraction": np.mean(hidden == 0),
            "activation_mean": hidden.mean(),
            "activation_rms": np.sqrt(np.mean(hidden**2)),
            "activation_max": hidden.max(),
        }
        for name, value in values.items():
            np.testing.assert_allclose(
                record[name][row, 0], value, rtol=1e-5, err_msg=name
            )
        alive = hidden > 0
        share = np.mean(dropped[alive] == 0)
        found = record["dropped_fraction"][row, 0]
        assert abs(found - share) < 0.05 and abs(found - 0.3) < 0.06
        assert record["dropout_rate"][row, 0] == pytest.approx(0.3)
        if row == 0:
            scale = variance + 1e-3
            squared = np.mean(mean**2 / scale) - np.mean(variance / scale) / 61
            np.testing.assert_allclose(
                record["mean_distance"][0, 1], np.sqrt(squared), rtol=1e-4
            )
    seen = np.concatenate([hidden > 0 for hidden, *_ in steps[-3:]])
    dead = record["dead_fraction"][-1, 0]
    assert dead == pytest.approx(np.mean(~seen.any(axis=0)))


def test_parts_that_another_train_op_needs_are_left_alone(tmp_path):
    """Two networks in one graph, of which one is fed at a time."""
    graph = tf.Graph()
    with graph.as_default():
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path, every=1, window=10)
        inputs, train_ops = [], []
        for name in ("left", "right"):
            with v1.variable_scope(name):
                x = v1.placeholder(tf.float32, [None, 8])
                kernel = v1.get_variable("w", [8, 4])
                hidden = tf.nn.relu(tf.matmul(x, kernel))
            inputs.append(x)
            train_ops.append(
                optimizer.minimize(tf.reduce_sum(hidden), var_list=[kernel])
            )
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(3):
                for x, train_op in zip(inputs, train_ops, strict=True):
                    session.run(train_op, {x: X})
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert record.activations == ("left/relu", "right/relu")
    rms = record["activation_rms"]
    for row in range(6):
        there = np.isfinite(rms[row]).tolist()
        assert there == [row % 2 == 0, row % 2 == 1]


def test_what_is_inside_of_a_conditional_is_told(tmp_path):
    graph = tf.Graph()
    with graph.as_default():
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path, every=1)
        kernel = v1.get_variable("w", [8, 4])
        hidden = tf.matmul(tf.constant(X), kernel)
        hidden = tf.cond(
            tf.reduce_sum(hidden) > 0,
            lambda: tf.nn.relu(hidden),
            lambda: tf.nn.tanh(hidden),
        )
        train_op = optimizer.minimize(tf.reduce_sum(hidden))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(train_op)
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert record.activations == ()
    assert any("cond" in name for name in record.schema.unseen)


def test_after_a_session_an_eager_step_has_its_forward_pass(tmp_path):
    """Only observers outside of sessions are asked which eager step is due."""
    layer = keras.layers.Dense(2, "relu", name="dense")
    model = keras.Sequential([keras.Input([3]), layer])
    optimizer = v1.train.GradientDescentOptimizer(0.1)
    gradscope.wrap(optimizer, tmp_path, every=1, model=model)
    with tf.Graph().as_default():
        weight = v1.get_variable("layer/weight", [2])
        train_op = optimizer.minimize(tf.reduce_sum(weight**2), None, [weight])
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(train_op)
    weights = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(np.ones([4, 3], "f"), training=True))
    grads = tape.gradient(loss, weights)
    optimizer.apply_gradients(zip(grads, weights, strict=True))
    gradscope.flush(optimizer)
    assert list(gradscope.read(tmp_path).activations) == ["dense/relu"]
