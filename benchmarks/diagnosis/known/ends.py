"""Faults of a softmax, and of activations that are missing."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "single-unit-softmax",
    layers=["benign"],
    source="StackOverflow: binary classification, accuracy stuck",
)
def softmax_of_one_unit(training):
    """A binary classifier ends in `Dense(1, "softmax")`, which is always 1.

    Accuracy .60 against .97.
    """
    x, y, xt, yt = sources.cancer()
    last = "softmax" if training.broken else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(32, activation="relu", name="hidden_1"),
            layers.Dropout(0.2, name="drop"),
            layers.Dense(16, activation="relu", name="hidden_2"),
            layers.Dense(1, activation=last, name="benign"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "single-unit-softmax",
    layers=["late"],
    source="GitHub: tf.keras LSTM with softmax on a single unit",
)
def softmax_of_one_unit_after_an_lstm(training):
    """Legacy Keras: an LSTM that tells high pitches ends in one softmax.

    Accuracy .48 against 1.0.
    """
    import tf_keras

    x, y, xt, yt = sources.waves(800, 24)
    y, yt = (y > 1).astype("float32"), (yt > 1).astype("float32")
    last = "softmax" if training.broken else "sigmoid"
    model = tf_keras.Sequential(
        [
            tf_keras.Input([24, 1]),
            tf_keras.layers.LSTM(16, name="memory"),
            tf_keras.layers.Dense(1, activation=last, name="late"),
        ]
    )
    optimizer = tf_keras.optimizers.Adam(0.01)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, y, epochs=8, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "softmax-axis",
    layers=["classes"],
    source="StackOverflow: softmax(axis=1) on [batch, row, column, class]",
)
def softmax_over_rows(training):
    """A segmentation has its softmax over the rows, not over the classes.

    Its own loss does not scale the outputs anew: accuracy .5 against .97.
    """
    x, y, xt, yt = sources.shapes(300)
    axis = 1 if training.broken else -1
    model = keras.Sequential(
        [
            keras.Input([16, 16, 1]),
            layers.Conv2D(12, 5, padding="same", activation="relu", name="c1"),
            layers.Conv2D(12, 3, padding="same", activation="relu", name="c2"),
            layers.Conv2D(3, 1, name="scores"),
            layers.Softmax(axis=axis, name="classes"),
        ]
    )

    def likelihood(truth, out):
        hot = ops.one_hot(ops.cast(truth, "int32"), 3)
        return -ops.mean(ops.sum(hot * ops.log(out + 1e-7), axis=-1))

    optimizer = keras.optimizers.Adam(0.01)
    model.compile(optimizer, likelihood, metrics=["accuracy"])
    training.fit(model, x, y, epochs=8, batch_size=16)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "softmax-axis",
    layers=["digit"],
    source="GitHub: port from PyTorch, Softmax(dim=0)",
)
def softmax_over_the_batch(training):
    """A port from PyTorch keeps `dim=0`, and shares 1 among the examples.

    Asked for one example at a time, accuracy .11 against .95.
    """
    x, y, xt, yt = sources.digits()
    axis = 0 if training.broken else -1
    inputs = keras.Input([64])
    h = layers.Dense(64, activation="relu", name="hidden")(inputs)
    h = layers.Dense(10, name="scores")(h)
    out = layers.Activation(lambda z: ops.softmax(z, axis=axis), name="digit")(
        h
    )
    model = keras.Model(inputs, out)

    def likelihood(truth, out):
        hot = ops.one_hot(ops.cast(ops.reshape(truth, [-1]), "int32"), 10)
        return -ops.sum(hot * ops.log(out + 1e-7), axis=-1)

    model.compile("adam", likelihood, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    out = np.concatenate(
        [model.predict_on_batch(xt[i : i + 1]) for i in range(100)]
    )
    return {"test accuracy": np.mean(out.argmax(-1) == yt[:100])}


@fault(
    "hidden-softmax",
    layers=["hidden_1", "hidden_2"],
    source="StackOverflow: softmax in every layer, learns slowly",
)
def softmax_in_every_layer(training):
    """Somebody gives `activation="softmax"` to all three layers.

    Accuracy .20 against .97.
    """
    x, y, xt, yt = sources.digits()
    bend = "softmax" if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation=bend, name="hidden_1"),
            layers.Dense(64, activation=bend, name="hidden_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=15, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "hidden-softmax",
    layers=["conv_2"],
    source="GitHub: softmax as the activation of a convolution",
)
def softmax_in_a_convolution(training):
    """A segmentation has a softmax on a convolution of 24 inner maps.

    Ten times as many pixels are wrong: accuracy .968 against .997.
    """
    x, y, xt, yt = sources.shapes(300)
    bend = "softmax" if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([16, 16, 1]),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="c1"),
            layers.Conv2D(
                24, 3, padding="same", activation=bend, name="conv_2"
            ),
            layers.Conv2D(3, 3, padding="same", name="scores"),
            layers.Softmax(name="classes"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=10, batch_size=16)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "missing-nonlinearity",
    layers=["hidden_1", "hidden_2", "hidden_3"],
    source="StackOverflow: Keras cannot learn a spiral",
)
def spiral_without_activations(training):
    """Dense layers without `activation`, whose default is none at all.

    Accuracy on the spirals .75 against 1.0.
    """
    x, y, xt, yt = sources.spirals()
    bend = None if training.broken else "tanh"
    model = keras.Sequential([keras.Input([2])])
    for i in range(3):
        model.add(layers.Dense(32, activation=bend, name=f"hidden_{i + 1}"))
    model.add(layers.Dense(1, activation="sigmoid", name="arm"))
    model.compile(
        keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "missing-nonlinearity",
    layers=["conv_1", "conv_2", "mix"],
    source="GitHub: port from PyTorch forgot the F.relu",
)
def port_without_relus(training):
    """A port from PyTorch, where `forward` applied the ReLUs, lost them all.

    Pitches are told apart in .28 of the cases against 1.0.
    """
    x, y, xt, yt = sources.waves()
    bend = "linear" if training.broken else "relu"
    model = keras.Sequential(
        [
            keras.Input([40, 1]),
            layers.Conv1D(16, 5, activation=bend, name="conv_1"),
            layers.AveragePooling1D(2, name="pool"),
            layers.Conv1D(16, 5, activation=bend, name="conv_2"),
            layers.GlobalAveragePooling1D(name="mean"),
            layers.Dense(16, activation=bend, name="mix"),
            layers.Dense(4, activation="softmax", name="pitch"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.RMSprop(5e-3), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}
