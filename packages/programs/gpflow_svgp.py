"""GPflow: a sparse variational process, natural gradients beside Adam."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import gpflow
import numpy as np
import tensorflow as tf

PACKAGE = "gpflow"


def train(observe):
    random = np.random.default_rng(0)
    x = random.uniform(size=(64, 1))
    y = np.sin(6 * x) + random.normal(0, 0.1, size=x.shape)
    model = gpflow.models.SVGP(
        gpflow.kernels.SquaredExponential(),
        gpflow.likelihoods.Gaussian(),
        x[:8].copy(),
        num_data=64,
    )
    gpflow.set_trainable(model.q_mu, False)
    gpflow.set_trainable(model.q_sqrt, False)
    loss = model.training_loss_closure((x, y))
    natural = gpflow.optimizers.NaturalGradient(gamma=0.1)
    adam = observe.optimizer(tf.keras.optimizers.Adam(0.01))
    observe.tape(loss, model.trainable_variables)
    losses = []
    for _ in range(15):
        adam.minimize(loss, model.trainable_variables)
        natural.minimize(loss, [(model.q_mu, model.q_sqrt)])
        losses.append(loss())
    return observe.state(losses, model.variables)
