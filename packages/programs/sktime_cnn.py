"""sktime: a convolutional classifier of time series."""

import keras
import numpy as np
from sktime.classification.deep_learning import CNNClassifier

PACKAGE = "sktime"


def train(observe):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    y = np.arange(40) % 2
    time = np.linspace(0, 6, 24)
    x = np.sin((1 + y)[:, None, None] * time) + random.normal(
        0, 0.3, (40, 1, 24)
    )
    classifier = CNNClassifier(
        n_epochs=5,
        batch_size=10,
        random_state=0,
        optimizer=observe.optimizer(keras.optimizers.Adam(1e-2)),
        callbacks=observe.callbacks,
    )
    classifier.fit(x, y)
    return observe.state(classifier.model_, classifier.history.history)
