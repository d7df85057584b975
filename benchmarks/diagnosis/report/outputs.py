"""The last layer, the loss and the labels.

Sources, one for each case:
StackOverflow 59758722 and 48251943 (deepmufl, DeepLocalize: a regression
that ends in a ReLU); StackOverflow 53700537 (deepmufl: ReLU where a softmax
belongs);
StackOverflow 31880720, 47241622 (deepmufl: softmax of one unit);
StackOverflow 48976413, 52566823 (deepmufl: sigmoid for prices);
datascience.stackexchange 38604 "Too low accuracy on MNIST" (one sigmoid);
StackOverflow 68101077 (deepmufl: logits in the sparse cross-entropy);
prodissertation.co.uk "Why is the accuracy for my Keras model always 0"
(data that have one class only: argmax of a column);
phreeza/tensorflow-vrnn #6 "negative log-likelihood is missing a minus sign";
StackOverflow 42081257 "Why binary_crossentropy and categorical_crossentropy
give different performances".
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


def _dense(inputs, *units, act="relu"):
    """Return a model's first layers: fc1, fc2..."""
    model = keras.Sequential([keras.Input((inputs,))])
    for i, n in enumerate(units):
        model.add(layers.Dense(n, activation=act, name=f"fc{i + 1}"))
    return model


def _houses():
    x, y, xt, yt = sources.split(*sources.houses())
    m, s = x.mean(0), x.std(0)
    return (x - m) / s, y, (xt - m) / s, yt


@fault(
    "relu-output",
    "output-range",
    layers=["out"],
    source="StackOverflow 59758722",
)
def relu_for_both_signs(training):
    """A regression of standardised targets ends in a ReLU. R2 .35 against
    .55."""
    x, y = data.diabetes()
    y = ((y - y.mean()) / y.std())[:, None]
    x, y, xt, yt = sources.split(x, y)
    model = _dense(10, 30, 30)
    act = "relu" if training.broken else "linear"
    model.add(layers.Dense(1, activation=act, name="out"))
    model.compile("RMSprop", "mean_squared_error")
    training.fit(model, x, y, epochs=20, batch_size=16)
    return sources.r2(model, xt, yt)


