"""One more layer, and the network stops learning: the gradient vanishes.

The question (Stack Overflow, TensorFlow 1): a network of 1-16-1 units learns
to return half of its input. With another layer of 16 units in the middle, its
output is a constant for every input. What is wrong?

What gradscope shows: in `broken` the gradient decreases from the last layer to
the first by a factor of several hundred, from the first step on. In `repaired`
all layers have a similar colour. The finding `vanishing-gradient` gives the
cause: weights drawn from N(0, 0.001) shrink all values that pass through them,
in both directions. The cause is neither the learning rate nor the clipping,
which never acts. Xavier's initialisation keeps the scale, and a bias of 0.1
keeps the units alive.

The lesson: compare gradients from layer to layer, not one by one.
"""

import keras
import numpy as np
import tensorflow as tf
from gradscope_examples import running

import gradscope

v1 = tf.compat.v1
STEPS = 10_000


def signals(seed):
    return np.random.default_rng(seed).uniform(-1, 1, [STEPS, 1, 1])


def last_loss(losses):
    return {"loss of the last 1000 steps": np.mean(losses[-1000:])}


def keras_3(options, kernels, biases):
    # Each variable gets an initializer of its own: Keras draws the same
    # numbers again when one is used twice.
    def dense(units, activation, name):
        return keras.layers.Dense(
            units, activation, True, kernels(), biases(), name=name
        )

    model = keras.Sequential(
        [
            keras.Input([1]),
            dense(16, "relu", "first"),
            dense(16, "relu", "middle"),
            dense(1, None, "last"),
        ]
    )
    optimizer = keras.optimizers.SGD(1e-3, clipvalue=4.5)
    gradscope.wrap(optimizer, options.logdir)

    @tf.function
    def step(signal):
        with tf.GradientTape() as tape:
            distance = tf.reduce_sum((signal - 2 * model(signal)) ** 2)
        gradients = tape.gradient(distance, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return distance

    losses = [
        step(tf.constant(signal, tf.float32))
        for signal in signals(options.seed)
    ]
    gradscope.unwrap(optimizer)
    return last_loss(losses)


def tensorflow_1(options, kernels, biases):
    """The program of the question, with `gradscope.wrap` added."""

    def dense(x, units, name):
        with v1.variable_scope(name):
            shape = [x.shape[1], units]
            kernel = v1.get_variable("kernel", shape, initializer=kernels())
            bias = v1.get_variable("bias", [units], initializer=biases())
            return x @ kernel + bias

    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(options.seed)
        signal = v1.placeholder(tf.float32, [None, 1])
        first = tf.nn.relu(dense(signal, 16, "first"))
        middle = tf.nn.relu(dense(first, 16, "middle"))
        distance = tf.reduce_sum((signal - 2 * dense(middle, 1, "last")) ** 2)
        optimizer = v1.train.GradientDescentOptimizer(1e-3)
        gradscope.wrap(optimizer, options.logdir)
        clipped = [
            (tf.clip_by_value(gradient, -4.5, 4.5), variable)
            for gradient, variable in optimizer.compute_gradients(distance)
        ]
        train = optimizer.apply_gradients(clipped)
        session.run(v1.global_variables_initializer())
        losses = [
            session.run([train, distance], {signal: one})[1]
            for one in signals(options.seed)
        ]
        gradscope.unwrap(optimizer)
    return last_loss(losses)


def tiny():
    return keras.initializers.RandomNormal(stddev=1e-3)


def constant():
    return keras.initializers.Constant(0.1)


GLOROT = keras.initializers.GlorotUniform
TINY = v1.random_normal_initializer
VARIANTS = {
    "broken": lambda o: keras_3(o, tiny, tiny),
    "repaired": lambda o: keras_3(o, GLOROT, constant),
    "broken_tf1": lambda o: tensorflow_1(
        o, lambda: TINY(0, 1e-3), lambda: TINY(0, 1e-3)
    ),
    "repaired_tf1": lambda o: tensorflow_1(
        o, v1.glorot_uniform_initializer, lambda: v1.constant_initializer(0.1)
    ),
}

if __name__ == "__main__":
    running.main(__file__, __doc__, VARIANTS)
