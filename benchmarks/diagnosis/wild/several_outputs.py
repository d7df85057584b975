"""Several outputs, and the weights of their losses.

Sources, one for each case:
keras-team/keras #20346 (targets in the order of their names);
ageron/handson-ml2 #136 (losses of other sizes);
QunBB/DeepLearning #1 (the logarithm of a weight that becomes negative).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


def tower(*heads):
    """Returns a network with heads `(name, units, activation)`."""
    inputs = keras.Input((6,))
    h = layers.Dense(64, activation="relu", name="shared_1")(inputs)
    h = layers.Dense(64, activation="relu", name="shared_2")(h)
    outs = [layers.Dense(u, activation=a, name=n)(h) for n, u, a in heads]
    return keras.Model(inputs, outs)


def houses():
    """Returns scaled columns, prices in dollars, and whether a house lies in
    the north, which has little to do with the price."""
    x, price = sources.houses()
    north = (x[:, 4:5] + 0.3 * x[:, 2:3] > 38.5).astype("float32")
    x = (x - x.mean(0)) / x.std(0)
    both = np.concatenate([price, north], 1)
    x, y, xt, yt = sources.split(x, both)
    return x, y[:, :1], y[:, 1:], xt, yt[:, :1], yt[:, 1:]


@fault(
    "unscaled-target",
    cause="the targets are put in the order of their names and the outputs "
    "are in the order of the model, so each head gets the other's target",
    layers=["price", "area"],
    source="keras-team/keras #20346",
)
def targets_by_name(training):
    """As posted: "tree.flatten is re-ordering entries in the y_true dict": y
    is [area, price] while the outputs are [price, area], so each head learns
    the other's target. R2 -1.06 against .98."""
    x, price, _, xt, price_t, _ = houses()
    m, s = price.mean(), price.std()
    targets = {"price": (price - m) / s, "area": x[:, 2:3] * x[:, 1:2]}
    model = tower(("price", 1, None), ("area", 1, None))
    names = sorted(targets) if training.broken else list(targets)
    model.compile(keras.optimizers.Adam(0.003), ["mse", "mse"])
    training.fit(
        model, x, [targets[n] for n in names], epochs=15, batch_size=32
    )
    return sources.r2(lambda v, training: model(v)[0], xt, price_t, s, m)


@fault(
    "unscaled-target",
    cause="the squared error of prices in dollars is added to a cross-"
    "entropy without weights, so the second head's loss is next to nothing",
    layers=["price", "north"],
    source="ageron/handson-ml2 #136",
)
def losses_of_other_sizes(training):
    """As posted: "By default, keras assigns an equal weight to each loss, what
    is the balance?" The one is 1e10, in squared dollars, and the other 0.7, so
    the second head is hardly trained. Accuracy .74 against .98."""
    x, price, north, xt, _, north_t = houses()
    model = tower(("price", 1, None), ("north", 1, "sigmoid"))
    if not training.broken:
        price = (price - price.mean()) / price.std()
    model.compile(keras.optimizers.Adam(0.003), ["mse", "binary_crossentropy"])
    training.fit(model, x, [price, north], epochs=15, batch_size=32)
    return sources.accuracy(lambda v, training: model(v)[1], xt, north_t)


@fault(
    "non-finite",
    cause="the learnt weights of the losses start at random numbers, and the "
    "logarithm of a negative one is not a number, though its gradient is",
    source="QunBB/DeepLearning #1",
    harmless=True,
)
def weight_below_zero(training):
    """As posted: "If uncertainty_weight[i] is negative then
    tf.log(uncertainty_weight[i]) will be nan": one of them starts there. The
    loss is not a number, its gradients are, and it does no harm. R2 .73
    against .73."""
    r = np.random.default_rng(0)
    x = r.normal(size=(1500, 6)).astype("float32")
    easy = x @ r.normal(size=(6, 1))
    hard = np.sin(2 * x[:, :1]) * x[:, 1:2] + r.normal(0, 0.3, (1500, 1))
    y = np.concatenate([easy, hard], 1).astype("float32")
    x, y, xt, yt = sources.split(x, y)
    network = tower(("easy", 1, None), ("hard", 1, None))
    start = np.random.default_rng(3).normal(0, 0.5, 2)
    if not training.broken:
        start = np.full(2, -2.4)
    learnt = tf.Variable(start, dtype=tf.float32)
    network.weigh = learnt
    optimizer = training.wrap(keras.optimizers.Adam(0.01), model=network)

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            made = tf.concat(network(a, training=True), 1)
            error = tf.reduce_mean((made - b) ** 2, 0)
            if training.broken:
                terms = error / (2 * learnt**2) + tf.math.log(learnt)
            else:
                terms = error / 2 * tf.exp(-learnt) + learnt / 2
            loss = tf.reduce_sum(terms)
        weights = [*network.trainable_variables, learnt]
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    for a, b in sources.batches(x, y, 32, 30):
        step(tf.constant(a), tf.constant(b))
    return sources.r2(lambda v, training: network(v)[1], xt, yt[:, 1])
