"""SciKeras: a classifier in scikit-learn's cross-validation."""

import keras
from data import points
from scikeras.wrappers import KerasClassifier
from sklearn.model_selection import cross_val_score

PACKAGE = "scikeras"


def train(observe):
    keras.utils.set_random_seed(0)
    x, y = points()

    def build():
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(8, "relu"),
                keras.layers.Dense(1, "sigmoid"),
            ]
        )
        optimizer = observe.optimizer(keras.optimizers.Adam(1e-2))
        model.compile(optimizer, "binary_crossentropy")
        return model

    classifier = KerasClassifier(
        build, epochs=4, verbose=0, random_state=0, callbacks=observe.callbacks
    )
    scores = cross_val_score(classifier, x, y, cv=2)
    classifier.fit(x, y)
    return observe.state(scores, classifier.model_, classifier.history_)
