"""Oddities that do no harm: these networks train as well with them."""

from __future__ import annotations

import keras
from keras import initializers, layers, regularizers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "dropout-keep-prob",
    layers=["drop_1", "drop_2"],
    harmless=True,
    source="Reddit: is a dropout of 0.7 too much?",
)
def much_dropout_in_a_wide_net(training):
    """A wide network drops .7 of its units twice, and has enough of them.

    Accuracy .99 either way.
    """
    x, y, xt, yt = sources.digits()
    rate = 0.7 if training.broken else 0.3
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(512, activation="relu", name="hidden_1"),
            layers.Dropout(rate, name="drop_1"),
            layers.Dense(256, activation="relu", name="hidden_2"),
            layers.Dropout(rate, name="drop_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=20, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "unscaled-input",
    harmless=True,
    source="StackOverflow: do I have to scale before batch norm?",
)
def raw_columns_into_batch_norm(training):
    """Raw columns go into a batch norm, which scales them.

    Accuracy .96 either way.
    """
    x, y, xt, yt = sources.cancer(scaled=not training.broken)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.BatchNormalization(momentum=0.9, name="scale"),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="benign"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "unscaled-target",
    layers=["price"],
    harmless=True,
    source="StackOverflow: are raw targets a problem?",
)
def raw_targets_with_a_fitting_rate(training):
    """Targets of 25 to 346 are learnt as they are, at a rate that fits.

    Unexplained .62 and .64: as good as scaled ones.
    """
    x, y, xt, yt = sources.diabetes()
    if not training.broken:
        y, yt = (y - y.mean()) / y.std(), (yt - y.mean()) / y.std()
    model = keras.Sequential(
        [
            keras.Input([10]),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, name="price"),
        ]
    )
    rate = 0.03 if training.broken else 0.003
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    training.fit(model, x, y, epochs=30, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "missing-nonlinearity",
    layers=["narrow"],
    harmless=True,
    source="Reddit: a linear bottleneck on purpose",
)
def narrow_linear_layer(training):
    """A linear layer of 16 lies between two others, as a factorisation.

    Accuracy .98 against .99.
    """
    x, y, xt, yt = sources.digits()
    bend = None if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(16, activation=bend, name="narrow"),
            layers.Dense(96, activation="relu", name="wide"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "init-too-small",
    layers=["hidden", "conv"],
    harmless=True,
    source="GitHub: normal(0, 0.01) as in AlexNet",
)
def small_start_of_a_shallow_net(training):
    """Two layers start from a normal distribution of .005, and Adam copes.

    Accuracy .96 against .98.
    """
    x, y, xt, yt = sources.images()
    start = (
        initializers.RandomNormal(stddev=5e-3)
        if training.broken
        else "he_normal"
    )
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(
                16, 3, activation="relu", kernel_initializer=start, name="conv"
            ),
            layers.Flatten(name="flat"),
            layers.Dense(
                48, activation="relu", kernel_initializer=start, name="hidden"
            ),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=12, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


class _Spare(keras.Model):
    """A network that may have a head which it does not use."""

    def __init__(self, has_spare: bool):
        super().__init__(name="spare")
        self.hidden = layers.Dense(32, activation="relu", name="hidden")
        self.tags = layers.Dense(3, activation="softmax", name="grape")
        self.old_head = layers.Dense(5, name="old_head") if has_spare else None

    def call(self, x):
        h = self.hidden(x)
        if self.old_head is not None:
            self.old_head(h)
        return self.tags(h)


@fault(
    "disconnected-variable",
    layers=["old_head"],
    harmless=True,
    source="keras issues: Gradients do not exist for an unused head",
)
def head_of_an_older_task(training):
    """A model still computes the head of an older task, and drops it.

    Accuracy .91 either way.
    """
    x, y, xt, yt = sources.wine()
    model = _Spare(training.broken)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=30, batch_size=16)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "penalty-dominates",
    layers=["hidden"],
    harmless=True,
    source="StackOverflow: the penalty is most of my loss",
)
def penalty_larger_than_the_loss(training):
    """A penalty is most of the loss at the end, and does not hurt.

    Accuracy .97 against .98.
    """
    x, y, xt, yt = sources.digits()
    penalty = regularizers.L2(0.004 if training.broken else 1e-5)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(
                128,
                activation="relu",
                kernel_regularizer=penalty,
                name="hidden",
            ),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}
