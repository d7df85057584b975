"""Faults of regularisation: dropout and penalties."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops, regularizers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


def _scores(model, x, y, xt, yt) -> dict:
    """Return the accuracy on the data of training and of testing."""
    return {
        "train accuracy": sources.accuracy(model, x, y),
        "test accuracy": sources.accuracy(model, xt, yt),
    }


@fault(
    "dropout-keep-prob",
    layers=["drop_1", "drop_2", "drop_3"],
    source="StackOverflow: port of tf.nn.dropout(keep_prob=0.9)",
)
def keep_prob_in_a_convolutional_net(training):
    """Keras' `Dropout(0.9)` stands where TF1 had `keep_prob=0.9`.

    Accuracy .08 against .98.
    """
    x, y, xt, yt = sources.images()
    rate = 0.9 if training.broken else 0.1
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            layers.Dropout(rate, name="drop_1"),
            layers.Conv2D(16, 3, activation="relu", name="conv_2"),
            layers.Dropout(rate, name="drop_2"),
            layers.Flatten(name="flat"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dropout(rate, name="drop_3"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=15, batch_size=64, validation_data=(xt, yt)
    )
    return _scores(model, x, y, xt, yt)


@fault(
    "dropout-keep-prob",
    layers=["drop_words", "drop_memory"],
    source="GitHub: DropoutWrapper(output_keep_prob=0.8) to Keras",
)
def keep_prob_around_a_gru(training):
    """A port of `DropoutWrapper(keep_prob=0.85)` drops .85 around a GRU.

    Accuracy on the topics .73 against .99.
    """
    x, y, xt, yt = sources.topics(1000)
    rate = 0.85 if training.broken else 0.15
    model = keras.Sequential(
        [
            keras.Input([24], dtype="int32"),
            layers.Embedding(400, 16, name="words"),
            layers.Dropout(rate, name="drop_words"),
            layers.GRU(16, name="memory"),
            layers.Dropout(rate, name="drop_memory"),
            layers.Dense(4, activation="softmax", name="topic"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(5e-3), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=10, batch_size=32)
    return _scores(model, x, y, xt, yt)


@fault(
    "penalty-dominates",
    layers=["conv_1", "conv_2", "digit"],
    source="StackOverflow: kernel_regularizer='l2' of 0.5, loss stays high",
)
def penalty_on_every_kernel(training):
    """`l2(0.5)` on all kernels: their norm is all that is minimised.

    Accuracy .08 against .96.
    """
    x, y, xt, yt = sources.images()
    penalty = regularizers.L2(0.5 if training.broken else 1e-4)
    model = keras.Sequential([keras.Input([8, 8, 1])])
    for i in range(2):
        model.add(
            layers.Conv2D(
                16,
                3,
                activation="relu",
                kernel_regularizer=penalty,
                name=f"conv_{i + 1}",
            )
        )
    model.add(layers.Flatten(name="flat"))
    model.add(
        layers.Dense(10, "softmax", kernel_regularizer=penalty, name="digit")
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=12, batch_size=32)
    return _scores(model, x, y, xt, yt)


@fault(
    "penalty-dominates",
    layers=["code"],
    source="StackOverflow: sparse autoencoder gives the mean picture",
)
def sparse_code_of_nothing(training):
    """An autoencoder has `activity_regularizer=l1(0.1)`, meant as 1e-5.

    Its code is zero: unexplained 1.1 against .14.
    """
    x, _, xt, _ = sources.digits()
    penalty = regularizers.L1(0.1 if training.broken else 1e-5)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(
                24, activation="relu", activity_regularizer=penalty, name="code"
            ),
            layers.Dense(64, activation="sigmoid", name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    training.fit(model, x, x, epochs=20, batch_size=32)
    mean = np.mean((xt - x.mean(0)) ** 2)
    error = np.mean((model.predict(xt, verbose=0) - xt) ** 2)
    return {"unexplained of the mean picture": error / mean}


class _Variational(keras.Model):
    """An autoencoder with noise in its code, and a price of information."""

    def __init__(self, price: float):
        super().__init__(name="variational")
        self.price = price
        self.read = layers.Dense(64, activation="relu", name="read")
        self.code = layers.Dense(16, name="code")
        self.wide = layers.Dense(64, activation="relu", name="wide")
        self.pixels = layers.Dense(64, name="pixels")
        self.noise = keras.random.SeedGenerator(1)

    def call(self, x, training=False):
        mean, spread = ops.split(self.code(self.read(x)), 2, axis=-1)
        told = 0.5 * (mean**2 + ops.exp(spread) - 1 - spread)
        self.add_loss(self.price * ops.mean(ops.sum(told, axis=-1)))
        if training:
            noise = keras.random.normal(ops.shape(mean), seed=self.noise)
            mean = mean + noise * ops.exp(spread / 2)
        return self.pixels(self.wide(mean))


@fault(
    "penalty-dominates",
    layers=["code"],
    source="GitHub: VAE, posterior collapse, KL summed and error averaged",
)
def information_too_dear(training):
    """A VAE sums the divergence but averages the error over the pixels.

    All pictures become the mean picture: unexplained 1.0 against .26.
    """
    x, _, xt, _ = sources.digits()
    model = _Variational(1.0 if training.broken else 1e-3)
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    training.fit(model, x, x, epochs=20, batch_size=32)
    mean = np.mean((xt - x.mean(0)) ** 2)
    error = np.mean((model.predict(xt, verbose=0) - xt) ** 2)
    return {"unexplained of the mean picture": error / mean}
