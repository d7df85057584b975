"""Faults of normalisation: training and inference differ."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


def _scores(model, x, y, xt, yt) -> dict:
    """Return the accuracy on the data of training and of testing."""
    return {
        "train accuracy": sources.accuracy(model, x, y),
        "test accuracy": sources.accuracy(model, xt, yt),
    }


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["norm_1", "norm_2", "norm_3"],
    source="keras issues: validation accuracy at chance with batch norm",
)
def momentum_too_slow(training):
    """Batch norm has a momentum of .999 and 100 steps to learn.

    Accuracy in training 1.0, then .64; with a momentum of .9 it is .99.
    """
    x, y, xt, yt = sources.images()
    momentum = 0.999 if training.broken else 0.9
    model = keras.Sequential([keras.Input([8, 8, 1])])
    for i in range(3):
        model.add(layers.Conv2D(16, 3, padding="same", name=f"conv_{i + 1}"))
        model.add(
            layers.BatchNormalization(momentum=momentum, name=f"norm_{i + 1}")
        )
        model.add(layers.ReLU(name=f"relu_{i + 1}"))
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(10, activation="softmax", name="digit"))
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=7, batch_size=96, validation_data=(xt, yt))
    return _scores(model, x, y, xt, yt)


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["norm_1", "norm_2"],
    source="GitHub: own loop with stateless_call drops the new statistics",
)
def statistics_dropped_by_a_loop(training):
    """An own loop calls `stateless_call` and forgets the new statistics.

    They stay 0 and 1: accuracy .36 against .98.
    """
    x, y, xt, yt = sources.wine(scaled=False)
    x, xt = x / 10, xt / 10
    model = keras.Sequential(
        [
            keras.Input([13]),
            layers.BatchNormalization(momentum=0.9, name="norm_1"),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.BatchNormalization(momentum=0.9, name="norm_2"),
            layers.Dense(3, name="logits"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(5e-3), model=model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(some, labels):
        trained = model.trainable_variables
        states = model.non_trainable_variables
        with tf.GradientTape() as tape:
            out, new = model.stateless_call(
                trained, states, some, training=True
            )
            value = loss(labels, out)
        gradients = tape.gradient(value, [v.value for v in trained])
        optimizer.apply(gradients, trained)
        if not training.broken:
            for state, one in zip(states, new, strict=True):
                state.assign(one)

    for rows in sources.batches(len(x), 32, 300):
        step(x[rows], y[rows])
    return _scores(model, x, y, xt, yt)


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["norm_1", "norm_2"],
    source="GitHub: port from PyTorch, BatchNorm2d(momentum=0.01)",
)
def momentum_of_pytorch(training):
    """PyTorch's `momentum=0.01` is taken over, which is .99 in Keras.

    The statistics are those of the last six: accuracy .73 against .95.
    """
    x, y, xt, yt = sources.digits()
    momentum = 0.01 if training.broken else 0.99
    model = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(64, name="hidden_1"),
            layers.BatchNormalization(momentum=momentum, name="norm_1"),
            layers.ReLU(name="relu_1"),
            layers.Dense(64, name="hidden_2"),
            layers.BatchNormalization(momentum=momentum, name="norm_2"),
            layers.ReLU(name="relu_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=6, batch_size=6, validation_data=(xt, yt))
    return _scores(model, x, y, xt, yt)


class _Brighten(layers.Layer):
    """Scales pixels, only in training where the slip is made."""

    def __init__(self, only_in_training: bool, **options):
        super().__init__(**options)
        self.only_in_training = only_in_training

    def call(self, x, training=False):
        if training or not self.only_in_training:
            return x / 255.0 - 0.5
        return x


@fault(
    "train-inference-mismatch",
    layers=["brighten"],
    source="StackOverflow: preprocessing layer does nothing in predict",
)
def scaled_only_in_training(training):
    """A preprocessing layer scales its pixels only while training.

    Accuracy .97 in training, then .8 against .96.
    """
    x, y, xt, yt = sources.digits()
    x, xt = x * 255, xt * 255
    model = keras.Sequential(
        [
            keras.Input([64]),
            _Brighten(training.broken, name="brighten"),
            layers.Dense(64, activation="tanh", name="hidden_1"),
            layers.Dense(64, activation="tanh", name="hidden_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=12, batch_size=32, validation_data=(xt, yt)
    )
    return _scores(model, x, y, xt, yt)


class _OwnDropout(layers.Layer):
    """Drops .4 of its inputs in training, and may scale the others up."""

    def __init__(self, scales: bool, **options):
        super().__init__(**options)
        self.scales = scales
        self.noise = keras.random.SeedGenerator(3)

    def call(self, x, training=False):
        if not training:
            return x
        kept = keras.random.uniform(ops.shape(x), seed=self.noise) < 0.6
        x = x * ops.cast(kept, x.dtype)
        return x / 0.6 if self.scales else x


@fault(
    "train-inference-mismatch",
    layers=["drop_1", "drop_2"],
    source="GitHub: own dropout layer, predictions are too large",
)
def own_dropout_without_scale(training):
    """Somebody's own dropout does not scale up what it keeps.

    Predictions are too large without it: unexplained 1 against .2.
    """
    x, y, xt, yt = sources.friedman()
    y, yt = y + 2, yt + 2
    model = keras.Sequential([keras.Input([8])])
    for i in (1, 2):
        model.add(layers.Dense(64, activation="relu", name=f"hidden_{i}"))
        model.add(_OwnDropout(not training.broken, name=f"drop_{i}"))
    model.add(layers.Dense(1, name="effect"))
    model.compile(keras.optimizers.Adam(3e-3), "mse", metrics=["mae"])
    training.fit(
        model, x, y, epochs=20, batch_size=32, validation_data=(xt, yt)
    )
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "shared-batchnorm",
    "train-inference-mismatch",
    "batchnorm-statistics",
    layers=["norm"],
    source="keras issues: BatchNormalization shared by two inputs",
)
def one_norm_for_two_sensors(training):
    """Two sensors of different scale pass through the same batch norm.

    Its statistics fit neither: .89 in training, then .49 against .95.
    """
    x, y, xt, yt = sources.rings(1600, 6)
    norm = layers.BatchNormalization(momentum=0.9, name="norm")
    other = norm
    if not training.broken:
        other = layers.BatchNormalization(momentum=0.9, name="norm_other")
    inputs = keras.Input([6])
    near = layers.Rescaling(1.0, 0.0, name="near")(inputs[:, :3])
    away = layers.Rescaling(9.0, 40.0, name="away")(inputs[:, 3:])
    tower = layers.Dense(32, activation="relu", name="tower")
    both = [tower(norm(near)), tower(other(away))]
    h = layers.Concatenate(name="both")(both)
    h = layers.Dense(32, activation="relu", name="mix")(h)
    out = layers.Dense(1, activation="sigmoid", name="far")(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(5e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    training.fit(
        model, x, y, epochs=12, batch_size=32, validation_data=(xt, yt)
    )
    return _scores(model, x, y, xt, yt)


@fault(
    "shared-batchnorm",
    "train-inference-mismatch",
    "batchnorm-statistics",
    layers=["norm_a", "norm_b"],
    source="GitHub: siamese network, photos and sketches, batch norm",
)
def one_encoder_for_photos_and_negatives(training):
    """An encoder with batch norm sees digits, then their bright negatives.

    Whether both show one digit is right in .95 of the cases in training, and
    in .6 of them afterwards.
    """
    x, y, xt, yt = sources.digits()
    random = np.random.default_rng(0)

    def pairs(x, y):
        other = random.permutation(len(x))
        same = random.random(len(x)) < 0.5
        mates = [random.choice(np.flatnonzero(y == label)) for label in y]
        other = np.where(same, mates, other)
        truth = (y == y[other]).astype("float32")
        return [x, 4 - 3 * x[other]], truth

    def norm(name):
        return layers.BatchNormalization(momentum=0.9, name=name)

    def encoder(end):
        dense_a = layers.Dense(64, name=f"dense_a{end}")
        dense_b = layers.Dense(24, name=f"dense_b{end}")
        relu = layers.ReLU(name=f"relu{end}")
        norms = norm(f"norm_a{end}"), norm(f"norm_b{end}")
        return lambda h: norms[1](dense_b(relu(norms[0](dense_a(h)))))

    one, other = keras.Input([64], name="photo"), keras.Input([64], name="neg")
    first = encoder("")
    second = first if training.broken else encoder("_neg")
    code, code_too = first(one), second(other)
    h = layers.Multiply(name="agree")([code, code_too])
    h = layers.Dense(32, activation="relu", name="judge")(h)
    out = layers.Dense(1, activation="sigmoid", name="same")(h)
    model = keras.Model([one, other], out)
    model.compile(
        keras.optimizers.Adam(3e-3), "binary_crossentropy", metrics=["accuracy"]
    )
    shown, truth = pairs(x, y)
    training.fit(model, shown, truth, epochs=25, batch_size=32)
    return _scores(model, shown, truth, *pairs(xt, yt))
