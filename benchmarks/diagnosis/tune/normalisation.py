"""Layers that are another function in training than in inference."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.data import digit_images, digits
from benchmarks.diagnosis.tune.generators import batches, rings

Dense = keras.layers.Dense
BatchNormalization = keras.layers.BatchNormalization
CROSSENTROPY = "sparse_categorical_crossentropy"


def small_cnn(momentum=0.9):
    """Return a CNN for digits with two batch norms."""
    layers = [keras.Input([8, 8, 1])]
    for i, filters in enumerate([16, 32], 1):
        layers += [
            keras.layers.Conv2D(filters, 3, padding="same", name=f"conv_{i}"),
            BatchNormalization(momentum=momentum, name=f"norm_{i}"),
            keras.layers.ReLU(name=f"relu_{i}"),
            keras.layers.MaxPooling2D(name=f"pool_{i}"),
        ]
    return keras.Sequential(
        [
            *layers,
            keras.layers.Flatten(),
            Dense(10, "softmax", name="output"),
        ]
    )


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["norm_1", "norm_2"],
)
def momentum_too_slow(training):
    """Momentum .999, from a program that trained for days, in 170 steps.
    Accuracy .21 against 1.00."""
    model = small_cnn(0.999 if training.broken else 0.9)
    adam = keras.optimizers.Adam(3e-3)
    model.compile(adam, CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digit_images(), epochs=6, batch_size=64)


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["norm_1", "norm_2"],
)
def lagging_statistics(training):
    """Weights move so fast that default momentum never catches up."""
    momentum = 0.99 if training.broken else 0.9
    rate = 0.05
    if not training.broken:
        rate = keras.optimizers.schedules.CosineDecay(0.05, 300)
    layers = [keras.Input([2])]
    for i, units in enumerate([16, 8], 1):
        layers += [
            Dense(units, name=f"hidden_{i}"),
            BatchNormalization(momentum=momentum, name=f"norm_{i}"),
            keras.layers.Activation("tanh", name=f"tanh_{i}"),
        ]
    model = keras.Sequential([*layers, Dense(1, name="output")])
    model.compile(keras.optimizers.Adam(rate), "mse")
    x, _ = rings(256)
    y = (3 * x[:, 0] * x[:, 1] + x[:, 0]).astype("float32")
    all_of_it = tf.data.Dataset.from_tensors((x * 3 + 1, y)).repeat(100)
    return training.fit(model, all_of_it, epochs=3)


@fault(
    "batchnorm-statistics",
    "train-inference-mismatch",
    layers=["norm_1", "norm_2"],
)
def dropped_state(training):
    """`stateless_call` returns the new statistics, and nobody keeps them.
    Accuracy of inference .32 against .99."""
    model = small_cnn()
    optimizer = training.wrap(keras.optimizers.Adam(3e-3), model=model)
    crossentropy = keras.losses.SparseCategoricalCrossentropy()
    trained, others = model.trainable_variables, model.non_trainable_variables

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            p, state = model.stateless_call(
                [tf.convert_to_tensor(v.value) for v in trained],
                [tf.convert_to_tensor(v.value) for v in others],
                x,
                training=True,
            )
            loss = crossentropy(y, p)
        optimizer.apply(
            tape.gradient(loss, [v.value for v in trained]), trained
        )
        if not training.broken:
            for variable, value in zip(others, state, strict=True):
                variable.assign(value)
        return loss

    x, y = digit_images()
    losses = [float(step(*batch)) for batch in batches(x, y, 64, 6)]
    right = np.argmax(model.predict(x, verbose=0), axis=1) == y
    return {"loss": losses[-1], "accuracy of inference": right.mean()}


@fault("constant-labels", "train-inference-mismatch", "batchnorm-statistics")
def sorted_by_class(training):
    """Files were read folder by folder, and `shuffle=False`: each batch is of
    one class, and its statistics tell which. (`constant-labels` was added when
    there was a rule for it: the order is the cause of the mismatch.)"""
    x, y = digit_images()
    order = np.argsort(y, kind="stable")
    model = small_cnn()
    adam = keras.optimizers.Adam(3e-3)
    model.compile(adam, CROSSENTROPY, metrics=["accuracy"])
    shuffle = not training.broken
    return training.fit(
        model, x[order], y[order], epochs=4, batch_size=16, shuffle=shuffle
    )


class OwnDropout(keras.layers.Layer):
    """Dropout by hand; `scaled` is whether what is kept is scaled up."""

    def __init__(self, rate, scaled, **options):
        super().__init__(**options)
        self.rate, self.scaled = rate, scaled
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        if not training:
            return x
        drawn = keras.random.uniform(keras.ops.shape(x), seed=self.seeds)
        x = x * keras.ops.cast(drawn >= self.rate, x.dtype)
        return x / (1 - self.rate) if self.scaled else x


@fault(
    "train-inference-mismatch",
    layers=["drop_1", "drop_2", "drop_3", "drop_4"],
)
def dropout_by_hand(training):
    """Dropout by hand that does not scale: inference sees twice the values.
    Loss 1.2 against .12."""
    layers = [keras.Input([64])]
    for i in range(1, 5):
        layers.append(Dense(128, "relu", name=f"hidden_{i}"))
        layers.append(
            OwnDropout(0.5, scaled=not training.broken, name=f"drop_{i}")
        )
    output = Dense(10, "softmax", name="output")
    model = keras.Sequential([*layers, output])
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    return training.fit(model, *digits(), epochs=10, batch_size=32)


@fault(
    "shared-batchnorm",
    "train-inference-mismatch",
    "batchnorm-statistics",
    layers=["norm", "norm_a"],
)
def one_norm_for_two_scans(training):
    """Two scanners, one of them dark, go through the same batch norm.
    Accuracy of the dark scans .61 against .99."""
    x, y = digits()
    dark = 0.2 * x[::-1].copy()
    norm = BatchNormalization(momentum=0.9, name="norm_a")
    other = norm
    if not training.broken:
        other = BatchNormalization(momentum=0.9, name="norm_b")
    dense = Dense(64, name="shared")
    head = Dense(10, "softmax", name="digit")
    first, second = keras.Input([64]), keras.Input([64])
    relu = keras.ops.relu
    outputs = [
        head(relu(norm(dense(first)))),
        head(relu(other(dense(second)))),
    ]
    model = keras.Model([first, second], outputs)
    model.compile("adam", [CROSSENTROPY] * 2, metrics=["accuracy"] * 2)
    return training.fit(
        model, [x, dark], [y, y[::-1].copy()], epochs=8, batch_size=32
    )


@fault(
    "shared-batchnorm",
    "train-inference-mismatch",
    "batchnorm-statistics",
    layers=["norm_1", "norm_2"],
)
def discriminator_in_two_passes(training):
    """A detector of blurred images sees the true ones and the blurred ones in
    two passes, each with its own statistics; in use they come mixed."""
    x, y = digit_images()
    model = small_cnn()
    optimizer = training.wrap(keras.optimizers.Adam(1e-3), model=model)
    crossentropy = tf.nn.sparse_softmax_cross_entropy_with_logits

    def blurred(x):
        return tf.nn.avg_pool2d(x, 3, 1, "SAME")

    def logits(x):
        return tf.math.log(model(x, training=True)[:, :2] + 1e-7)

    @tf.function
    def step(x):
        half = tf.zeros([x.shape[0]], tf.int32)
        with tf.GradientTape() as tape:
            if training.broken:
                p = tf.concat([logits(x), logits(blurred(x))], axis=0)
            else:
                p = logits(tf.concat([x, blurred(x)], axis=0))
            labels = tf.concat([half, half + 1], axis=0)
            loss = tf.reduce_mean(crossentropy(labels, p))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    losses = [float(step(images)) for images, _ in batches(x, y, 32, 5)]
    mixed = tf.concat([x, blurred(x)], axis=0)
    found = model.predict(mixed, verbose=0)[:, :2].argmax(axis=1)
    right = found == np.repeat([0, 1], len(x))
    return {"loss": losses[-1], "accuracy of inference": right.mean()}
