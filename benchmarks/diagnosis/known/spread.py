"""Faults of how far apart weights start: too near, too far."""

from __future__ import annotations

import keras
from keras import initializers, layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "init-too-small",
    "vanishing-gradient",
    layers=[f"hidden_{i}" for i in range(1, 6)],
    source="StackOverflow: tf.random_normal(stddev=0.001) deep network",
)
def deep_from_a_thousandth(training):
    """Five ReLU layers start from a normal distribution of .001.

    Accuracy .08 against .97 with He's.
    """
    x, y, xt, yt = sources.digits()
    start = (
        initializers.RandomNormal(stddev=1e-3)
        if training.broken
        else "he_normal"
    )
    model = keras.Sequential([keras.Input([64])])
    for i in range(5):
        name = f"hidden_{i + 1}"
        model.add(layers.Dense(40, "relu", kernel_initializer=start, name=name))
    model.add(layers.Dense(10, activation="softmax", name="digit"))
    loss = "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=64)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "init-too-small",
    "vanishing-gradient",
    layers=["conv_1", "conv_2", "conv_3", "conv_4"],
    source="GitHub: truncated_normal(stddev=1e-2 / fan_in) for convolutions",
)
def faint_convolutions(training):
    """Four convolutions start from a truncated normal of .002.

    All pixels are called background: accuracy .88 against 1.0.
    """
    x, y, xt, yt = sources.shapes(300)
    start = (
        initializers.TruncatedNormal(stddev=2e-3)
        if training.broken
        else "he_normal"
    )
    model = keras.Sequential([keras.Input([16, 16, 1])])
    for i in range(4):
        model.add(
            layers.Conv2D(
                10,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=start,
                name=f"conv_{i + 1}",
            )
        )
    model.add(layers.Conv2D(3, 1, activation="softmax", name="classes"))
    loss = "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=16)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "init-too-large",
    layers=["hidden_1", "hidden_2", "hidden_3"],
    source="StackOverflow: tf.random_normal default stddev of 1, huge loss",
)
def normal_of_one(training):
    """Kernels of 200 columns start from a normal distribution of 1.

    The first loss is in the thousands: accuracy .83 against .97.
    """
    x, y, xt, yt = sources.digits()
    start = (
        initializers.RandomNormal(stddev=1.0)
        if training.broken
        else "glorot_uniform"
    )
    model = keras.Sequential([keras.Input([64])])
    for i in range(3):
        name = f"hidden_{i + 1}"
        model.add(
            layers.Dense(200, "relu", kernel_initializer=start, name=name)
        )
    model.add(
        layers.Dense(10, "softmax", kernel_initializer=start, name="digit")
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=10, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "init-too-large",
    layers=["hidden_1", "hidden_2"],
    source="StackOverflow: weights from np.random.rand",
)
def uniform_from_zero_to_one(training):
    """Weights come from `rand`, so that all are positive.

    Sums of 64 positive numbers: unexplained 7000 against .03.
    """
    x, y, xt, yt = sources.friedman()
    start = (
        initializers.RandomUniform(0.0, 1.0)
        if training.broken
        else "glorot_uniform"
    )
    model = keras.Sequential(
        [
            keras.Input([8]),
            layers.Dense(64, "relu", kernel_initializer=start, name="hidden_1"),
            layers.Dense(64, "relu", kernel_initializer=start, name="hidden_2"),
            layers.Dense(1, kernel_initializer=start, name="effect"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "init-too-large",
    "saturated-activation",
    layers=["keys", "queries", "words", "look"],
    source="GitHub: attention is one-hot from the start",
)
def peaked_attention(training):
    """Attention over words of deviation 6: its softmax is one-hot at once.

    Accuracy .41 against 1.0.
    """
    x, y, xt, yt = sources.topics(1000)
    wide = initializers.RandomNormal(stddev=6.0)
    start = wide if training.broken else "uniform"
    inputs = keras.Input([24], dtype="int32")
    h = layers.Embedding(400, 16, start, name="words")(inputs)
    queries = layers.Dense(16, name="queries")(h)
    keys = layers.Dense(16, name="keys")(h)
    h = layers.Attention(name="look")([queries, h, keys])
    h = layers.GlobalAveragePooling1D(name="mean")(h)
    out = layers.Dense(4, activation="softmax", name="topic")(h)
    model = keras.Model(inputs, out)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=12, batch_size=32, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}
