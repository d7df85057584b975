"""Weights that start at zero, alike, too small or too large."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1
from keras import initializers, layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators, sessions


def _perceptron(training, start, optimizer, activation=tf1.nn.relu, **options):
    """Train 784-128-128-10 in a session on digits; `start` makes weights."""
    x, y = generators.large_digits()

    def build(images, labels):
        w1, b1 = sessions.variables("h1", start, 784, 128)
        w2, b2 = sessions.variables("h2", start, 128, 128)
        w3, b3 = sessions.variables("out", start, 128, 10)
        hidden = activation(tf1.matmul(images, w1) + b1)
        hidden = activation(tf1.matmul(hidden, w2) + b2)
        logits = tf1.matmul(hidden, w3) + b3
        losses = tf1.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits
        )
        return tf1.reduce_mean(losses), sessions.accuracy(logits, labels)

    flat = x.reshape(-1, 784)
    return sessions.train(training, build, optimizer, flat, y, **options)


@fault("zero-init", layers=["h1", "h2", "out"])
def tutorial_with_zeros(training):
    """The softmax regression of the tutorial, made deeper with its zeros.
    Accuracy .10 against 1.00."""
    start = tf1.zeros if training.broken else initializers.HeNormal(0)

    def optimizer():
        return tf1.train.GradientDescentOptimizer(0.1)

    return _perceptron(training, start, optimizer)


@fault("zero-init", layers=["conv1", "conv2", "hidden", "logits"])
def convolutions_of_zeros(training):
    """ "Does it matter what I start from?" All kernels are zeros. Accuracy .28
    against .98."""
    start = "zeros" if training.broken else "glorot_uniform"
    model = keras.Sequential(
        [
            keras.Input([16, 16, 1]),
            layers.Conv2D(
                8,
                3,
                2,
                "same",
                kernel_initializer=start,
                activation="relu",
                name="conv1",
            ),
            layers.Conv2D(
                16,
                3,
                2,
                "same",
                kernel_initializer=start,
                activation="relu",
                name="conv2",
            ),
            layers.Flatten(),
            layers.Dense(32, "relu", kernel_initializer=start, name="hidden"),
            layers.Dense(4, "softmax", kernel_initializer=start, name="logits"),
        ]
    )
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, *generators.shapes(), epochs=12)


@fault("symmetric-units", layers=["first", "second"])
def kernels_of_one_half(training):
    """Every kernel starts as .5, for there was a need to have it repeatable.
    Accuracy .33 against .98."""
    start = initializers.Constant(0.5)
    start = start if training.broken else initializers.GlorotUniform(1)
    model = keras.Sequential(
        [
            keras.Input([8]),
            layers.Dense(16, "tanh", kernel_initializer=start, name="first"),
            layers.Dense(16, "tanh", kernel_initializer=start, name="second"),
            layers.Dense(6, "softmax", name="classes"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    x, y, held_out = generators.split(*generators.blobs(classes=6, features=8))
    training.fit(model, x, y, epochs=30, validation_data=held_out)


@fault("symmetric-units", layers=["hidden", "output"])
def loop_with_ones(training):
    """A network by hand from a course, whose weights are `np.ones`. Loss .51
    against .03."""
    x, y = generators.sine()
    random = np.random.default_rng(0)
    draw = random.normal if not training.broken else lambda size: np.ones(size)
    shapes = {"hidden": [1, 24], "output": [24, 1]}
    weights = [
        tf.Variable(np.float32(draw(size=size)), name=f"{layer}/{part}")
        for layer, shape in shapes.items()
        for part, size in [("w", shape), ("b", shape[1:])]
    ]
    optimizer = training.wrap(keras.optimizers.Adam(0.02))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            hidden = tf.tanh(x @ weights[0] + weights[1])
            loss = tf.reduce_mean((hidden @ weights[2] + weights[3] - y) ** 2)
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    for _ in range(800):
        rows = random.choice(len(x), 64)
        loss = step(x[rows], y[rows])
    return float(loss)


@fault(
    "init-too-small",
    "vanishing-gradient",
    layers=["dense1", "dense2", "dense3", "dense4"],
)
def thousandths(training):
    """Five layers start from N(0, .001), "small random numbers". Accuracy .11
    against .99."""
    start = initializers.RandomNormal(stddev=0.001, seed=0)
    start = start if training.broken else initializers.HeNormal(0)
    model = keras.Sequential([keras.Input([64])])
    for i in range(1, 5):
        model.add(
            layers.Dense(48, "relu", kernel_initializer=start, name=f"dense{i}")
        )
    model.add(layers.Dense(10, kernel_initializer=start, name="logits"))
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault(
    "init-too-small",
    "vanishing-gradient",
    layers=["encode1", "encode2", "code", "decode1", "decode2", "pixels"],
)
def timid_autoencoder(training):
    """An autoencoder whose kernels are uniform within a thousandth. Loss .073
    against .012."""
    start = initializers.RandomUniform(-0.001, 0.001, seed=0)
    start = start if training.broken else initializers.GlorotUniform(0)
    sizes = [
        ("encode1", 64),
        ("encode2", 32),
        ("code", 16),
        ("decode1", 32),
        ("decode2", 64),
    ]
    model = keras.Sequential([keras.Input([64])])
    for name, units in sizes:
        model.add(
            layers.Dense(units, "tanh", kernel_initializer=start, name=name)
        )
    model.add(layers.Dense(64, kernel_initializer=start, name="pixels"))
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), "mse")
    x, _ = data.digits()
    training.fit(model, x, x, epochs=20, batch_size=64)


@fault("init-too-large", layers=["h1", "h2", "out"])
def tutorial_with_normal(training):
    """`tf.random_normal` without a standard deviation, as in much copied
    examples: the loss starts in the hundreds. Loss 3.5 against .02."""
    start = initializers.HeNormal(0)
    start = tf1.random_normal if training.broken else start

    def optimizer():
        return tf1.train.AdamOptimizer(0.001)

    return _perceptron(training, start, optimizer, steps=400)


@fault("init-too-large", "saturated-activation", layers=["h1", "h2", "h3"])
def tanh_from_randn(training):
    """Course work: a tanh network of `np.random.randn(n, m)` and SGD. Accuracy
    .80 against .97."""
    start = initializers.RandomNormal(stddev=1.0, seed=0)
    start = start if training.broken else "glorot_uniform"
    model = keras.Sequential([keras.Input([784])])
    for name in ["h1", "h2", "h3"]:
        model.add(layers.Dense(64, "tanh", kernel_initializer=start, name=name))
    model.add(layers.Dense(10, "softmax", name="classes"))
    model.compile(
        keras.optimizers.SGD(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    x, y = generators.large_digits()
    x, y, held_out = generators.split(x.reshape(-1, 784), y)
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault(
    "init-too-large",
    "exploding-gradient",
    layers=["dense1", "dense2", "dense3", "dense4", "price"],
)
def uniform_from_minus_one(training):
    """Kernels uniform between -1 and 1, four layers of 100, on scaled data.
    Validation loss 1257 against .03."""
    start = initializers.RandomUniform(-1, 1, seed=0)
    start = start if training.broken else "he_uniform"
    x, y = generators.houses()
    x, y = data.standardised(x), (y - y.mean()) / y.std()
    model = keras.Sequential([keras.Input([6])])
    for i in range(1, 5):
        model.add(
            layers.Dense(
                100, "relu", kernel_initializer=start, name=f"dense{i}"
            )
        )
    model.add(layers.Dense(1, kernel_initializer=start, name="price"))
    model.compile("adam", "mse")
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=20, validation_data=held_out)
