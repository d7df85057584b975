"""Spektral: a graph convolutional network tells the nodes of two groups
apart, in one batch."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from spektral.layers import GCNConv
from spektral.utils import gcn_filter

PACKAGE = "spektral"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    group = np.arange(40) % 2
    same = group[:, None] == group[None]
    edges = np.triu(random.random((40, 40)) < np.where(same, 0.3, 0.05), 1)
    adjacency = gcn_filter((edges | edges.T).astype("float32"))
    features = random.normal(size=(40, 5)) + group[:, None]
    x = tf.keras.layers.Input((5,))
    a = tf.keras.layers.Input((40,))
    hidden = GCNConv(8, activation="relu")([x, a])
    outputs = GCNConv(2, activation="softmax")([hidden, a])
    model = tf.keras.Model([x, a], outputs)
    model.compile(
        observe.optimizer(tf.keras.optimizers.Adam(1e-2)),
        "sparse_categorical_crossentropy",
    )
    history = model.fit(
        [features.astype("float32"), adjacency],
        group,
        batch_size=40,
        epochs=10,
        shuffle=False,
        verbose=0,
        callbacks=observe.callbacks,
    )
    return observe.state(model, history.history)
