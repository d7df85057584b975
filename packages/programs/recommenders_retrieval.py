"""TensorFlow Recommenders: retrieval with two towers."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

PACKAGE = "tensorflow-recommenders"


class Towers(tfrs.Model):
    def __init__(self):
        super().__init__()
        self.users = tf.keras.layers.Embedding(30, 8)
        self.items = tf.keras.layers.Embedding(30, 8)
        self.task = tfrs.tasks.Retrieval()

    def compute_loss(self, features, training=False):
        return self.task(
            self.users(features["user"]), self.items(features["item"])
        )


def train(observe):
    tf.keras.utils.set_random_seed(0)
    users = np.random.default_rng(0).integers(0, 30, 512)
    features = {"user": users, "item": (users + 1) % 30}
    model = Towers()
    model.compile(observe.optimizer(tf.keras.optimizers.Adagrad(0.5)))
    observe.loss = lambda model, data: model.compute_loss(data, training=True)
    data = tf.data.Dataset.from_tensor_slices(features).batch(64)
    history = model.fit(data, epochs=4, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
