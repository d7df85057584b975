"""AutoKeras: searches a network of blocks for a small regression."""

import autokeras
import keras
from data import points

PACKAGE = "autokeras"


def train(observe):
    keras.utils.set_random_seed(0)
    x, y = points(128)
    start = autokeras.Input()
    end = autokeras.RegressionHead()(autokeras.DenseBlock()(start))
    auto = autokeras.AutoModel(
        start, end, max_trials=2, overwrite=True, seed=0, directory="trials"
    )
    history = auto.fit(x, y, epochs=3, verbose=0, callbacks=observe.callbacks)
    return observe.state(auto.export_model().weights, history.history)
