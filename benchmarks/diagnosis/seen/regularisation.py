"""Dropout and penalties that leave nothing to learn with."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from keras import layers, regularizers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators

CLASSES = "sparse_categorical_crossentropy"


@fault("dropout-keep-prob", layers=["drop1", "drop2", "drop3"])
def kept_eight_tenths(training):
    """A network of TensorFlow 1 with keep_prob .8, moved to `Dropout(0.8)`.
    Accuracy .39 against .94."""
    rate = 0.8 if training.broken else 0.2
    model = keras.Sequential([keras.Input([16, 16, 1])])
    for i in (1, 2):
        conv = layers.Conv2D(16, 3, 2, activation="relu", name=f"conv{i}")
        model.add(conv)
        model.add(layers.Dropout(rate, name=f"drop{i}"))
    model.add(layers.Flatten())
    model.add(layers.Dense(64, "relu", name="hidden"))
    model.add(layers.Dropout(rate, name="drop3"))
    model.add(layers.Dense(4, "softmax", name="shape"))
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.shapes())
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("dropout-keep-prob", layers=["dropout", "dropout_1"])
def legacy_kept_nine_tenths(training):
    """The same in tf_keras: nine of ten units are dropped, twice. Accuracy .24
    against .98."""
    rate = 0.9 if training.broken else 0.1
    model = tf_keras.Sequential(
        [
            tf_keras.Input([64]),
            tf_keras.layers.Dense(64, "relu", name="hidden1"),
            tf_keras.layers.Dropout(rate, name="dropout"),
            tf_keras.layers.Dense(64, "relu", name="hidden2"),
            tf_keras.layers.Dropout(rate, name="dropout_1"),
            tf_keras.layers.Dense(10, "softmax", name="classes"),
        ]
    )
    tf_keras.utils.set_random_seed(0)
    model.compile(tf_keras.optimizers.Adam(), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("dropout-keep-prob", layers=["dropout", "dropout_1"])
def loop_kept_most(training):
    """`tf.nn.dropout(h, keep_prob)` in a loop: what was the share to keep in
    TensorFlow 1 is the share to drop in TensorFlow 2. Loss .42 against .01."""
    rate = 0.85 if training.broken else 0.15
    x, y = generators.houses()
    x, y = data.standardised(x), np.float32((y - y.mean()) / y.std())
    first = layers.Dense(48, "relu", name="hidden1")
    second = layers.Dense(48, "relu", name="hidden2")
    last = layers.Dense(1, name="price")

    def network(x, rate):
        hidden = tf.nn.dropout(first(x), rate)
        hidden = tf.nn.dropout(second(hidden), rate)
        return last(hidden)[:, 0]

    network(x[:2], 0)
    variables = [v for d in (first, second, last) for v in d.weights]
    optimizer = training.wrap(keras.optimizers.Adam(0.003))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((network(x, rate) - y) ** 2)
        optimizer.apply(tape.gradient(loss, variables), variables)

    random = np.random.default_rng(0)
    for _ in range(600):
        rows = random.choice(len(x), 32)
        step(x[rows], y[rows])
    return float(tf.reduce_mean((network(x, 0) - y) ** 2))


@fault("penalty-dominates", layers=["dense1", "dense2"])
def l2_of_one(training):
    """`kernel_regularizer=l2(1.0)` on each layer against over-fitting. Accuracy
    .83 against 1.00."""
    penalty = regularizers.L2(1.0 if training.broken else 1e-4)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(32, "relu", kernel_regularizer=penalty, name="dense1"),
            layers.Dense(16, "relu", kernel_regularizer=penalty, name="dense2"),
            layers.Dense(1, "sigmoid", name="malignant"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y = data.cancer()
    x, y, held_out = generators.split(data.standardised(x), y)
    training.fit(model, x, y, epochs=30, validation_data=held_out)


@fault("penalty-dominates", layers=["code"])
def sparse_code_of_zero(training):
    """The activity penalty of a sparse autoencoder is .1 for each unit of a
    batch's code, so the best code is zero. Error .084 against .011."""
    penalty = regularizers.L1(1e-1 if training.broken else 1e-6)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(32, "relu", activity_regularizer=penalty, name="code"),
            layers.Dense(64, "sigmoid", name="pixels"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse", metrics=["mse"])
    x, _ = data.digits()
    training.fit(model, x, x, epochs=15, batch_size=64)


class _Sample(layers.Layer):
    """Draws from N(mean, exp(log_var)) and adds the divergence to the loss."""

    def __init__(self, weight, **options):
        super().__init__(**options)
        self.weight = weight
        self.seed = keras.random.SeedGenerator(0)

    def call(self, mean, log_var):
        terms = keras.ops.exp(log_var) + mean**2 - 1 - log_var
        divergence = keras.ops.mean(keras.ops.sum(terms, axis=1)) / 2
        self.add_loss(self.weight * divergence)
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seed)
        return mean + keras.ops.exp(log_var / 2) * noise


@fault("penalty-dominates", layers=["mean", "log_var", "sample"])
def collapsed_posterior(training):
    """A variational autoencoder sums the divergence and takes the mean over
    pixels of the reconstruction: the code carries nothing. Error .074 against
    .027."""
    inputs = keras.Input([64])
    h = layers.Dense(48, "relu", name="encode")(inputs)
    mean = layers.Dense(6, name="mean")(h)
    log_var = layers.Dense(6, name="log_var")(h)
    weight = 1.0 if training.broken else 1 / 640
    z = _Sample(weight, name="sample")(mean, log_var)
    h = layers.Dense(48, "relu", name="decode")(z)
    outputs = layers.Dense(64, "sigmoid", name="pixels")(h)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mse"])
    x, _ = data.digits()
    training.fit(model, x, x, epochs=15)
