"""Faults that end in numbers that are none."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "non-finite",
    layers=["probabilities"],
    source="StackOverflow: own cross-entropy with log gives nan (tf.keras)",
)
def logarithm_of_zero(training):
    """Legacy Keras: an own cross-entropy takes `log` of a softmax.

    The loss is NaN and accuracy .11, against .96 with Keras' own.
    """
    import tf_keras

    x, y, xt, yt = sources.digits()

    def own(truth, out):
        return -tf.reduce_sum(truth * tf.math.log(out), axis=-1)

    loss = own if training.broken else "categorical_crossentropy"

    model = tf_keras.Sequential(
        [
            tf_keras.Input([64]),
            tf_keras.layers.Dense(64, activation="relu", name="hidden"),
            tf_keras.layers.Dense(10, "softmax", name="probabilities"),
        ]
    )
    optimizer = tf_keras.optimizers.Adam(0.01)
    model.compile(optimizer, loss, metrics=["accuracy"])
    hot = np.eye(10, dtype="float32")
    training.fit(model, 255 * x, hot[y], epochs=10, batch_size=32)
    return {"test accuracy": sources.accuracy(model, 255 * xt, yt)}


@fault(
    "non-finite",
    layers=["inner", "place"],
    source="GitHub: siamese network, nan after a while (sqrt of 0)",
)
def distance_by_square_root(training):
    """A siamese network takes the square root of distances that can be 0.

    NaN as soon as a pair is a picture with itself: the nearest neighbour is
    right in .10 of the cases, against .97 with an epsilon below the root.
    """
    x, y, xt, yt = sources.digits()
    least = 0.0 if training.broken else 1e-6
    tower = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation="relu", name="inner"),
            layers.Dense(8, name="place"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(2e-3), model=tower)

    @tf.function
    def step(one, other, same):
        with tf.GradientTape() as tape:
            apart = tower(one, training=True) - tower(other, training=True)
            far = tf.sqrt(tf.reduce_sum(apart**2, axis=1) + least)
            push = tf.nn.relu(3.0 - far) ** 2
            value = tf.reduce_mean(same * far + (1 - same) * push)
        gradients = tape.gradient(value, tower.trainable_variables)
        optimizer.apply(gradients, tower.trainable_variables)

    by_class = [np.flatnonzero(y == c) for c in range(10)]
    for rows in sources.batches(len(x), 128, 400):
        random = np.random.default_rng(rows[0])
        mates = random.permutation(rows)
        mates[:64] = [random.choice(by_class[y[i]]) for i in rows[:64]]
        step(x[rows], x[mates], (y[rows] == y[mates]).astype("float32"))
    known, asked = tower.predict(x, verbose=0), tower.predict(xt, verbose=0)
    far = ((asked[:, None] - known[None]) ** 2).sum(-1)
    return {"neighbour": np.mean(y[far.argmin(1)] == yt)}


@fault(
    "non-finite",
    source="StackOverflow: standardised pictures, loss nan from step 1",
)
def division_by_a_constant_column(training):
    """Columns are divided by their deviation, which is 0 at the border.

    Inputs are NaN: accuracy .11 against .98.
    """
    x, y, xt, yt = sources.digits()
    least = 0.0 if training.broken else 1e-3
    mean, deviation = x.mean(0), x.std(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = (x - mean) / (deviation + least)
        xt = (xt - mean) / (deviation + least)
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("rmsprop", loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=10, batch_size=32, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "non-finite",
    source="StackOverflow: missing values in the CSV, loss is nan",
)
def missing_values(training):
    """A table has two empty cells, which `read_csv` made NaN.

    Accuracy .40 against .96 with the cells filled by the mean.
    """
    x, y, xt, yt = sources.cancer()
    x = x.copy()
    x[[100, 301], [3, 20]] = np.nan
    if not training.broken:
        x = np.nan_to_num(x)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(24, activation="relu", name="first"),
            layers.Dense(12, activation="relu", name="second"),
            layers.Dense(1, activation="sigmoid", name="benign"),
        ]
    )
    model.compile("nadam", "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}
