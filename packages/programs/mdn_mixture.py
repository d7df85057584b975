"""keras-mdn-layer: a mixture of normal distributions for two branches."""

import keras
import keras_mdn_layer as mdn
import numpy as np

PACKAGE = "keras-mdn-layer"


def train(observe):
    keras.utils.set_random_seed(0)
    x = np.random.uniform(-1, 1, (256, 1)).astype("float32")
    branch = np.random.choice([-1.0, 1.0], x.shape)
    y = (branch * x + np.random.normal(0, 0.05, x.shape)).astype("float32")
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(16, "tanh"), mdn.MDN(1, 2)]
    )
    model.compile(
        observe.optimizer(keras.optimizers.Adam(1e-2)),
        mdn.get_mixture_loss_func(1, 2),
    )
    history = model.fit(x, y, 32, 5, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
