"""Faults of how weights start: zero, or all alike."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import initializers, layers, ops

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.known import sources


@fault(
    "zero-init",
    layers=["conv_1", "conv_2", "hidden"],
    source="StackOverflow: tf.Variable(tf.zeros(shape)) for a convolution",
)
def filters_of_zeros(training):
    """A port of TF1 code starts every kernel from `zeros`, in an own loop.

    Accuracy .08 against .98.
    """
    x, y, xt, yt = sources.images()
    start = "zeros" if training.broken else "glorot_uniform"
    model = keras.Sequential(
        [
            keras.Input([8, 8, 1]),
            layers.Conv2D(
                16,
                3,
                activation="relu",
                kernel_initializer=start,
                name="conv_1",
            ),
            layers.Conv2D(
                16,
                3,
                activation="relu",
                kernel_initializer=start,
                name="conv_2",
            ),
            layers.Flatten(name="flat"),
            layers.Dense(
                32, activation="relu", kernel_initializer=start, name="hidden"
            ),
            layers.Dense(10, kernel_initializer=start, name="logits"),
        ]
    )
    optimizer = training.wrap(keras.optimizers.Adam(3e-3), model=model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(some, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(some, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    for rows in sources.batches(len(x), 64, 300):
        step(x[rows], y[rows])
    return {"test accuracy": sources.accuracy(model, xt, yt)}


class _Adapted(layers.Layer):
    """A frozen dense layer with a trainable correction of low rank."""

    def __init__(self, units: int, first: str, **options):
        super().__init__(**options)
        self.units = units
        self.first = first

    def build(self, shape):
        size = shape[-1]
        self.base = self.add_weight(
            [size, self.units], "he_normal", trainable=False, name="base"
        )
        self.down = self.add_weight([size, 6], self.first, name="down")
        self.up = self.add_weight([6, self.units], "zeros", name="up")

    def call(self, x):
        return ops.relu(x @ self.base + x @ self.down @ self.up)


@fault(
    "zero-init",
    "zero-gradient",
    layers=["adapted_1", "adapted_2"],
    source="GitHub: LoRA with both matrices zero never changes",
)
def both_adapters_zero(training):
    """Adapters of low rank have both factors zero, where one has to be.

    Narrow random layers stay as they are: accuracy .61 against .92.
    """
    x, y, xt, yt = sources.digits()
    first = "zeros" if training.broken else "glorot_normal"
    model = keras.Sequential(
        [
            keras.Input([64]),
            _Adapted(12, first, name="adapted_1"),
            _Adapted(12, first, name="adapted_2"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    optimizer = keras.optimizers.AdamW(5e-3, weight_decay=1e-4)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer, loss, metrics=["accuracy"])
    training.fit(
        model, x, y, epochs=20, batch_size=64, validation_data=(xt, yt)
    )
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "zero-init",
    layers=["hidden_1", "hidden_2", "effect"],
    source="StackOverflow: kernel_initializer='zeros' regression constant",
)
def regression_from_zeros(training):
    """Legacy Keras: every kernel of a regression is `zeros`.

    All examples get the mean: unexplained 1.0 against .05.
    """
    import tf_keras

    x, y, xt, yt = sources.friedman()
    start = "zeros" if training.broken else "he_uniform"
    model = tf_keras.Sequential([tf_keras.Input([8])])
    for i in range(2):
        model.add(
            tf_keras.layers.Dense(
                32, "relu", kernel_initializer=start, name=f"hidden_{i + 1}"
            )
        )
    model.add(tf_keras.layers.Dense(1, kernel_initializer=start, name="effect"))
    model.compile(tf_keras.optimizers.RMSprop(3e-3), "mse")
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "symmetric-units",
    layers=["hidden_1", "hidden_2"],
    source="StackOverflow: weights all 0.1, every neuron learns the same",
)
def constant_hidden_weights(training):
    """Both hidden layers start from the constant .1.

    Layers of one unit, in effect: accuracy .55 against .97.
    """
    x, y, xt, yt = sources.digits()
    start = initializers.Constant(0.1) if training.broken else "glorot_uniform"
    model = keras.Sequential([keras.Input([64])])
    for i in range(2):
        model.add(
            layers.Dense(
                32,
                activation="tanh" if i else "relu",
                kernel_initializer=start,
                name=f"hidden_{i + 1}",
            )
        )
    model.add(layers.Dense(10, activation="softmax", name="digit"))
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=20, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}


@fault(
    "symmetric-units",
    layers=["users", "items"],
    source="GitHub: matrix factorisation with constant factors",
)
def constant_factors(training):
    """The factors of users and of items all start from the constant .3.

    Their columns stay equal, the factorisation has rank 1: unexplained .62
    against .006.
    """
    x, y, xt, yt = sources.ratings()
    start = (
        initializers.Constant(0.3)
        if training.broken
        else initializers.RandomNormal(stddev=0.3)
    )
    pair = keras.Input([2], dtype="int32")
    user = layers.Embedding(60, 6, start, name="users")(pair[:, 0])
    item = layers.Embedding(60, 6, start, name="items")(pair[:, 1])
    stars = layers.Dot(1, name="stars")([user, item])
    model = keras.Model(pair, stars)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(
        model, x, y, epochs=20, batch_size=64, validation_data=(xt, yt)
    )
    return {"unexplained": sources.unexplained(model, xt, yt)}


@fault(
    "symmetric-units",
    layers=["filters", "more_filters"],
    source="Reddit: np.ones for the filters while debugging",
)
def equal_filters(training):
    """Filters are all the constant .15, which was left from debugging.

    They stay equal: accuracy on pitches .84 against 1.0.
    """
    x, y, xt, yt = sources.waves()
    start = initializers.Constant(0.15) if training.broken else "he_normal"
    model = keras.Sequential(
        [
            keras.Input([40, 1]),
            layers.Conv1D(
                16,
                5,
                activation="relu",
                kernel_initializer=start,
                name="filters",
            ),
            layers.MaxPooling1D(2, name="pool"),
            layers.Conv1D(
                16,
                5,
                activation="relu",
                kernel_initializer=start,
                name="more_filters",
            ),
            layers.GlobalAveragePooling1D(name="mean"),
            layers.Dense(4, activation="softmax", name="pitch"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit(model, x, y, epochs=15, batch_size=32)
    return {"test accuracy": sources.accuracy(model, xt, yt)}
