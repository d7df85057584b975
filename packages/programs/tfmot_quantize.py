"""TensorFlow model optimization: trains for quantization."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
import tensorflow_model_optimization as tfmot
from data import images

PACKAGE = "tensorflow-model-optimization"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((16, 16, 1)),
            tf.keras.layers.Conv2D(4, 3, activation="relu"),
            tf.keras.layers.Conv2D(8, 3, strides=2),
            tf.keras.layers.BatchNormalization(),
            tf.keras.layers.ReLU(),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(2),
        ]
    )
    model = tfmot.quantization.keras.quantize_model(model)
    model.compile(
        observe.optimizer(tf.keras.optimizers.Adam(1e-2)),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = model.fit(
        *images(), 16, 4, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(model, history.history)
