"""Faults of labels and of losses."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "output-range",
    "hidden-softmax",
    layers=["digit"],
    source="StackOverflow: softmax before tf.nn.softmax_cross_entropy",
)
def softmax_into_a_loss_of_logits(training):
    """An own loop feeds probabilities into `tf.nn`'s loss of logits.

    The loss cannot fall below 1.46: accuracy .74 against .98.
    """
    x, y, xt, yt = sources.digits()
    last = "softmax" if training.broken else None
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation="relu", name="hidden_1"),
            layers.Dense(64, activation="relu", name="hidden_2"),
            layers.Dense(10, activation=last, name="digit"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.SGD(0.1), model=model)

    @tf.function(jit_compile=True)
    def step(some, labels):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels, model(some, training=True)
                )
            )
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(
            zip(gradients, model.trainable_variables, strict=True)
        )

    for rows in sources.batches(len(x), 64, 500):
        step(x[rows], y[rows])
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "constant-labels",
    source="StackOverflow: loss 0 and accuracy 1 in the first epoch",
)
def argmax_of_a_column(training):
    """Labels in one column are decoded by `argmax(axis=1)`: all become 0.

    The loss falls to 0 and the true accuracy is .11 against .95.
    """
    x, y, xt, yt = sources.digits()
    column = y.reshape(-1, 1)
    labels = column.argmax(axis=1) if training.broken else column[:, 0]
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(model, x, labels, epochs=12, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "constant-labels",
    source="StackOverflow: labels cast to int become 0",
)
def shares_cast_to_integers(training):
    """Targets between 0 and 1 are cast to `int32`, and all become 0.

    The regression says 0: unexplained 7.2 against .11.
    """
    x, y, xt, yt = sources.sums(1200, 12)
    y, yt = y / 2.01, yt / 2.01
    told = y.astype("int32") if training.broken else y
    model = keras.Sequential(
        [
            keras.Input([12, 2]),
            layers.Conv1D(24, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(1, name="share"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    training.fit(model, x, told, epochs=15, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "loss-metric-disagree",
    layers=[],
    source="StackOverflow: own hinge loss with labels 0 and 1",
)
def hinge_with_labels_of_zero(training):
    """An own hinge loss gets labels 0 and 1, where it needs -1 and 1.

    Examples of 0 have a constant loss: accuracy .80 against .96.
    """
    x, y, xt, yt = sources.cancer()

    def hinge(truth, out):
        if not training.broken:
            truth = 2 * truth - 1
        return ops.mean(ops.relu(1 - truth * out), axis=-1)

    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, name="margin"),
        ]
    )
    sign = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
    model.compile(keras.optimizers.Adam(5e-3), hinge, metrics=[sign])
    training.fit(
        model, x, y[:, None], epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    out = model.predict(xt, verbose=0)[:, 0]
    return {"test accuracy": np.mean((out > 0) == (yt > 0.5))}


@fault(
    "loss-metric-disagree",
    layers=[],
    source="StackOverflow: sample weights make the loss 0",
)
def weights_of_the_wrong_class(training):
    """Rare examples should count fivefold, and the common ones get 1e-3.

    The loss falls, all is called rare: accuracy .49 against .95.
    """
    x, y, xt, yt = sources.rings(2000, 4)
    keep = (y == 0) | (np.arange(len(y)) % 5 == 0)
    x, y = x[keep], y[keep]
    common = 1e-3 if training.broken else 1.0
    model = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(32, activation="relu", name="hidden_1"),
            layers.Dense(32, activation="relu", name="hidden_2"),
            layers.Dense(1, activation="sigmoid", name="far"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    weight = {0: common, 1: 5.0}
    training.fit(model, x, y, epochs=15, batch_size=64, class_weight=weight)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "loss-metric-disagree",
    "output-range",
    layers=["kind"],
    source="StackOverflow: loss falls and accuracy stays (legacy, mse)",
)
def classes_as_one_number(training):
    """Legacy Keras: wines 0, 1, 2 are one number for `binary_crossentropy`.

    The loss falls to -204, accuracy stays at .73; with a softmax .93.
    """
    import tf_keras

    x, y, xt, yt = sources.wine()
    model = tf_keras.Sequential(
        [
            tf_keras.Input([13]),
            tf_keras.layers.Dense(16, activation="relu", name="hidden"),
        ]
    )
    if training.broken:
        last = tf_keras.layers.Dense(1, activation="sigmoid", name="kind")
        loss = "binary_crossentropy"
    else:
        last = tf_keras.layers.Dense(3, activation="softmax", name="kind")
        loss = "sparse_categorical_crossentropy"
    model.add(last)
    optimizer = tf_keras.optimizers.Adam(0.01)
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=30, batch_size=16)
    out = model.predict(xt, verbose=0)
    told = out.argmax(-1) if out.shape[1] > 1 else np.round(out[:, 0])
    return {"test accuracy": np.mean(told == yt)}
