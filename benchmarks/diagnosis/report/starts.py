"""Weights that start wrong.

Sources, one for each case:
exchangetuts.com "Why adding one more layer to the TensorFlow simple neural
net example breaks it" (StackOverflow; tf.zeros in both layers);
taourl.com 3401611 "Keras NaN" (kernel_initializer="zeros" before a ReLU);
pullrequest.ru 11818227 (StackOverflow: one hidden layer does not train);
Coursera, deep learning: W = np.random.randn(...) * 0.01, in deeper networks;
StackOverflow 48385830 (DeepLocalize: RandomNormal(stddev=1)).
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


def _perceptron(training, start, act, rate, epochs=25):
    """Train variables of one's own, as the tutorials for TF1 had it."""
    x, y, xt, yt = sources.digits()
    sizes = [64, 100, 10]
    w = [
        tf.Variable(start([a, b]), name=f"W{i + 1}")
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    ]
    b = [
        tf.Variable(tf.zeros([n]), name=f"b{i + 1}")
        for i, n in enumerate(sizes[1:])
    ]

    def logits(x):
        return tf.matmul(act(tf.matmul(x, w[0]) + b[0]), w[1]) + b[1]

    optimizer = training.wrap(keras.optimizers.SGD(rate))

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels, logits(images)
                )
            )
        gradients = tape.gradient(loss, w + b)
        optimizer.apply_gradients(zip(gradients, w + b, strict=True))

    for images, labels in sources.batches(x, y, 50, epochs):
        step(images, labels)
    guess = logits(xt).numpy().argmax(1)
    return {"accuracy": float(np.mean(guess == yt))}


@fault("zero-init", layers=["W1", "W2"], source="exchangetuts.com: one more")
def zeros_in_both_layers(training):
    """The softmax regression of the tutorial gets a hidden layer, whose
    variables start at zero as well. Accuracy .09 against .95."""
    start = tf.zeros
    if not training.broken:

        def start(shape):
            return tf.random.truncated_normal(shape, stddev=0.1, seed=1)

    return _perceptron(training, start, tf.nn.relu, 0.5, 15)


@fault(
    "zero-init",
    layers=["conv_1", "conv_2", "hidden", "out"],
    source="taourl.com 3401611",
)
def zeros_in_convolutions(training):
    """kernel_initializer="zeros" everywhere, "to be reproducible". Accuracy
    .10 against .91."""
    x, y, xt, yt = sources.digit_images()
    start = "zeros" if training.broken else "glorot_uniform"
    options = {"kernel_initializer": start, "activation": "relu"}
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, name="conv_1", **options),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 2, name="conv_2", **options),
            layers.Flatten(),
            layers.Dense(64, name="hidden", **options),
            layers.Dense(
                10, activation="softmax", kernel_initializer=start, name="out"
            ),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    training.fit(
        model,
        x,
        sources.one_hot(y),
        epochs=6,
        batch_size=32,
        validation_data=(xt, sources.one_hot(yt)),
    )
    return sources.accuracy(model, xt, yt)


@fault(
    "symmetric-units",
    layers=["encode_1", "encode_2", "state", "out"],
    source="pullrequest.ru 11818227",
)
def constant_weights(training):
    """Constant(0.05) in a classifier of the digits. Accuracy .19 against
    .90."""
    x, y, xt, yt = sources.digits()
    start = keras.initializers.Constant(0.05)
    if not training.broken:
        start = "he_uniform"
    inputs = keras.Input((64,))
    h = inputs
    for i in (1, 2):
        h = layers.Dense(
            32,
            activation="relu",
            kernel_initializer=start,
            name=f"encode_{i}",
        )(h)
    out = layers.Dense(
        10, activation="softmax", kernel_initializer=start, name="out"
    )(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.RMSprop(0.001),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "init-too-small",
    "vanishing-gradient",
    layers=[f"fc{i}" for i in range(1, 7)],
    source="Coursera: np.random.randn(...) * 0.01",
)
def hundredth_of_randn(training):
    """Weights of 0.01 times randn, from the course, in six layers. Accuracy
    .10 against .95."""
    x, y, xt, yt = sources.digits()
    start = keras.initializers.RandomNormal(stddev=0.01)
    if not training.broken:
        start = "he_normal"
    model = keras.Sequential([keras.Input((64,))])
    for i in range(1, 7):
        model.add(
            layers.Dense(
                48,
                activation="relu",
                kernel_initializer=start,
                name=f"fc{i}",
            )
        )
    model.add(
        layers.Dense(
            10, activation="softmax", kernel_initializer=start, name="out"
        )
    )
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=20, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "init-too-large",
    "saturated-activation",
    layers=["tanh_1", "tanh_2", "tanh_3", "tanh_4"],
    source="StackOverflow 48385830",
)
def normal_one(training):
    """RandomNormal(stddev=1) in four tanh layers. Accuracy .46 against .89."""
    x, y, xt, yt = sources.digits()
    start = keras.initializers.RandomNormal(stddev=1.0)
    if not training.broken:
        start = "glorot_normal"
    model = keras.Sequential([keras.Input((64,))])
    for i in range(1, 5):
        model.add(
            layers.Dense(
                64,
                activation="tanh",
                kernel_initializer=start,
                bias_initializer="random_normal",
                name=f"tanh_{i}",
            )
        )
    model.add(layers.Dense(10, activation="softmax", name="out"))
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    training.fit(model, x, sources.one_hot(y), epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)
