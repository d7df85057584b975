"""Batch norm, and other layers that are not the same in inference."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow.compat.v1 as tf1
from keras import initializers, layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators, sessions

CLASSES = "sparse_categorical_crossentropy"


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["bn1", "bn2", "bn3"],
)
def few_large_batches(training):
    """Batch norm with its momentum of .99 in a training of thirty-six steps.
    Validation accuracy .66 against .98."""
    momentum = 0.99 if training.broken else 0.8
    model = keras.Sequential([keras.Input([28, 28, 1])])
    for i, filters in enumerate([8, 16, 32], 1):
        model.add(layers.Conv2D(filters, 3, 2, use_bias=False, name=f"conv{i}"))
        model.add(layers.BatchNormalization(momentum=momentum, name=f"bn{i}"))
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    model.add(layers.Dense(10, "softmax", name="classes"))
    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.large_digits())
    training.fit(
        model, x, y, epochs=6, batch_size=240, validation_data=held_out
    )


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["hidden", "norm", "moments"],
)
def update_ops_not_run(training):
    """Batch norm in a session, whose moving averages nobody runs: at the end
    they are still 0 and 1. Accuracy in inference .37 against .99."""
    x, y = data.cancer()
    x = x / x.std(axis=0)

    def build(columns, labels):
        start = initializers.HeNormal(0)
        w1, b1 = sessions.variables("hidden", start, 30, 32)
        w2, b2 = sessions.variables("out", start, 32, 2)
        with tf1.variable_scope("norm"):
            gamma = tf1.Variable(tf1.ones([32]), name="gamma")
            beta = tf1.Variable(tf1.zeros([32]), name="beta")
            means = tf1.Variable(tf1.zeros([32]), False, name="moving_mean")
            variances = tf1.Variable(
                tf1.ones([32]), False, name="moving_variance"
            )

        def outputs(mean, variance):
            h = tf1.nn.batch_normalization(
                hidden, mean, variance, beta, gamma, 1e-3
            )
            return tf1.matmul(tf1.nn.relu(h), w2) + b2

        hidden = tf1.matmul(columns, w1) + b1
        mean, variance = tf1.nn.moments(hidden, [0])
        updates = [
            tf1.assign(means, 0.9 * means + 0.1 * mean),
            tf1.assign(variances, 0.9 * variances + 0.1 * variance),
        ]
        with tf1.control_dependencies([] if training.broken else updates):
            losses = tf1.nn.sparse_softmax_cross_entropy_with_logits(
                labels=labels, logits=outputs(mean, variance)
            )
        inference = outputs(means, variances)
        return tf1.reduce_mean(losses), sessions.accuracy(inference, labels)

    def optimizer():
        return tf1.train.AdamOptimizer(0.01)

    return sessions.train(training, build, optimizer, x, y, steps=300)


@fault("batchnorm-statistics", "train-inference-mismatch", layers=["norm"])
def momentum_of_another_framework(training):
    """ "I want slow statistics": momentum .9999 for a training of 400 steps.
    Validation loss .27 against .02."""
    momentum = 0.9999 if training.broken else 0.9
    x, y = generators.houses()
    x, y = data.standardised(x), (y - y.mean()) / y.std()
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(48, name="dense"),
            layers.BatchNormalization(momentum=momentum, name="norm"),
            layers.Activation("relu"),
            layers.Dense(24, "relu", name="dense2"),
            layers.Dense(1, name="price"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    x, y, held_out = generators.split(x, y)
    training.fit(
        model, x, y, epochs=13, batch_size=32, validation_data=held_out
    )


@fault(
    "train-inference-mismatch",
    "batchnorm-statistics",
    layers=["norm1", "norm2"],
)
def batches_of_two(training):
    """Batch norm and batches of two, for want of memory: while it trains a unit
    says only which of the two is larger. The repair is a layer norm. Validation
    accuracy .76 against .96."""
    inputs = h = keras.Input([64])
    for i in (1, 2):
        h = layers.Dense(48, name=f"dense{i}")(h)
        if training.broken:
            norm = layers.BatchNormalization(momentum=0.9, name=f"norm{i}")
        else:
            norm = layers.LayerNormalization(name=f"norm{i}")
        h = layers.ReLU()(norm(h))
    outputs = layers.Dense(10, "softmax", name="classes")(h)
    model = keras.Model(inputs, outputs)
    model.compile("adam", CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=2, batch_size=2, validation_data=held_out)


class _OwnDropout(layers.Layer):
    """Drops half of the units, and does (or does not) double the others."""

    def __init__(self, scale, **options):
        super().__init__(**options)
        self.scale = scale
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x, training=None):
        if not training:
            return x
        draw = keras.random.uniform(keras.ops.shape(x), seed=self.seed)
        return x * keras.ops.cast(draw < 0.5, x.dtype) * self.scale


@fault("train-inference-mismatch", layers=["drop1", "drop2", "dense2", "price"])
def dropout_by_hand(training):
    """A layer of one's own drops half of the units and forgets the factor 2:
    predictions are several times too large. Validation loss 50 against .15."""
    scale = 1.0 if training.broken else 2.0
    x, y = generators.houses()
    x, y = data.standardised(x), y / 1e5
    model = keras.Sequential(
        [
            keras.Input([6]),
            layers.Dense(128, "relu", name="dense1"),
            _OwnDropout(scale, name="drop1"),
            layers.Dense(128, "relu", name="dense2"),
            _OwnDropout(scale, name="drop2"),
            layers.Dense(1, name="price"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=20, validation_data=held_out)


@fault("shared-batchnorm", "train-inference-mismatch", layers=["norm"])
def one_norm_for_three_layers(training):
    """`norm` is made once and called after each layer: it has one mean for
    things of three different scales. Validation accuracy .24 against .99."""

    def new():
        return layers.BatchNormalization(momentum=0.9, name="norm")

    shared = new()
    inputs = keras.Input([28, 28, 1])
    h = inputs
    for i in range(3):
        h = layers.Conv2D(16, 3, 2, activation="relu", name=f"conv{i}")(h)
        own = layers.BatchNormalization(momentum=0.9, name=f"norm{i}")
        h = shared(h) if training.broken else own(h)
    h = layers.Flatten()(h)
    model = keras.Model(inputs, layers.Dense(10, "softmax", name="out")(h))
    model.compile(keras.optimizers.Adam(0.003), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.large_digits())
    training.fit(model, x, y, epochs=6, validation_data=held_out)


@fault("shared-batchnorm", "train-inference-mismatch", layers=["norm"])
def two_sensors_one_norm(training):
    """Two sensors with other offsets go through one encoder, one after the
    other; its batch norm averages both. The repair has a norm for each. Loss in
    inference 1.04 against .04."""
    random = np.random.default_rng(0)
    cause = random.normal(size=[1200, 3])
    mix = random.normal(size=[3, 8])
    left = cause @ mix + random.normal(0, 0.1, [1200, 8])
    right = 4 * (cause @ mix[:, ::-1]) + 12
    y = np.tanh(cause[:, 0]) * cause[:, 1] + cause[:, 2]
    dense = layers.Dense(32, name="dense")
    norm = layers.BatchNormalization(momentum=0.9, name="norm")
    other = layers.BatchNormalization(momentum=0.9, name="norm_right")
    other = norm if training.broken else other
    inputs = [keras.Input([8]), keras.Input([8])]
    a = layers.ReLU()(norm(dense(inputs[0])))
    b = layers.ReLU()(other(dense(inputs[1])))
    h = layers.Dense(32, "relu", name="both")(layers.Concatenate()([a, b]))
    model = keras.Model(inputs, layers.Dense(1, name="out")(h))
    model.compile(keras.optimizers.Adam(0.005), "mse")
    x = [left.astype("float32"), right.astype("float32")]
    training.fit(model, x, y.astype("float32"), epochs=12)
