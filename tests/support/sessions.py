"""A network as TensorFlow 1 trains it, for test_compat_v1."""

import functools

import numpy as np
import tensorflow as tf

import gradscope

v1 = tf.compat.v1
STEPS = 6

rng = np.random.default_rng(0)
BATCHES = [
    (rng.normal(size=(6, 4)).astype("f"), rng.integers(0, 5, 6))
    for _ in range(STEPS)
]

#: Every optimizer; each gets the graph's global step.
OPTIMIZERS = {
    "sgd": lambda step: v1.train.GradientDescentOptimizer(0.1),
    "momentum": lambda step: v1.train.MomentumOptimizer(0.1, 0.9),
    "nesterov": lambda step: v1.train.MomentumOptimizer(
        0.1, 0.9, use_nesterov=True
    ),
    "adam": lambda step: v1.train.AdamOptimizer(0.1),
    "adagrad": lambda step: v1.train.AdagradOptimizer(0.1),
    "adagrad_da": lambda step: v1.train.AdagradDAOptimizer(0.1, step),
    "adadelta": lambda step: v1.train.AdadeltaOptimizer(10.0),
    "rmsprop": lambda step: v1.train.RMSPropOptimizer(0.01, momentum=0.5),
    "centered": lambda step: v1.train.RMSPropOptimizer(0.01, centered=True),
    "ftrl": lambda step: v1.train.FtrlOptimizer(0.1),
    "proximal_adagrad": lambda step: v1.train.ProximalAdagradOptimizer(
        0.1, l1_regularization_strength=0.001
    ),
    "proximal_sgd": lambda step: v1.train.ProximalGradientDescentOptimizer(
        0.1, l2_regularization_strength=0.001
    ),
}

#: Reference variables are updated in place, resource variables are not.
KINDS = {"reference": False, "resource": True}


class Network:
    """A table of words and two layers, in a graph of its own.

    Args:
        kind: One of KINDS.
    """

    def __init__(self, kind="resource"):
        self.graph = tf.Graph()
        with self.graph.as_default():
            v1.set_random_seed(3)
            variable = functools.partial(
                v1.get_variable, use_resource=KINDS[kind]
            )
            self.x = v1.placeholder(tf.float32, [None, 4], "x")
            self.words = v1.placeholder(tf.int64, [None], "words")
            # Made in another order than they are used in.
            last = variable("last/kernel", [3, 1])
            table = variable("words/table", [5, 4])
            kernel = variable("dense/kernel", [4, 3])
            bias = variable("dense/bias", [3], initializer=v1.ones_initializer)
            hidden = self.x + tf.nn.embedding_lookup(table, self.words)
            hidden = tf.nn.relu(tf.matmul(hidden, kernel) + bias)
            hidden = tf.nn.dropout(hidden, rate=0.25)
            error = tf.matmul(hidden, last) - 1.0
            self.loss = tf.reduce_mean(error**2) + 0.01 * tf.nn.l2_loss(kernel)
            self.step = v1.train.get_or_create_global_step()
        #: In the order of the forward pass.
        self.variables = [table, kernel, bias, last]
        self.names = ["words/table", "dense/kernel", "dense/bias"]
        self.names.append("last/kernel")

    def feed(self, number):
        x, words = BATCHES[number]
        return {self.x: x, self.words: words}

    def run(self, train_op, steps=STEPS, session=None):
        """Trains; returns all variables, by name, after each step."""
        notes = []
        with self.graph.as_default():
            everything = {v.name: v for v in v1.global_variables()}
            if session is None:
                session = v1.Session(graph=self.graph)
                session.run(v1.global_variables_initializer())
            notes.append(session.run(everything))
            for number in range(steps):
                session.run(train_op, self.feed(number))
                notes.append(session.run(everything))
        return notes


def train(
    optimizer="sgd", kind="resource", logdir=None, *, network=None, **options
):
    """Trains a new network; returns its notes and itself."""
    network = network or Network(kind)
    with network.graph.as_default():
        optimizer = OPTIMIZERS[optimizer](network.step)
        if logdir is not None:
            gradscope.wrap(optimizer, logdir, **options)
        train_op = optimizer.minimize(network.loss, network.step)
    network.train_op = train_op
    return network.run(train_op), network


def assert_same(left, right):
    """Asserts that two trainings gave the same bits."""
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], name)
