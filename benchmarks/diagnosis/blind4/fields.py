"""Networks whose slopes and products are what counts."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The second derivative of a network of ReLUs is 0 everywhere, so the "
    "equation has no gradient and only the ends are fitted.",
    layers=["curve_1", "curve_2"],
    source="https://github.com/lululxvi/deepxde/issues/80",
)
def equation_of_kinks(training):
    """A network that is to solve u'' = -sin(x) with u = 0 at both ends.
    Explained share of the solution -4.03 against 1.00."""
    kind = "relu" if training.broken else "tanh"
    model = sources.perceptron(1, [32, 32], 1, None, "curve", kind)
    optimizer = training.wrap(keras.optimizers.Adam(0.01), model=model)
    r = np.random.default_rng(0)
    ends = tf.constant([[0.0], [3.1416]])

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            with tf.GradientTape() as second:
                second.watch(x)
                with tf.GradientTape() as first:
                    first.watch(x)
                    u = model(x)
                slope = first.gradient(u, x)
            bend = second.gradient(
                slope, x, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            loss = tf.reduce_mean((bend + tf.sin(x)) ** 2)
            loss += 10 * tf.reduce_mean(model(ends) ** 2)
        sources.descend(optimizer, tape, loss, model.trainable_variables)

    for _ in range(500):
        step(tf.constant(r.uniform(0, 3.1416, (64, 1)), "float32"))
    x = np.linspace(0, 3.1416, 200, dtype="float32")[:, None]
    return sources.explained(np.sin(x), model(x))
