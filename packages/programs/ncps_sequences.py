"""Neural circuit policies: a closed-form continuous network on sequences."""

import keras
import numpy as np
from ncps.keras import CfC
from ncps.wirings import AutoNCP

PACKAGE = "ncps"


def train(observe):
    keras.utils.set_random_seed(0)
    x = np.random.normal(size=(64, 10, 2)).astype("float32")
    y = x.mean(axis=1)[:, :1]
    model = keras.Sequential(
        [keras.Input((10, 2)), CfC(AutoNCP(12, 1), return_sequences=False)]
    )
    model.compile(observe.optimizer(keras.optimizers.Adam(1e-2)), "mse")
    history = model.fit(x, y, 16, 4, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
