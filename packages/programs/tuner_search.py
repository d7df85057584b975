"""Keras Tuner: searches a number of units and a learning rate at random."""

import keras
import keras_tuner
from data import points

PACKAGE = "keras-tuner"


def train(observe):
    keras.utils.set_random_seed(0)
    x, y = points()

    def build(hp):
        units = hp.Int("units", 4, 16, step=4)
        rate = hp.Choice("rate", [1e-2, 1e-3])
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(units, "relu"),
                keras.layers.Dense(1, "sigmoid"),
            ]
        )
        optimizer = observe.optimizer(keras.optimizers.Adam(rate))
        model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
        return model

    tuner = keras_tuner.RandomSearch(
        build, "val_accuracy", max_trials=3, seed=0, directory="trials"
    )
    tuner.search(
        x,
        y,
        epochs=3,
        validation_data=(x, y),
        callbacks=observe.callbacks,
        verbose=0,
    )
    trials = tuner.oracle.get_best_trials(3)
    return observe.state(
        [trial.score for trial in trials], tuner.get_best_models()[0].weights
    )
