"""Sonnet: its modules, in a loop with a Keras optimizer."""

import sonnet as snt
import tensorflow as tf
from data import points

PACKAGE = "dm-sonnet"


def train(observe):
    tf.random.set_seed(0)
    x, y = points()
    model = snt.nets.MLP([16, 8, 1], activation=tf.nn.relu)
    model(x)
    variables = model.trainable_variables

    def loss():
        logits = model(x)[:, 0]
        return tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(y, logits)
        )

    observe.tape(loss, variables)
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-2))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss()
        gradients = tape.gradient(value, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return value

    losses = [step() for _ in range(20)]
    return observe.state(losses, variables, optimizer.variables)
