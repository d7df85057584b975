"""Gradients that fade, explode, are zero, missing or not finite."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1
from keras import initializers, layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.seen import generators, sessions

CLASSES = "sparse_categorical_crossentropy"


@fault("vanishing-gradient", layers=["s1", "s2", "s3", "s4", "s5"])
def eight_sigmoids(training):
    """ "Deeper is better": eight layers of sigmoids and plain SGD. Accuracy .11
    against .99."""
    function = "sigmoid" if training.broken else "relu"
    start = "glorot_uniform" if training.broken else "he_normal"
    model = keras.Sequential([keras.Input([64])])
    for i in range(1, 9):
        model.add(
            layers.Dense(48, function, kernel_initializer=start, name=f"s{i}")
        )
    model.add(layers.Dense(10, "softmax", name="classes"))
    model.compile(keras.optimizers.SGD(0.05), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=12, validation_data=held_out)


@fault("vanishing-gradient", layers=["h1", "h2", "h3"])
def chapter_five(training):
    """The network of a well-known chapter, 784-30-30-30-30-30-10, sigmoids
    started with one over the root of the inputs, in a session. Accuracy .10
    against 1.00."""
    x, y = generators.large_digits()
    gain = 1 if training.broken else 2
    function = tf1.sigmoid if training.broken else tf1.nn.relu

    def build(images, labels):
        start = initializers.VarianceScaling(gain, seed=0)
        hidden, sizes = images, [784, 30, 30, 30, 30, 30, 10]
        for i in range(1, 6):
            w, b = sessions.variables(f"h{i}", start, *sizes[i - 1 : i + 1])
            hidden = function(tf1.matmul(hidden, w) + b)
        w, b = sessions.variables("out", start, 30, 10)
        logits = tf1.matmul(hidden, w) + b
        losses = tf1.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=logits
        )
        return tf1.reduce_mean(losses), sessions.accuracy(logits, labels)

    def optimizer():
        return tf1.train.GradientDescentOptimizer(0.1)

    flat = x.reshape(-1, 784)
    return sessions.train(training, build, optimizer, flat, y, steps=800)


@fault("vanishing-gradient", layers=["conv1", "conv2", "conv3"])
def sigmoid_convolutions(training):
    """An old LeNet of sigmoids with more layers than it had. Accuracy .08
    against .96."""
    function = "sigmoid" if training.broken else "relu"
    model = keras.Sequential([keras.Input([28, 28, 1])])
    for i, filters in enumerate([8, 8, 16, 16], 1):
        model.add(
            layers.Conv2D(
                filters, 3, 2 - i % 2, activation=function, name=f"conv{i}"
            )
        )
    model.add(layers.Flatten())
    model.add(layers.Dense(48, function, name="hidden"))
    model.add(layers.Dense(10, "softmax", name="classes"))
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9)
    model.compile(optimizer, CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*generators.large_digits())
    training.fit(model, x, y, epochs=6, validation_data=held_out)


@fault(
    "exploding-gradient",
    "non-finite",
    "loss-diverges",
    layers=["rnn/simple_rnn_cell"],
)
def relu_recurrence(training):
    """A recurrent network of ReLUs with a matrix that is too large, over fifty
    steps: one large step, and all is lost. Loss NaN against .05."""
    scale = 1.6 if training.broken else 1.0
    steps = 50
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, [800, steps, 1]).astype("float32")
    y = x[:, -8:].mean(axis=(1, 2)) * 3
    model = keras.Sequential(
        [
            keras.Input([steps, 1]),
            layers.SimpleRNN(
                24,
                activation="relu",
                recurrent_initializer=initializers.Identity(scale),
                name="rnn",
            ),
            layers.Dense(1, name="mean"),
        ]
    )
    clip = None if training.broken else 1.0
    optimizer = keras.optimizers.SGD(0.01, clipnorm=clip)
    model.compile(optimizer, "mse")
    training.fit(model, x, y, epochs=20)


@fault(
    "exploding-gradient",
    "init-too-large",
    "loss-diverges",
    layers=["block0", "block1", "block2", "block3", "block4", "block5"],
)
def deep_sum_of_blocks(training):
    """Residual blocks without any norm, each twice as large as its input; with
    a norm in each it trains. Accuracy .10 against .99."""
    x, y = data.digits()
    inputs = keras.Input([64])
    h = layers.Dense(64, name="stem")(inputs)
    for i in range(10):
        part = h if training.broken else layers.LayerNormalization()(h)
        part = layers.Dense(
            64, "relu", kernel_initializer="he_normal", name=f"block{i}"
        )(part)
        h = layers.Add()([h, part])
    h = h if training.broken else layers.LayerNormalization()(h)
    model = keras.Model(inputs, layers.Dense(10, name="logits")(h))
    model.compile(
        keras.optimizers.SGD(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=8)


@fault("zero-gradient", layers=["hidden"])
def binary_code_by_sign(training):
    """A hashing network takes `tf.sign` of its code, whose slope is zero
    everywhere; the repair lets the gradient through. Accuracy .33 against
    .83."""

    def sign(t):
        if training.broken:
            return tf.sign(t)
        return t + tf.stop_gradient(tf.sign(t) - t)

    inputs = keras.Input([64])
    h = layers.Dense(6, name="hidden")(inputs)
    h = layers.Lambda(sign, name="code")(h)
    h = layers.Dense(10, "softmax", name="classes")(h)
    model = keras.Model(inputs, h)
    model.compile(keras.optimizers.Adam(0.01), CLASSES, metrics=["accuracy"])
    x, y, held_out = generators.split(*data.digits())
    training.fit(model, x, y, epochs=15, validation_data=held_out)


@fault("zero-gradient", layers=["d1", "d2", "score"])
def loss_of_signs(training):
    """A loss that counts errors: the sign of the output against the label. Its
    gradient is zero. Accuracy .50 against 1.00."""

    def errors(y, p):
        return tf.reduce_mean(0.5 * tf.abs(y - tf.sign(p)))

    x, y = generators.circles()
    y = np.float32(2 * y - 1)[:, None]
    model = keras.Sequential(
        [
            keras.Input([2]),
            layers.Dense(24, "relu", name="d1"),
            layers.Dense(24, "relu", name="d2"),
            layers.Dense(1, "tanh", name="score"),
        ]
    )
    model.compile("adam", errors if training.broken else "hinge")
    training.fit(model, x, y, epochs=20)
    return float(np.mean(np.sign(model.predict(x, verbose=0)) == y))


@fault("disconnected-variable", "zero-gradient", layers=["encoder"])
def argmax_between(training):
    """The most likely symbol is looked up in an embedding: `argmax` has no
    gradient, and what comes before it does not learn. Accuracy .50 against
    1.00."""
    inputs = keras.Input([2])
    logits = layers.Dense(16, name="encoder")(inputs)
    symbols = layers.Embedding(16, 8, name="symbols")

    class Pick(layers.Layer):
        def call(self, logits, table):
            if training.broken:
                return tf.gather(table, tf.argmax(logits, -1))
            return tf.nn.softmax(logits) @ table

    table = symbols(np.arange(16))
    h = Pick(name="pick")(logits, table)
    h = layers.Dense(16, "tanh", name="decoder")(h)
    model = keras.Model(inputs, layers.Dense(1, "sigmoid", name="out")(h))
    model.compile(
        keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"]
    )
    x, y, held_out = generators.split(*generators.circles())
    training.fit(model, x, y, epochs=20, validation_data=held_out)


@fault("disconnected-variable", layers=["encoder/encode1", "encoder/encode2"])
def numpy_in_between(training):
    """An eager loop hands the features on through `.numpy()`, so that the tape
    does not see what comes before. Loss 1.90 against .56."""
    x, y = data.digits()
    encoder = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(16, "tanh", name="encode1"),
            layers.Dense(3, "tanh", name="encode2"),
        ],
        name="encoder",
    )
    head = keras.Sequential([keras.Input([3]), layers.Dense(10, name="head")])
    variables = encoder.trainable_variables + head.trainable_variables
    optimizer = training.wrap(keras.optimizers.Adam(0.01))
    random = np.random.default_rng(0)
    for _ in range(250):
        rows = random.choice(len(x), 64)
        with tf.GradientTape() as tape:
            code = encoder(x[rows])
            code = code.numpy() if training.broken else code
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                y[rows], head(code)
            )
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return float(loss)


@fault("non-finite")
def cross_entropy_by_hand(training):
    """`y * tf.log(p) + (1 - y) * tf.log(1 - p)`: once a sigmoid is exactly 1 it
    is zero times minus infinity. Accuracy .51 against 1.00."""
    x, y = generators.blobs(classes=2)

    def build(points, labels):
        start = initializers.HeNormal(0)
        w1, b1 = sessions.variables("hidden", start, 8, 32)
        w2, b2 = sessions.variables("out", start, 32, 1)
        hidden = tf1.nn.relu(tf1.matmul(points, w1) + b1)
        logits = (tf1.matmul(hidden, w2) + b2)[:, 0]
        p = tf1.sigmoid(logits)
        losses = -labels * tf1.log(p) - (1 - labels) * tf1.log(1 - p)
        if not training.broken:
            losses = tf1.nn.sigmoid_cross_entropy_with_logits(
                labels=labels, logits=logits
            )
        right = tf1.equal(p > 0.5, labels > 0.5)
        return tf1.reduce_mean(losses), tf1.reduce_mean(tf1.to_float(right))

    def optimizer():
        return tf1.train.AdamOptimizer(0.01)

    y = y.astype("float32")
    return sessions.train(training, build, optimizer, x, y, steps=500)


@fault("non-finite", layers=["embedding1", "embedding2", "same"])
def distance_of_the_same(training):
    """A siamese network takes the square root of a distance, which is zero for
    a pair of one image with itself: its slope is infinite. Loss NaN against
    .68, which is that of guessing."""
    x, y = data.digits()
    random = np.random.default_rng(0)
    left, right = random.integers(0, len(x), [2, 3000])
    right[:300] = left[:300]
    same = (y[left] == y[right]).astype("float32")
    keep = random.permutation(np.flatnonzero((same == 1) | (left % 6 == 0)))
    least = 0.0 if training.broken else 1e-7
    tower = keras.Sequential(
        [
            keras.Input([64]),
            layers.Dense(48, "relu", name="embedding1"),
            layers.Dense(16, name="embedding2"),
        ]
    )
    a, b = keras.Input([64]), keras.Input([64])
    square = keras.ops.sum((tower(a) - tower(b)) ** 2, axis=1)
    distance = keras.ops.sqrt(keras.ops.maximum(square, least))

    outputs = layers.Dense(1, "sigmoid", name="same")(distance[:, None])
    model = keras.Model([a, b], outputs)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    pairs = [x[left[keep]], x[right[keep]]]
    training.fit(model, pairs, same[keep], epochs=20)


@fault("non-finite")
def missing_values(training):
    """A table with some empty fields, read as NaN; the repair fills in the mean
    of the column. Accuracy .36 against .98."""
    x, y = data.cancer()
    x = data.standardised(x)
    empty = np.random.default_rng(0).uniform(size=x.shape) < 0.002
    x = np.where(empty, np.nan if training.broken else 0, x)
    model = keras.Sequential(
        [
            keras.Input([30]),
            layers.Dense(16, "tanh", name="dense"),
            layers.Dense(1, "sigmoid", name="out"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x, y, held_out = generators.split(x, y)
    training.fit(model, x, y, epochs=20, validation_data=held_out)
