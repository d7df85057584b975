"""Dropout that drops what was to be kept, and penalties that win."""

from __future__ import annotations

import keras
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import (
    cancer,
    digit_images,
    digits,
    standardised,
)
from benchmarks.diagnosis.tune.generators import reviews

Dense = keras.layers.Dense
Dropout = keras.layers.Dropout
CROSSENTROPY = "sparse_categorical_crossentropy"


def dropped_mlp(rate, width=64, hidden=3):
    """Return a classifier of digits with dropout behind each layer."""
    layers = [keras.Input([64])]
    for i in range(1, hidden + 1):
        layers.append(Dense(width, "relu", name=f"hidden_{i}"))
        layers.append(Dropout(rate, name=f"dropout_{i}"))
    return keras.Sequential([*layers, Dense(10, "softmax", name="output")])


@fault("dropout-keep-prob", layers=["dropout_1", "dropout_2", "dropout_3"])
def keep_most(training):
    """`keep_prob=0.8` of TensorFlow 1 became `Dropout(0.8)`. Accuracy .21
    against .98."""
    model = dropped_mlp(0.8 if training.broken else 0.2)
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault("dropout-keep-prob", layers=["dropout_1", "dropout_2", "dropout_3"])
def keep_nearly_all(training):
    """The same of a CNN, with .9 and validation data. Accuracy .10 against
    .99."""
    rate = 0.9 if training.broken else 0.1
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            Dropout(rate, name="dropout_1"),
            keras.layers.Conv2D(32, 3, activation="relu", name="conv_2"),
            Dropout(rate, name="dropout_2"),
            keras.layers.Flatten(),
            Dense(64, "relu", name="dense"),
            Dropout(rate, name="dropout_3"),
            Dense(10, "softmax", name="output"),
        ]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    x, y = digit_images()
    train, test = (x[:1500], y[:1500]), (x[1500:], y[1500:])
    return training.fit(
        model, *train, validation_data=test, epochs=8, batch_size=32
    )


@fault("dropout-keep-prob", layers=["dropout_1", "dropout_2"])
def keep_most_of_lstm(training):
    """The same around an LSTM."""
    rate = 0.85 if training.broken else 0.15
    model = keras.Sequential(
        [
            keras.Input([30]),
            keras.layers.Embedding(500, 16, name="embedding"),
            Dropout(rate, name="dropout_1"),
            keras.layers.LSTM(16, name="lstm"),
            Dropout(rate, name="dropout_2"),
            Dense(1, "sigmoid", name="output"),
        ]
    )
    adam = keras.optimizers.Adam(5e-3)
    model.compile(adam, "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, *reviews(), epochs=10, batch_size=32)


@fault(
    "dropout-keep-prob",
    harmless=True,
    layers=["dropout_1", "dropout_2"],
)
def wide_enough(training):
    """A rate of .6 where .4 was meant, in layers wide enough to bear it."""
    model = dropped_mlp(0.6 if training.broken else 0.4, width=512, hidden=2)
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=6, batch_size=32)


@fault("penalty-dominates", layers=["hidden_1", "hidden_2"])
def strong_l2(training):
    """L2 of 1 in each hidden layer: the weights go to zero."""
    strength = 1.0 if training.broken else 1e-4
    hidden = [
        Dense(
            64,
            "relu",
            kernel_regularizer=keras.regularizers.L2(strength),
            name=f"hidden_{i}",
        )
        for i in (1, 2)
    ]
    output = Dense(10, "softmax", name="output")
    model = keras.Sequential([keras.Input([64]), *hidden, output])
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault("penalty-dominates", layers=["conv_1", "conv_2", "output"])
def strong_l1(training):
    """L1 of .05 on all kernels of a CNN, as large as one uses for L2."""
    strength = 0.05 if training.broken else 1e-5
    l1 = keras.regularizers.L1(strength)
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(
                16, 3, activation="relu", kernel_regularizer=l1, name="conv_1"
            ),
            keras.layers.Conv2D(
                16, 3, activation="relu", kernel_regularizer=l1, name="conv_2"
            ),
            keras.layers.Flatten(),
            Dense(10, "softmax", kernel_regularizer=l1, name="output"),
        ]
    )
    sgd = keras.optimizers.SGD(0.02, momentum=0.9)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digit_images(), epochs=8, batch_size=32)


class Sampling(keras.layers.Layer):
    """Draws codes, and adds their divergence from a normal to the loss."""

    def __init__(self, strength, **options):
        super().__init__(**options)
        self.strength = strength

    def call(self, mean, log_variance):
        divergence = tf.exp(log_variance) + mean**2 - 1 - log_variance
        divergence = tf.reduce_sum(divergence, axis=1) / 2
        self.add_loss(self.strength * tf.reduce_mean(divergence))
        noise = tf.random.normal(tf.shape(mean))
        return mean + tf.exp(log_variance / 2) * noise


@fault("penalty-dominates", layers=["sampling", "mean", "log_variance"])
def collapsed_posterior(training):
    """Divergence is summed, the squared error is a mean over 64 pixels."""
    x = keras.Input([64])
    h = Dense(64, "relu", name="encoder")(x)
    mean = Dense(8, name="mean")(h)
    log_variance = Dense(8, name="log_variance")(h)
    strength = 1.0 if training.broken else 1 / 640
    code = Sampling(strength, name="sampling")(mean, log_variance)
    h = Dense(64, "relu", name="decoder")(code)
    model = keras.Model(x, Dense(64, "sigmoid", name="output")(h))
    model.compile("adam", "mse", metrics=["mse"])
    images, _ = digits()
    return training.fit(model, images, images, epochs=10, batch_size=32)


@fault("penalty-dominates", harmless=True, layers=["hidden", "output"])
def large_but_learns(training):
    """L2 of .03 is most of the first loss, and the net learns all the same."""
    strength = 0.03 if training.broken else 1e-4
    l2 = keras.regularizers.L2(strength)
    x, y = cancer()
    model = keras.Sequential(
        [
            keras.Input([30]),
            Dense(32, "relu", kernel_regularizer=l2, name="hidden"),
            Dense(1, "sigmoid", kernel_regularizer=l2, name="output"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return training.fit(model, standardised(x), y, epochs=25, batch_size=16)
