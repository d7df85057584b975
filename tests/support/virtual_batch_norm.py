"""Virtual batch norm in one pass and in two, as in a question that was asked.

Three convolutions, each with a batch norm whose statistics are those of a
fixed reference batch, then a mean over positions and a dense layer. One program
runs the reference and the real batch together and takes the statistics from
the first half; the other runs the reference first and keeps its statistics.
They are the same function, and were taken for two.
"""

import itertools

import keras
import numpy as np
import tensorflow as tf

CHANNELS = (1, 6, 6, 6)
EPSILON = 1e-5

rng = np.random.default_rng(0)
REFERENCE = rng.normal(size=(8, 12, 12, 1)).astype("float32")
X = rng.normal(size=(8, 12, 12, 1)).astype("float32")
Y = rng.integers(0, 2, 8)


def weights(prefix="", seed=1):
    """Returns new variables by name."""
    random = np.random.default_rng(seed)
    found = {}

    def add(name, *shape, scale=0.3, mean=0.0):
        value = (mean + scale * random.normal(size=shape)).astype("float32")
        found[name] = tf.Variable(value, name=prefix + name)

    for n, (before, after) in enumerate(itertools.pairwise(CHANNELS)):
        add(f"Layer{n}/kernel", 3, 3, before, after)
        add(f"Layer{n}/bias", after)
        add(f"Norm{n}/gamma", 1, 1, 1, after, mean=1.0)
        add(f"Norm{n}/beta", 1, 1, 1, after)
    add("Dense/kernel", CHANNELS[-1], 2)
    add("Dense/bias", 2)
    return found


def convolved(w, n, x):
    kernel, bias = w[f"Layer{n}/kernel"], w[f"Layer{n}/bias"]
    return tf.nn.conv2d(x, kernel, 1, "SAME") + bias


def statistics(x, stop=False):
    mean, variance = tf.nn.moments(x, [0, 1, 2], keepdims=True)
    found = mean, tf.math.rsqrt(variance + EPSILON)
    return [tf.stop_gradient(one) for one in found] if stop else found


def normalised(w, n, x, mean, inverse):
    coefficient = w[f"Norm{n}/gamma"] * inverse
    return x * coefficient + (w[f"Norm{n}/beta"] - mean * coefficient)


def head(w, x):
    pooled = tf.reduce_mean(x, [1, 2])
    return pooled @ w["Dense/kernel"] + w["Dense/bias"]


def one_pass(w, x, wrong_half=None, stop=None):
    """Returns logits; `wrong_half` and `stop` are a layer with that fault."""
    size = len(REFERENCE)
    hidden = tf.concat([REFERENCE, x], 0)
    for n in range(3):
        hidden = convolved(w, n, hidden)
        half = hidden[size:] if wrong_half == n else hidden[:size]
        found = statistics(half, stop == n)
        hidden = tf.nn.relu(normalised(w, n, hidden, *found))
    return head(w, hidden[size:])


def two_passes(w, x, wrong_half=None, stop=None):
    """Returns the same logits by running the reference batch first."""
    kept, hidden = [], tf.constant(REFERENCE)
    for n in range(3):
        hidden = convolved(w, n, hidden)
        kept.append(statistics(hidden, stop == n))
        hidden = tf.nn.relu(normalised(w, n, hidden, *kept[-1]))
    hidden = x
    for n in range(3):
        hidden = convolved(w, n, hidden)
        found = statistics(hidden) if wrong_half == n else kept[n]
        hidden = tf.nn.relu(normalised(w, n, hidden, *found))
    return head(w, hidden)


def loss(program, w, **fault):
    """Returns a function of a batch that returns its loss."""

    def compute(x, y):
        logits = program(w, x, **fault)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        return tf.reduce_mean(losses)

    return compute


class VirtualBatchNorm(keras.layers.Layer):
    """Keras's form: normalises two batches by the statistics of one."""

    def build(self, shape):
        channels = shape[-1]
        self.gamma = self.add_weight(shape=(channels,), initializer="ones")
        self.beta = self.add_weight(shape=(channels,), initializer="zeros")

    def call(self, x, statistics):
        mean, variance = statistics
        inverse = keras.ops.rsqrt(variance + EPSILON) * self.gamma
        return x * inverse + (self.beta - mean * inverse)


def moments(x):
    return keras.ops.moments(x, [0, 1, 2])


class Network(keras.Model):
    """The same in Keras; a subclass says in which way it runs."""

    def __init__(self, wrong_half=None, stop=None):
        super().__init__(name="network")
        self.wrong_half, self.stop = wrong_half, stop
        self.convolutions = [
            keras.layers.Conv2D(after, 3, padding="same", name=f"conv{n}")
            for n, after in enumerate(CHANNELS[1:])
        ]
        self.norms = [VirtualBatchNorm(name=f"norm{n}") for n in range(3)]
        self.dense = keras.layers.Dense(2, name="dense")

    def build(self, shape):
        for n in range(3):
            self.convolutions[n].build((None, 12, 12, CHANNELS[n]))
            self.norms[n].build((None, 12, 12, CHANNELS[n + 1]))
        self.dense.build((None, CHANNELS[-1]))

    def statistics(self, n, reference, real):
        found = moments(real if self.wrong_half == n else reference)
        if self.stop == n:
            return [keras.ops.stop_gradient(one) for one in found]
        return found

    def head(self, hidden):
        return self.dense(keras.ops.mean(hidden, [1, 2]))


class OnePass(Network):
    def call(self, x):
        size = len(REFERENCE)
        hidden = keras.ops.concatenate([REFERENCE, x], 0)
        for n in range(3):
            hidden = self.convolutions[n](hidden)
            found = self.statistics(n, hidden[:size], hidden[size:])
            hidden = keras.ops.relu(self.norms[n](hidden, found))
        return self.head(hidden[size:])


class TwoPasses(Network):
    def call(self, x):
        reference = keras.ops.convert_to_tensor(REFERENCE)
        for n in range(3):
            reference = self.convolutions[n](reference)
            x = self.convolutions[n](x)
            found = self.statistics(n, reference, x)
            reference = keras.ops.relu(self.norms[n](reference, found))
            x = keras.ops.relu(self.norms[n](x, found))
        return self.head(x)


def model(form, seed=3, **fault):
    """Returns a compiled model of one of the two forms."""
    keras.utils.set_random_seed(seed)
    made = form(**fault)
    made.build((None, 12, 12, 1))
    made.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return made
