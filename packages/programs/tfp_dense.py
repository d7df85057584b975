"""TensorFlow Probability: a network that learns the scale of its noise."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

PACKAGE = "tensorflow-probability"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    x = np.linspace(-1, 1, 128, dtype="float32")[:, None]
    noise = np.random.default_rng(0).normal(size=x.shape)
    y = (x + (0.1 + 0.2 * (x > 0)) * noise).astype("float32")

    def normal(t):
        scale = 1e-3 + tf.math.softplus(0.5 * t[..., 1:])
        return tfp.distributions.Normal(loc=t[..., :1], scale=scale)

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((1,)),
            tf.keras.layers.Dense(8, "relu"),
            tf.keras.layers.Dense(2),
            tfp.layers.DistributionLambda(normal),
        ]
    )
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-2))
    model.compile(optimizer, lambda y, p: -p.log_prob(y))
    history = model.fit(x, y, epochs=5, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
