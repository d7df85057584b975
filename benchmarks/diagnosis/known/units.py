"""Faults of units: dead, saturated, cut at zero."""

from __future__ import annotations

import keras
from keras import initializers, layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "dead-relu",
    layers=["conv_2"],
    source="StackOverflow: bias_initializer, output of ReLU all zero",
)
def bias_far_below(training):
    """The bias of a convolution starts at -6, a sign confused.

    All its units are dead: accuracy .08 against .96.
    """
    x, y, xt, yt = sources.images()
    bias = initializers.Constant(-6.0 if training.broken else 0.1)
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            layers.Conv2D(
                16, 3, activation="relu", bias_initializer=bias, name="conv_2"
            ),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=12, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "dead-relu",
    "learning-rate",
    "update-too-large",
    layers=["hidden_1", "hidden_2", "hidden_3"],
    source="StackOverflow: all predictions equal after one epoch",
)
def relus_killed_by_the_first_steps(training):
    """SGD with momentum .9 at a rate of .3 kills the ReLUs of a regression.

    Every example gets the same prediction: unexplained 1.0 against .03.
    """
    x, y, xt, yt = sources.friedman()
    model = keras.Sequential([keras.Input([8])])
    for i in range(3):
        model.add(layers.Dense(40, activation="relu", name=f"hidden_{i + 1}"))
    model.add(layers.Dense(1, name="effect"))
    rate = 0.3 if training.broken else 0.02
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, clipnorm=5.0)
    model.compile(optimizer, "mse")
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


class _Highway(layers.Layer):
    """A highway layer: a gate chooses between `relu(x W)` and `x`."""

    def __init__(self, units: int, bias: float, **options):
        super().__init__(**options)
        self.new = layers.Dense(units, activation="relu", name="new")
        self.gate = layers.Dense(
            units,
            activation="sigmoid",
            bias_initializer=initializers.Constant(bias),
            name="gate",
        )

    def build(self, shape):
        self.new.build(shape)
        self.gate.build(shape)

    def call(self, x):
        open = self.gate(x)
        return open * self.new(x) + (1 - open) * x


@fault(
    "saturated-activation",
    layers=["highway_1", "highway_2", "highway_3", "gate"],
    source="GitHub: highway network behaves like a linear one",
)
def gates_shut(training):
    """The gates of a highway network start from a bias of -20, not -2.

    Shut sigmoids learn nothing: accuracy .42 on rings against .97.
    """
    x, y, xt, yt = sources.rings()
    bias = -20.0 if training.broken else -2.0
    model = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(24, name="widen"),
            _Highway(24, bias, name="highway_1"),
            _Highway(24, bias, name="highway_2"),
            _Highway(24, bias, name="highway_3"),
            layers.Dense(1, activation="sigmoid", name="far"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=15, batch_size=64)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "saturated-activation",
    "init-too-large",
    layers=["hidden_1", "hidden_2"],
    source="StackOverflow: tanh outputs are all 1 or -1",
)
def tanh_on_steep_kernels(training):
    """Two layers of tanh start from a normal distribution of 4.

    All outputs are 1 or -1, and stay so: accuracy .78 against .98.
    """
    x, y, xt, yt = sources.digits()
    start = (
        initializers.RandomNormal(stddev=4.0)
        if training.broken
        else "glorot_normal"
    )
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(40, "tanh", kernel_initializer=start, name="hidden_1"),
            layers.Dense(40, "tanh", kernel_initializer=start, name="hidden_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "relu-output",
    "output-range",
    layers=["effect"],
    source="StackOverflow: regression never predicts negative values",
)
def relu_on_a_signed_target(training):
    """The last layer of a regression has a ReLU, half its targets are below 0.

    Unexplained .49 against .04.
    """
    x, y, xt, yt = sources.friedman()
    model = keras.Sequential(
        [
            keras.Input([8]),
            layers.Dense(48, activation="relu", name="hidden_1"),
            layers.Dense(24, activation="relu", name="hidden_2"),
            layers.Dense(
                1, activation="relu" if training.broken else None, name="effect"
            ),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return {"unexplained": sources.unexplained(model, xt, yt)}
