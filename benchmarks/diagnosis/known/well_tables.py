"""Healthy networks for tables: regressions, classifiers, own loops."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.known import sources

_LOSS = "sparse_categorical_crossentropy"


def _score(model, xt, yt) -> dict:
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@healthy(bend=["relu", "tanh", "selu"])
def layers_of_digits(training):
    """Three dense layers with an activation that people use."""
    x, y, xt, yt = sources.digits()
    bend = training.options["bend"]
    start = "lecun_normal" if bend == "selu" else "glorot_uniform"
    model = keras.Sequential([keras.Input([64])])
    for i in range(3):
        model.add(
            layers.Dense(48, bend, kernel_initializer=start, name=f"hidden_{i}")
        )
    model.add(layers.Dense(10, activation="softmax", name="digit"))
    model.compile(keras.optimizers.Adam(2e-3), _LOSS, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=12, batch_size=32, validation_data=(xt, yt)
    )
    return _score(model, xt, yt)


@healthy(depth=[12])
def deep_residual(training):
    """A dozen residual dense blocks with layer normalisation."""
    x, y, xt, yt = sources.friedman(800)
    inputs = keras.Input([8])
    h = layers.Dense(24, name="in")(inputs)
    for i in range(training.options["depth"]):
        more = layers.LayerNormalization(name=f"norm_{i}")(h)
        more = layers.Dense(24, activation="relu", name=f"block_{i}")(more)
        h = layers.Add(name=f"add_{i}")([h, more])
    h = layers.LayerNormalization(name="norm")(h)
    model = keras.Model(inputs, layers.Dense(1, name="out")(h))
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@healthy(target=["patients", "thousands"])
def regression_on_raw_targets(training):
    """Raw targets with a rate that fits: gradients are large, all is well."""
    if training.options["target"] == "patients":
        x, y, xt, yt = sources.diabetes()
        rate = 0.05
    else:
        x, y, xt, yt = sources.houses()
        y, yt, rate = y / 1000, yt / 1000, 0.03
    model = keras.Sequential(
        [
            keras.Input([x.shape[1]]),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(1, name="target"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
    training.fit(model, x, y, epochs=25, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@healthy(epochs=[60])
def converged_to_nothing(training):
    """Flowers learnt by heart: the loss and the gradients go to zero."""
    x, y, _, _ = sources.wine()
    model = keras.Sequential(
        [
            keras.Input([13]),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="grape"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), _LOSS, metrics=["accuracy"])
    epochs = training.options["epochs"]
    training.fit(model, x, y, epochs=epochs, batch_size=16)
    return {"train accuracy": sources.accuracy(model, x, y)}


@healthy(batch=[1, 4, 10000])
def size_of_batches(training):
    """Flowers in batches of one, of four, and all at once."""
    x, y, xt, yt = sources.iris()
    size = training.options["batch"]
    model = keras.Sequential(
        [
            keras.Input([4]),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="flower"),
        ]
    )
    rate = {1: 0.01, 4: 0.03, 10000: 0.3}[size]
    optimizer = keras.optimizers.SGD(rate, momentum=0.5)
    model.compile(optimizer, _LOSS, metrics=["accuracy"])
    epochs = {1: 12, 4: 25, 10000: 250}[size]
    training.fit(model, x, y, epochs=epochs, batch_size=size)
    return _score(model, xt, yt)


@healthy(epochs=[1, 3])
def short_run(training):
    """Few epochs of small batches are enough for digits."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(96, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), _LOSS, metrics=["accuracy"])
    epochs = training.options["epochs"]
    training.fit(model, x, y, epochs=epochs, batch_size=8)
    return _score(model, xt, yt)


@healthy(last=["sigmoid", "logit"])
def binary(training):
    """A binary classifier that ends in a sigmoid, or in a logit."""
    x, y, xt, yt = sources.cancer()
    last = training.options["last"]
    logits = last == "logit"
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(1, None if logits else "sigmoid", name="benign"),
        ]
    )
    score = keras.metrics.BinaryAccuracy(
        threshold=0.0 if logits else 0.5, name="accuracy"
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=logits)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=[score])
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    out = model.predict(xt, verbose=0)[:, 0]
    least = 0.0 if logits else 0.5
    return {"test accuracy": np.mean((out > least) == (yt > 0.5))}


