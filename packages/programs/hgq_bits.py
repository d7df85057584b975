"""HGQ2: a network that learns how many bits each weight needs."""

import keras
from data import points
from hgq.config import QuantizerConfigScope
from hgq.layers import QDense
from nets import compiled

PACKAGE = "hgq2"


def train(observe):
    keras.utils.set_random_seed(0)
    x, y = points()
    with QuantizerConfigScope(place="all", default_q_type="kbi"):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                QDense(16, activation="relu", beta0=1e-5),
                QDense(1, activation="sigmoid", beta0=1e-5),
            ]
        )
    compiled(observe, model)
    history = model.fit(x, y, 16, 5, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
