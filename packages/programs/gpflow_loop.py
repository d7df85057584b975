"""GPflow: Gaussian process regression, in a loop with a Keras optimizer."""

import gpflow
import numpy as np
import tensorflow as tf

PACKAGE = "gpflow"


def train(observe):
    random = np.random.default_rng(0)
    x = random.uniform(size=(30, 1))
    y = np.sin(6 * x) + random.normal(0, 0.1, size=x.shape)
    model = gpflow.models.GPR((x, y), gpflow.kernels.SquaredExponential())
    variables = model.trainable_variables
    observe.tape(model.training_loss, variables)
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(0.05))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = model.training_loss()
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    losses = [step() for _ in range(30)]
    return observe.state(losses, variables)
