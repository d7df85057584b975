"""Alibi Detect: an autoencoder of its own training loop finds outliers."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from alibi_detect.od import OutlierAE

PACKAGE = "alibi-detect"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(128, 8)).astype("float32")
    encoder = tf.keras.Sequential(
        [
            tf.keras.layers.Input((8,)),
            tf.keras.layers.Dense(6, "relu"),
            tf.keras.layers.Dense(3),
        ]
    )
    decoder = tf.keras.Sequential(
        [
            tf.keras.layers.Input((3,)),
            tf.keras.layers.Dense(6, "relu"),
            tf.keras.layers.Dense(8),
        ]
    )
    detector = OutlierAE(0.5, encoder_net=encoder, decoder_net=decoder)
    model = detector.ae
    model(x)
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-3))
    mse = tf.keras.losses.MeanSquaredError()
    observe.tape(
        lambda: mse(x, model(x, training=True)), model.trainable_variables
    )
    detector.fit(
        x, optimizer=optimizer, epochs=10, batch_size=128, verbose=False
    )
    scores = detector.predict(x)["data"]["is_outlier"]
    return observe.state(model.weights, optimizer.variables, scores)
