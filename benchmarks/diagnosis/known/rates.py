"""Faults of the size of steps: rates, schedules, sums instead of means."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "update-too-small",
    "learning-rate",
    source="keras issues: Adadelta does not learn with its default rate",
)
def adadelta_with_its_default(training):
    """`Adadelta()` of Keras has a rate of .001, where the paper has 1.

    Accuracy .12 against .98.
    """
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(96, activation="relu", name="hidden_1"),
            layers.Dense(48, activation="relu", name="hidden_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    rate = 1e-3 if training.broken else 1.0
    optimizer = keras.optimizers.Adadelta(rate)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=15, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "update-too-small",
    "learning-rate",
    source="StackOverflow: ExponentialDecay, decay_steps in epochs",
)
def decay_counted_in_epochs(training):
    """`decay_steps=1` was meant in epochs, but is counted in steps.

    The rate is gone after 60 steps: accuracy .82 against 1.0.
    """
    x, y, xt, yt = sources.waves()
    steps = 1 if training.broken else 24
    rate = keras.optimizers.schedules.ExponentialDecay(3e-3, steps, 0.85)
    model = keras.Sequential(
        [
            keras.Input([40, 1]),
            layers.Conv1D(24, 7, activation="relu", name="conv_1"),
            layers.Conv1D(24, 5, strides=2, activation="relu", name="conv_2"),
            layers.GlobalMaxPooling1D(name="pool"),
            layers.Dense(4, activation="softmax", name="pitch"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "learning-rate",
    "update-too-small",
    source="StackOverflow: learning rate 1e-6 with SGD, loss flat",
)
def rate_of_a_millionth(training):
    """SGD with a rate of 1e-6, taken over from a fine-tuning tutorial.

    Accuracy .18 against .97.
    """
    x, y, xt, yt = sources.cancer()
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(16, activation="tanh", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="benign"),
        ]
    )
    rate = 1e-6 if training.broken else 0.05
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, y, epochs=25, batch_size=16)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "update-too-large",
    "learning-rate",
    "exploding-gradient",
    source="GitHub: reduce_sum in place of reduce_mean in an own loop",
)
def loss_summed_over_the_batch(training):
    """An own loop sums the loss over 256 examples, at an ordinary rate.

    Accuracy .08 against .98.
    """
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation="relu", name="hidden_1"),
            layers.Dense(64, activation="relu", name="hidden_2"),
            layers.Dense(10, name="logits"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    optimizer = training.wrap(optimizer, model=model)
    total = tf.reduce_sum if training.broken else tf.reduce_mean

    @tf.function
    def step(some, labels):
        with tf.GradientTape() as tape:
            logits = model(some, training=True)
            value = total(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            )
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )

    for rows in sources.batches(len(x), 256, 250):
        step(x[rows], y[rows])
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "update-too-large",
    "learning-rate",
    source="GitHub: Lion with the rate of SGD",
)
def lion_with_the_rate_of_sgd(training):
    """Lion moves every weight by the rate, and is given SGD's .1.

    Accuracy .08 against .95.
    """
    x, y, xt, yt = sources.images()
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            layers.Conv2D(16, 3, activation="relu", name="conv_2"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    optimizer = keras.optimizers.Lion(0.1 if training.broken else 1e-3)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=12, batch_size=64)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "learning-rate",
    "update-too-large",
    source="StackOverflow: Adam(1.0), accuracy of chance",
)
def adam_at_a_half(training):
    """Adam has a rate of .5, copied from Adadelta code.

    Accuracy .12 against .98.
    """
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(128, activation="tanh", name="hidden_1"),
            layers.Dense(64, activation="tanh", name="hidden_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    optimizer = keras.optimizers.Adam(0.5 if training.broken else 2e-3)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=12, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "loss-diverges",
    "learning-rate",
    "update-too-large",
    source="StackOverflow: linear regression in Keras, loss goes to inf",
)
def regression_beyond_its_rate(training):
    """A linear model of thirty columns learns with SGD at .2.

    The loss grows without end; unexplained .38 at a rate of .01.
    """
    x, y, xt, yt = sources.cancer()
    model = keras.Sequential(
        [keras.Input([30]), layers.Dense(1, name="line")],
    )
    optimizer = keras.optimizers.SGD(0.2 if training.broken else 0.01)
    model.compile(optimizer, "mse", metrics=["mae"])
    training.fit(model, x, y, epochs=12, batch_size=16)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "loss-diverges",
    layers=[],
    source="StackOverflow: own loss is negative and falls for ever",
)
def loss_with_the_wrong_sign(training):
    """An own loss is minus the error, which training then maximises.

    The network runs away: unexplained 10^8 against .04.
    """
    x, y, xt, yt = sources.friedman()
    sign = -1.0 if training.broken else 1.0
    model = keras.Sequential(
        [
            keras.Input([8]),
            layers.Dense(32, activation="relu", name="hidden_1"),
            layers.Dense(32, activation="relu", name="hidden_2"),
            layers.Dense(1, name="effect"),
        ]
    )

    def error(truth, out):
        return sign * keras.ops.mean((truth - out) ** 2, axis=-1)

    model.compile(keras.optimizers.Adam(2e-3), error)
    training.fit(model, x, y[:, None], epochs=15, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}