@fault(
    "relu-output",
    "non-finite",
    "dead-relu",
    layers=["classes"],
    source="StackOverflow 53700537",
)
def relu_for_a_softmax(training):
    """The classes come out of a ReLU. Accuracy .69 against 1.00."""
    r = np.random.default_rng(1)
    t = np.linspace(0, 6, 60)
    y = r.integers(0, 3, 1200)
    phase = r.uniform(0, 6, (1200, 1))
    x = np.sin(t * np.array([1, 2, 4])[y][:, None] + phase)
    x = (x + r.normal(0, 0.2, x.shape))[..., None].astype("float32")
    x, y, xt, yt = sources.split(x, y)
    act = "relu" if training.broken else "softmax"
    model = keras.Sequential(
        [
            keras.Input((60, 1)),
            layers.Conv1D(16, 8, activation="relu", name="conv_1"),
            layers.MaxPooling1D(3),
            layers.Conv1D(16, 4, activation="relu", name="conv_2"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation=act, name="classes"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, sources.one_hot(y, 3), epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault("single-unit-softmax", layers=["out"], source="StackOverflow 31880720")
def one_softmax(training):
    """A softmax of one unit decides between two classes. Accuracy .62 against
    .97."""
    x, y, xt, yt = sources.cancer()
    act = "softmax" if training.broken else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(50, name="dense_1"),
            layers.Activation("relu"),
            layers.Dropout(0.2),
            layers.Dense(50, name="dense_2"),
            layers.Activation("relu"),
            layers.Dropout(0.2),
            layers.Dense(1, name="out"),
            layers.Activation(act, name="probability"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=10, batch_size=16)
    return sources.accuracy(model, xt, yt)


@fault("single-unit-softmax", layers=["out"], source="StackOverflow 47241622")
def one_softmax_after_lstm(training):
    """The same after an LSTM that reads sentences. Accuracy .51 against
    .88."""
    x, y, xt, yt = sources.split(*sources.sentences())
    act = "softmax" if training.broken else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(200, 16, name="words"),
            layers.LSTM(16, name="lstm"),
            layers.Dense(1, activation=act, name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=6, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "output-range",
    "unscaled-target",
    "saturated-activation",
    layers=["price"],
    source="StackOverflow 48976413",
)
def sigmoid_for_prices(training):
    """A sigmoid is to give prices in ten thousands. R2 -2.69 against .91."""
    x, y, xt, yt = _houses()
    act = "sigmoid" if training.broken else "linear"
    model = _dense(6, 32, 16)
    model.add(layers.Dense(1, activation=act, name="price"))
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    training.fit(model, x, y / 1e4, epochs=12, batch_size=32)
    return sources.r2(model, xt, yt, 1e4)


@fault(
    "output-range",
    "saturated-activation",
    "loss-diverges",
    layers=["digit"],
    source="datascience.stackexchange 38604",
)
def one_sigmoid_for_ten_digits(training):
    """One sigmoid unit and binary cross-entropy, labels 0 to 9. Accuracy .11
    against .91."""
    x, y, xt, yt = sources.digits()
    model = _dense(64, 64)
    if training.broken:
        model.add(layers.Dense(1, activation="sigmoid", name="digit"))
        loss = "binary_crossentropy"
    else:
        model.add(layers.Dense(10, activation="softmax", name="digit"))
        loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(model, x, y.astype("float32"), epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault("output-range", layers=["scores"], source="StackOverflow 68101077")
def scores_for_probabilities(training):
    """Linear scores go into a cross-entropy of probabilities. Accuracy .46
    against .91."""
    x, y, xt, yt = sources.digits()
    model = _dense(64, 64)
    model.add(layers.Dense(10, name="scores"))
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=not training.broken
    )
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault("constant-labels", source="prodissertation.co.uk")
def argmax_of_a_column(training):
    """np.argmax(y, axis=1) of labels that are one column: all are 0. Accuracy
    .38 against .99."""
    x, y, xt, yt = sources.cancer()
    labels = y
    if training.broken:
        labels = np.argmax(y, axis=1).astype("float32")[:, None]
    model = _dense(30, 32, 16)
    model.add(layers.Dense(1, activation="sigmoid", name="out"))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, labels, epochs=12, batch_size=16)
    return sources.accuracy(model, xt, yt)


@fault("loss-diverges", source="phreeza/tensorflow-vrnn #6")
def likelihood_without_minus(training):
    """A loop of one's own minimises the log-likelihood. Accuracy .11 against
    .92."""
    x, y, xt, yt = sources.digits()
    sign = 1 if training.broken else -1
    model = _dense(64, 64, 32)
    model.add(layers.Dense(10, name="logits"))
    optimizer = training.wrap(keras.optimizers.Adam(0.001), model=model)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            p = tf.nn.log_softmax(model(images, training=True))
            hit = tf.gather(p, labels, batch_dims=1)
            loss = sign * tf.reduce_mean(hit)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )

    for images, labels in sources.batches(x, y, 32, 8):
        step(images, labels)
    return sources.accuracy(model, xt, yt)


@fault("loss-metric-disagree", source="StackOverflow 42081257")
def binary_accuracy_of_ten_classes(training):
    """Binary cross-entropy and accuracy for ten classes: 90 % are right at the
    start, and the loss looks small. Accuracy .39 against .87."""
    x, y, xt, yt = sources.digits()
    loss, metric = "binary_crossentropy", "binary_accuracy"
    if not training.broken:
        loss, metric = "categorical_crossentropy", "accuracy"
    model = _dense(64, 64)
    model.add(layers.Dense(10, activation="softmax", name="out"))
    model.compile(keras.optimizers.SGD(0.03), loss, metrics=[metric])
    training.fit(model, x, sources.one_hot(y), epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)