@healthy(share=[0.1])
def rare_class_with_weights(training):
    """One example in ten is of class 1, and counts for more."""
    x, y, xt, yt = sources.rings(4000, 3)
    keep = (y == 0) | (np.arange(len(y)) % 9 == 0)
    model = keras.Sequential(
        [
            keras.Input([3]),
            layers.Dense(32, activation="relu", name="hidden_1"),
            layers.Dense(32, activation="relu", name="hidden_2"),
            layers.Dense(1, activation="sigmoid", name="far"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    weight = {0: 1.0, 1: 1 / training.options["share"] - 1}
    training.fit(
        model, x[keep], y[keep], epochs=15, batch_size=64, class_weight=weight
    )
    return _score(model, xt, yt)


@healthy(share=[0.04])
def sparse_columns(training):
    """Words of a text as 0 and 1: nearly all of the inputs are zero."""
    x, y, xt, yt = sources.topics(1600, length=16)
    known = np.eye(400, dtype="float32")
    x, xt = known[x].max(1), known[xt].max(1)
    model = keras.Sequential(
        [
            keras.Input([400]),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(4, activation="softmax", name="topic"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), _LOSS, metrics=["accuracy"])
    training.fit(model, x, y, epochs=10, batch_size=32)
    return _score(model, xt, yt)


@healthy(heads=[2])
def two_tasks(training):
    """Two heads share their layers: one tells the digit, one its ink."""
    x, y, xt, yt = sources.digits()
    ink, ink_t = x.mean(1), xt.mean(1)
    ink_t = (ink_t - ink.mean()) / ink.std()
    ink = (ink - ink.mean()) / ink.std()
    inputs = keras.Input([64])
    h = layers.Dense(64, activation="relu", name="shared")(inputs)
    digit = layers.Dense(10, activation="softmax", name="digit")(h)
    amount = layers.Dense(1, name="ink")(h)
    model = keras.Model(inputs, [digit, amount])
    model.compile(
        keras.optimizers.Adam(3e-3),
        [_LOSS, "mse"],
        loss_weights=[1.0, 0.5],
        metrics=[["accuracy"], ["mae"]],
    )
    training.fit(model, x, [y, ink], epochs=12, batch_size=32)
    told, amount = model.predict(xt, verbose=0)
    return {
        "test accuracy": np.mean(told.argmax(-1) == yt),
        "unexplained": np.mean((amount[:, 0] - ink_t) ** 2),
    }


@healthy(sides=[2])
def two_inputs(training):
    """Two branches with batch norm of their own see half the columns each."""
    x, y, xt, yt = sources.cancer()
    one, other = keras.Input([15]), keras.Input([15])
    parts = []
    for i, side in enumerate([one, other]):
        h = layers.Dense(16, name=f"side_{i}")(side)
        h = layers.BatchNormalization(momentum=0.9, name=f"norm_{i}")(h)
        parts.append(layers.ReLU(name=f"relu_{i}")(h))
    h = layers.Concatenate(name="both")(parts)
    out = layers.Dense(1, activation="sigmoid", name="benign")(h)
    model = keras.Model([one, other], out)
    model.compile(
        keras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    seen, asked = [x[:, :15], x[:, 15:]], [xt[:, :15], xt[:, 15:]]
    training.fit(model, seen, y, epochs=20, batch_size=32)
    return _score(model, asked, yt)


@healthy(library=["tf_keras"], optimizer=["sgd", "adam"])
def legacy_binary(training):
    """Legacy Keras: a network for tumours, with a penalty and dropout."""
    import tf_keras

    x, y, xt, yt = sources.cancer()
    penalty = tf_keras.regularizers.L2(1e-3)
    model = tf_keras.Sequential(
        [
            tf_keras.Input([30]),
            tf_keras.layers.Dense(
                24, "relu", kernel_regularizer=penalty, name="hidden"
            ),
            tf_keras.layers.Dropout(0.3, name="drop"),
            tf_keras.layers.Dense(1, activation="sigmoid", name="benign"),
        ]
    )
    optimizer = {
        "sgd": tf_keras.optimizers.SGD(0.05, momentum=0.9),
        "adam": tf_keras.optimizers.Adam(3e-3),
    }[training.options["optimizer"]]
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    return _score(model, xt, yt)


@healthy(eager=[True])
def eager_loop(training):
    """An own loop without `tf.function` on the spirals, clipped by norm."""
    x, y, xt, yt = sources.spirals(800)
    model = keras.Sequential(
        [
            keras.Input([2]),
            layers.Dense(32, activation="tanh", name="hidden_1"),
            layers.Dense(32, activation="tanh", name="hidden_2"),
            layers.Dense(1, activation="sigmoid", name="arm"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(0.02), model=model)
    loss = keras.losses.BinaryCrossentropy()
    for rows in sources.batches(len(x), 128, 300):
        with tf.GradientTape() as tape:
            value = loss(y[rows][:, None], model(x[rows], training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        optimizer.apply(gradients, model.trainable_variables)
    return _score(model, xt, yt)
