"""How a graph of TensorFlow 1 is trained, for the cases that have one."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf


def variables(name, start, inputs, outputs, bias=None):
    """Return the weights and biases of a layer, as tutorials write them."""
    with tf.variable_scope(name):
        weights = tf.Variable(start([inputs, outputs]), name="weights")
        zeros = bias or tf.zeros
        return weights, tf.Variable(zeros([outputs]), name="biases")


def accuracy(outputs, labels):
    """Return the share of rows whose largest output is that of the label."""
    right = tf.equal(tf.argmax(outputs, 1), labels)
    return tf.reduce_mean(tf.cast(right, tf.float32))


def train(training, build, optimizer, x, y, steps=600, batch=64):
    """Run a train op on random batches.

    `build(x, y)` returns the loss and what is measured at the end; `optimizer`
    is a function that makes one. Returns that measure on all data.
    """
    random = np.random.default_rng(0)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        inputs = tf.placeholder(tf.float32, [None, *x.shape[1:]])
        targets = tf.placeholder(y.dtype, [None, *y.shape[1:]])
        loss, measure = build(inputs, targets)
        train_op = training.wrap(optimizer()).minimize(loss)
        session.run(tf.global_variables_initializer())
        for _ in range(steps):
            rows = random.choice(len(x), batch, replace=False)
            session.run(train_op, {inputs: x[rows], targets: y[rows]})
        return session.run([loss, measure], {inputs: x, targets: y})
