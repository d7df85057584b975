"""DeepCTR: DeepFM on two categories and a number."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from deepctr.feature_column import DenseFeat, SparseFeat, get_feature_names
from deepctr.models import DeepFM

PACKAGE = "deepctr"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    columns = [
        SparseFeat("user", 20, 4),
        SparseFeat("item", 20, 4),
        DenseFeat("price", 1),
    ]
    data = {
        "user": random.integers(0, 20, 256),
        "item": random.integers(0, 20, 256),
        "price": random.normal(size=256).astype("float32"),
    }
    y = ((data["user"] + data["item"]) > 19).astype("float32")
    model = DeepFM(columns, columns, dnn_hidden_units=(16, 8))
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-2))
    model.compile(optimizer, "binary_crossentropy")
    inputs = {name: data[name] for name in get_feature_names(columns)}
    history = model.fit(
        inputs, y, 32, 4, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(model, history.history)
