"""Larq: a binarized network with its own optimizer for binary weights."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import larq
import tensorflow as tf
from data import images

PACKAGE = "larq"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    binary = {
        "input_quantizer": "ste_sign",
        "kernel_quantizer": "ste_sign",
        "kernel_constraint": "weight_clip",
        "use_bias": False,
    }
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((16, 16, 1)),
            larq.layers.QuantConv2D(
                4, 3, kernel_quantizer="ste_sign", use_bias=False
            ),
            tf.keras.layers.BatchNormalization(scale=False),
            larq.layers.QuantConv2D(8, 3, strides=2, **binary),
            tf.keras.layers.BatchNormalization(scale=False),
            tf.keras.layers.Flatten(),
            larq.layers.QuantDense(2, **binary),
            tf.keras.layers.BatchNormalization(scale=False),
            tf.keras.layers.Activation("softmax"),
        ]
    )
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-2))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    history = model.fit(
        *images(), 16, 4, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(model, history.history)
