"""Small networks that the programs share, for packages that look on."""

from __future__ import annotations

import tensorflow as tf


def dense(features: int = 4):
    """Return a network that tells two classes apart."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Input((features,)),
            tf.keras.layers.Dense(16, "relu"),
            tf.keras.layers.Dense(8, "tanh"),
            tf.keras.layers.Dense(1, "sigmoid"),
        ]
    )


def compiled(observe, model, rate: float = 1e-2):
    """Return a network of `dense`, compiled."""
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(rate))
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def fit_dense(observe, x, y, callbacks=(), epochs: int = 4):
    """Fit a network of `dense`; return its state."""
    tf.keras.utils.set_random_seed(0)
    model = compiled(observe, dense(x.shape[1]))
    history = model.fit(
        x,
        y,
        batch_size=16,
        epochs=epochs,
        verbose=0,
        callbacks=[*callbacks, *observe.callbacks],
    )
    return observe.state(model, history.history)
