"""QKeras: quantized kernels and activations of 4 bits."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
from data import points
from nets import compiled
from qkeras import QActivation, QDense, quantized_bits, quantized_relu

PACKAGE = "qkeras"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    x, y = points()
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((4,)),
            QDense(16, quantized_bits(4, 0, 1), quantized_bits(4)),
            QActivation(quantized_relu(4)),
            QDense(1, quantized_bits(4, 0, 1), quantized_bits(4)),
            tf.keras.layers.Activation("sigmoid"),
        ]
    )
    compiled(observe, model)
    history = model.fit(x, y, 16, 4, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
