"""Graphs and sessions of TensorFlow 1, and Keras 2."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import digit_images, digits

tf1 = tf.compat.v1


def dense(x, units, name, kernel=None):
    """Return a layer without activation, of variables made by hand."""
    with tf1.variable_scope(name):
        shape = [x.shape[-1], units]
        w = tf1.get_variable("kernel", shape, initializer=kernel)
        b = tf1.get_variable("bias", [units], initializer=tf1.zeros_initializer)
    return tf1.matmul(x, w) + b


def trained(training, optimizer, network, epochs=8, batch=32):
    """Train `network(x, keep) -> logits` in a session.

    Returns:
        The last losses, and the accuracy with `keep` 1.
    """
    images, labels = digits()
    random = np.random.default_rng(0)
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(0)
        x = tf1.placeholder(tf.float32, [None, 64], name="x")
        y = tf1.placeholder(tf.int32, [None], name="y")
        train = tf1.placeholder_with_default(False, [], name="train")
        logits = network(x, train)
        loss = tf1.losses.sparse_softmax_cross_entropy(y, logits)
        optimizer = training.wrap(optimizer())
        step = optimizer.minimize(loss)
        session.run(tf1.global_variables_initializer())
        losses = []
        for _ in range(epochs):
            order = random.permutation(len(images))
            for i in range(0, len(order) - batch + 1, batch):
                chosen = order[i : i + batch]
                feed = {x: images[chosen], y: labels[chosen], train: True}
                losses.append(session.run([step, loss], feed)[1])
        found = session.run(logits, {x: images}).argmax(axis=1)
    accuracy = np.mean(found == labels)
    return {"loss": np.mean(losses[-10:]), "accuracy": accuracy}


@fault("zero-init", layers=["hidden_1", "hidden_2", "output"])
def graph_of_zeros(training):
    """`tf.zeros` for weights, as in the tutorial that had one layer."""
    start = tf1.zeros_initializer if training.broken else None

    def network(x, train):
        h = tf.nn.relu(dense(x, 128, "hidden_1", start))
        h = tf.nn.relu(dense(h, 64, "hidden_2", start))
        return dense(h, 10, "output", start)

    return trained(training, lambda: tf1.train.RMSPropOptimizer(1e-3), network)


@fault("init-too-large", layers=["hidden_1", "hidden_2", "output"])
def graph_of_standard_normals(training):
    """`tf.random_normal` without a deviation has one of 1."""
    deviation = 1.0 if training.broken else 0.1

    def network(x, train):
        start = tf1.random_normal_initializer(stddev=deviation)
        h = tf.nn.relu(dense(x, 256, "hidden_1", start))
        h = tf.nn.relu(dense(h, 256, "hidden_2", start))
        return dense(h, 10, "output", start)

    return trained(training, lambda: tf1.train.AdamOptimizer(1e-3), network)


@fault("dropout-keep-prob")
def graph_with_rate_for_keep(training):
    """`keep_prob` was renamed to `rate`, its value .8 was not."""
    rate = 0.8 if training.broken else 0.2

    def network(x, train):
        rate_now = tf.where(train, rate, 0.0)
        h = x
        for i in (1, 2, 3):
            h = tf.nn.relu(dense(h, 64, f"hidden_{i}"))
            h = tf1.nn.dropout(h, rate=rate_now, name=f"dropout_{i}")
        return dense(h, 10, "output")

    return trained(training, lambda: tf1.train.AdamOptimizer(1e-3), network)


@fault("output-range", "hidden-softmax", layers=["output"])
def graph_with_two_softmaxes(training):
    """`softmax_cross_entropy` is given what went through softmax already."""

    def network(x, train):
        h = tf.nn.relu(dense(x, 64, "hidden_1"))
        logits = dense(h, 10, "output")
        return tf.nn.softmax(logits) if training.broken else logits

    return trained(
        training, lambda: tf1.train.GradientDescentOptimizer(0.1), network
    )


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["norm_1", "norm_2"],
)
def default_momentum_in_keras_2(training):
    """Keras 2: momentum .99 has not caught up after 140 steps."""
    import tf_keras

    momentum = 0.99 if training.broken else 0.8
    layers = tf_keras.layers
    blocks = []
    for i in (1, 2):
        blocks += [
            layers.Conv2D(16, 3, padding="same", name=f"conv_{i}"),
            layers.BatchNormalization(momentum=momentum, name=f"norm_{i}"),
            layers.ReLU(name=f"relu_{i}"),
        ]
    model = tf_keras.Sequential(
        [
            layers.InputLayer([8, 8, 1]),
            *blocks,
            layers.Flatten(),
            layers.Dense(10, "softmax", name="output"),
        ]
    )
    adam = tf_keras.optimizers.Adam(1e-2)
    loss = "sparse_categorical_crossentropy"
    model.compile(adam, loss, metrics=["accuracy"])
    return training.fit(model, *digit_images(), epochs=5, batch_size=64)
