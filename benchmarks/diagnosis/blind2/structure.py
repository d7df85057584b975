"""Layers that are put together wrongly."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="All Lambda layers of the loop read the loop's variable when they "
    "are called, so each of them takes the last channel.",
    source="https://github.com/tensorflow/tensorflow/issues/56169",
)
def lambdas_of_the_last_channel(training):
    """Channels are split by Lambda layers in a loop, and each branch gets the
    same one. Accuracy .64 against 1.00."""
    x, y = sources.wine()
    x = (x - x.mean(0)) / x.std(0)
    x, y, xt, yt = sources.split(x.astype("float32"), y)
    inputs = keras.Input((13,))
    branches = []
    for i in range(13):
        if training.broken:
            cut = layers.Lambda(
                lambda t: t[:, i : i + 1],  # noqa: B023
                name=f"cut_{i}",
            )
        else:
            cut = layers.Lambda(lambda t, i=i: t[:, i : i + 1], name=f"cut_{i}")
        branches.append((i, cut))
    rows = [
        layers.Dense(4, activation="relu", name=f"branch_{k}")(cut(inputs))
        for k, cut in branches
    ]
    h = layers.Concatenate()(rows)
    out = layers.Dense(3, activation="softmax", name="out")(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.01), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=40, batch_size=16)
    return sources.accuracy(model, xt, yt)


class Stack(keras.Model):
    """Applies layers one after the other, and a head."""

    def __init__(self, deep, outputs, *, chained=True, adds=True, last=None):
        super().__init__()
        self.deep = deep
        self.chained, self.adds = chained, adds
        self.head = layers.Dense(outputs, activation=last, name="head")

    def call(self, x):
        h = x
        for layer in self.deep:
            inner = layer(h if self.chained else x)
            h = inner + h if self.adds else inner
        return self.head(h)


@fault(
    "disconnected-variable",
    cause="Each layer of the block is called on the block's input and not on "
    "the output of the layer before, so only the last one counts.",
    layers=["deep_0", "deep_1"],
    source="https://github.com/cyclomon/UNSB/issues/29",
)
def layers_of_the_same_input(training):
    """A loop over the layers of a block calls each on the same tensor and
    keeps the last result. Explained share .75 against .90."""
    r = np.random.default_rng(1)
    x = r.uniform(-1, 1, (1500, 4)).astype("float32")
    y = np.sin(4 * x[:, 0] * x[:, 1]) + np.cos(5 * x[:, 2]) * x[:, 3]
    x, y, xt, yt = sources.split(x, y[:, None].astype("float32"))
    deep = [
        layers.Dense(24, activation="tanh", name=f"deep_{i}") for i in range(3)
    ]
    model = Stack(deep, 1, chained=not training.broken, adds=False)
    model.compile(keras.optimizers.Adam(0.005), "mse")
    training.fit(model, x, y, epochs=40, batch_size=32)
    return sources.r2(model, xt, yt)


@fault(
    "vanishing-gradient",
    "init-too-small",
    cause="The sum with the input is assigned to a name that nobody reads, "
    "so the residual connection is not there.",
    source="https://github.com/PetarV-/GAT/issues/11",
)
def residual_that_nobody_reads(training):
    """The shortcut is added to a tensor that is not the one returned: a deep
    network without it. Accuracy .21 against .94."""
    x, y, xt, yt = sources.digits()
    deep = [
        layers.Dense(
            64,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(0, 0.06, seed=i),
            name=f"deep_{i}",
        )
        for i in range(12)
    ]
    model = Stack(deep, 10, adds=not training.broken, last="softmax")
    model.compile(
        keras.optimizers.Adam(0.001), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


class Penalised(keras.Model):
    """Adds functions of no arguments to its loss."""

    def __init__(self, network, penalties):
        super().__init__()
        self.network, self.penalties = network, penalties

    def call(self, x):
        return self.network(x)

    def train_step(self, batch):
        x, y = batch
        with tf.GradientTape() as tape:
            guess = self.network(x, training=True)
            loss = tf.reduce_mean((y - guess) ** 2)
            loss += tf.add_n([penalty() for penalty in self.penalties])
        sources.descend(
            self.optimizer, tape, loss, self.network.trainable_variables
        )
        return {"loss": loss}


@fault(
    cause="The penalties are lambdas made in a loop over the kernels, so all "
    "of them are of the last kernel and the others have none.",
    layers=["dense_out"],
    source="https://github.com/tensorflow/tensorflow/issues/42880",
)
def penalties_of_the_last_kernel(training):
    """A weight decay that seems to do nothing: closures of a loop's variable.
    Explained share of new patients .40 against .56."""
    x, y = sources.diabetes()
    y = (y - y.mean()) / y.std()
    x, y, xt, yt = sources.split(x, y[:, None])
    network = sources.perceptron(10, [64, 64], 1)
    network(x[:1])
    penalties = []
    for layer in network.layers:
        if training.broken:
            penalties.append(
                lambda: 0.01 * tf.reduce_sum(layer.kernel**2)  # noqa: B023
            )
        else:
            penalties.append(lambda w=layer.kernel: 0.01 * tf.reduce_sum(w**2))
    model = Penalised(network, penalties)
    model.compile(keras.optimizers.Adam(0.003))
    training.fit(model, x, y, epochs=60, batch_size=32)
    return sources.r2(network, xt, yt)


@fault(
    cause="Each penalty is divided by the size of its kernel and so is next "
    "to nothing.",
    source="https://github.com/matterport/Mask_RCNN/issues/1727",
    invisible="The penalty is a part of the loss that is not told apart, and "
    "no data to validate on show that too much is learnt by heart.",
)
def penalty_by_the_size(training):
    """L2 of a mask network is divided by the number of weights, and has no
    effect. Explained share of new patients .38 against .49."""
    x, y = sources.diabetes()
    y = (y - y.mean()) / y.std()
    x, y, xt, yt = sources.split(x, y[:, None])

    def decay(kernel):
        share = int(np.prod(kernel.shape)) if training.broken else 1
        return 0.01 * keras.ops.sum(kernel**2) / share

    model = keras.Sequential([keras.Input((10,))])
    for i in (1, 2):
        model.add(
            layers.Dense(
                96,
                activation="relu",
                kernel_regularizer=decay,
                name=f"dense_{i}",
            )
        )
    model.add(layers.Dense(1, name="out"))
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, y, epochs=60, batch_size=32)
    return sources.r2(model, xt, yt)
