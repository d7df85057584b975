"""Weights that start at the wrong size, or all alike."""

from __future__ import annotations

import itertools

import keras
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import diabetes, digit_images, digits
from benchmarks.diagnosis.tune.generators import batches, waves

Dense = keras.layers.Dense
Normal = keras.initializers.RandomNormal
CROSSENTROPY = "sparse_categorical_crossentropy"


def mlp(kernel, activation="relu", hidden=2, width=128):
    """Return a classifier of digits; `kernel` makes an initializer."""
    layers = [
        Dense(
            width, activation, kernel_initializer=kernel(), name=f"hidden_{i}"
        )
        for i in range(1, hidden + 1)
    ]
    output = Dense(10, "softmax", kernel_initializer=kernel(), name="output")
    return keras.Sequential([keras.Input([64]), *layers, output])


@fault("zero-init", layers=["hidden_1", "hidden_2", "output"])
def zeros_everywhere(training):
    """Biases start at zero, so the kernels were given the same. Accuracy .10
    against .99."""
    start = "zeros" if training.broken else "glorot_uniform"
    model = mlp(lambda: start)
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault("zero-init", layers=["conv_1", "conv_2", "output"])
def zero_filters(training):
    """A CNN with zero filters: `kernel_initializer` copied from a bias.
    Accuracy .10 against 1.00."""
    start = "zeros" if training.broken else "he_normal"
    conv = dict(padding="same", activation="relu", kernel_initializer=start)
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            keras.layers.Conv2D(16, 3, name="conv_1", **conv),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, name="conv_2", **conv),
            keras.layers.Flatten(),
            Dense(10, "softmax", name="output"),
        ]
    )
    sgd = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digit_images(), epochs=8, batch_size=32)


@fault("symmetric-units", layers=["hidden_1", "hidden_2", "output"])
def constant_kernels(training):
    """All weights .05, to have runs that can be compared. Accuracy .23 against
    .99."""
    start = keras.initializers.Constant(0.05)
    model = mlp(lambda: start if training.broken else "glorot_uniform")
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault(
    "symmetric-units",
    "saturated-activation",
    "init-too-large",
    layers=["gru/gru_cell", "output"],
)
def recurrent_ones(training):
    """A GRU whose weights, recurrent ones too, are all one. Accuracy .75
    against 1.00."""
    start = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
    start = start if training.broken else {}
    model = keras.Sequential(
        [
            keras.Input([32, 1]),
            keras.layers.GRU(24, name="gru", **start),
            Dense(3, "softmax", name="output"),
        ]
    )
    adam = keras.optimizers.Adam(5e-3)
    model.compile(adam, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *waves(), epochs=8, batch_size=32)


@fault(
    "init-too-small",
    "vanishing-gradient",
    layers=["hidden_1", "hidden_2", "hidden_3", "hidden_4", "output"],
)
def tiny_normal(training):
    """Four layers, all from a normal with standard deviation .001. Accuracy .10
    against .99."""
    small = lambda: Normal(stddev=1e-3)  # noqa: E731
    model = mlp(small if training.broken else lambda: "he_normal", hidden=4)
    sgd = keras.optimizers.SGD(0.1)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault(
    "init-too-small",
    "vanishing-gradient",
    layers=["w1", "w2", "w3"],
)
def tiny_by_hand(training):
    """Own weights in a loop of its own, scaled down to be safe. Loss 2.3
    against .085."""
    scale = 1e-3 if training.broken else 0.1
    sizes = [64, 100, 100, 10]
    w = [
        tf.Variable(scale * tf.random.normal([n, m]), name=f"w{i}/kernel")
        for i, (n, m) in enumerate(itertools.pairwise(sizes), 1)
    ]
    b = [
        tf.Variable(tf.zeros([m]), name=f"w{i}/bias")
        for i, m in enumerate(sizes[1:], 1)
    ]
    optimizer = training.wrap(keras.optimizers.SGD(0.2))

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            h = tf.tanh(x @ w[0] + b[0])
            h = tf.tanh(h @ w[1] + b[1])
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(
                y, h @ w[2] + b[2]
            )
            loss = tf.reduce_mean(loss)
        gradients = tape.gradient(loss, w + b)
        optimizer.apply_gradients(zip(gradients, w + b, strict=True))
        return loss

    return [float(step(*batch)) for batch in batches(*digits(), 32, 7)]


@fault(
    "init-too-large",
    layers=["hidden_1", "hidden_2", "hidden_3", "output"],
)
def unit_normal(training):
    """Weights from a standard normal, with RMSprop: the first loss is 1000.
    Loss 15
    against .02."""
    large = lambda: Normal(stddev=1.0)  # noqa: E731
    model = mlp(large if training.broken else lambda: "he_normal", hidden=3)
    model.compile("rmsprop", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=8, batch_size=32)


@fault(
    "init-too-large",
    "saturated-activation",
    layers=["hidden_1", "hidden_2", "hidden_3", "hidden_4", "output"],
)
def unit_normal_tanh(training):
    """A standard normal in front of tanh: the units sit at the ends. Accuracy
    .57 against .98."""
    large = lambda: Normal(stddev=1.0)  # noqa: E731
    start = large if training.broken else lambda: "glorot_uniform"
    model = mlp(start, "tanh", hidden=4, width=256)
    sgd = keras.optimizers.SGD(0.05)
    model.compile(sgd, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault(
    "init-too-large",
    layers=["hidden", "output"],
)
def large_regression(training):
    """Regression that begins far from any target. Loss 1.3 against .53."""
    start = Normal(stddev=1.0) if training.broken else "glorot_uniform"
    x, y = diabetes()
    model = keras.Sequential(
        [
            keras.Input([10]),
            Dense(64, "relu", kernel_initializer=start, name="hidden"),
            Dense(1, kernel_initializer=start, name="output"),
        ]
    )
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    y = (y - y.mean()) / y.std()
    return training.fit(model, x, y, epochs=20, batch_size=16)
