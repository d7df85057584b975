"""Keras-tcn: a temporal convolutional network tells which of two sums is
larger."""

import keras
import numpy as np
from tcn import TCN

PACKAGE = "keras-tcn"


def train(observe):
    keras.utils.set_random_seed(0)
    x = np.random.normal(size=(64, 12, 2)).astype("float32")
    y = (x[:, :, 0].sum(1) > x[:, :, 1].sum(1)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((12, 2)),
            TCN(8, kernel_size=3, dilations=(1, 2)),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(
        observe.optimizer(keras.optimizers.Adam(1e-2)), "binary_crossentropy"
    )
    history = model.fit(x, y, 16, 5, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
