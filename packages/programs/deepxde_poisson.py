"""DeepXDE: a network that solves a Poisson equation, trained by DeepXDE."""

import os

os.environ["DDE_BACKEND"] = "tensorflow"

import deepxde as dde
import numpy as np
import tensorflow as tf

PACKAGE = "deepxde"


def train(observe):
    dde.config.set_random_seed(0)

    def equation(x, y):
        return dde.grad.hessian(y, x) + np.pi**2 * tf.sin(np.pi * x)

    line = dde.geometry.Interval(-1, 1)
    at_ends = dde.icbc.DirichletBC(
        line, lambda x: np.sin(np.pi * x), lambda _, on_boundary: on_boundary
    )
    data = dde.data.PDE(line, equation, at_ends, 16, 2, num_test=16)
    network = dde.nn.FNN([1, 16, 16, 1], "tanh", "Glorot uniform")
    model = dde.Model(data, network)
    model.compile(observe.optimizer(tf.keras.optimizers.Adam(1e-3)))

    losses, _ = model.train(iterations=30, verbose=0)
    return observe.state(network.weights, np.array(losses.loss_train))
