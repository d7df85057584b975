"""TensorFlow Similarity: a metric is learned from pairs in a batch."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
from data import images
from tensorflow_similarity.layers import MetricEmbedding
from tensorflow_similarity.losses import MultiSimilarityLoss
from tensorflow_similarity.models import SimilarityModel

PACKAGE = "tensorflow-similarity"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    inputs = tf.keras.layers.Input((16, 16, 1))
    hidden = tf.keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    hidden = tf.keras.layers.Flatten()(hidden)
    model = SimilarityModel(inputs, MetricEmbedding(8)(hidden))
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-3))
    model.compile(optimizer, loss=MultiSimilarityLoss())
    history = model.fit(
        *images(), 16, 4, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(model, history.history)
