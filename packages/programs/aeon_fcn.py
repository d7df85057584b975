"""aeon: a fully convolutional classifier of time series."""

import keras
import numpy as np
from aeon.classification.deep_learning import FCNClassifier

PACKAGE = "aeon"


def train(observe):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    y = np.arange(40) % 2
    time = np.linspace(0, 6, 24)
    x = np.sin((1 + y)[:, None, None] * time) + random.normal(
        0, 0.3, (40, 1, 24)
    )
    classifier = FCNClassifier(
        n_epochs=4,
        n_layers=2,
        n_filters=[8, 8],
        kernel_size=[5, 3],
        batch_size=10,
        random_state=0,
        save_best_model=False,
        optimizer=observe.optimizer(keras.optimizers.Adam(1e-2)),
        # Without any it has one of its own.
        callbacks=[keras.callbacks.History(), *observe.callbacks],
    )
    classifier.fit(x, y)
    return observe.state(classifier.model_, classifier.history.history)
