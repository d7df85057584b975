"""Networks with frozen, idle and silent parts that are meant so."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind3 import fields, sources
from benchmarks.diagnosis.case import healthy


class Gate(layers.Layer):
    """Multiplies by one number that starts at 0."""

    def build(self, shape):
        self.alpha = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        return self.alpha * x


@healthy(seed=[0])
def gates_from_zero(training):
    """ReZero: each branch is multiplied by a number that starts at 0, so its
    layers have no gradient in the first step. Accuracy .94."""
    x, y, xt, yt = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(48, name="stem")(inputs)
    for i in range(6):
        b = layers.Dense(48, activation="relu", name=f"branch_{i}")(h)
        h = layers.Add()([h, Gate(name=f"gate_{i}")(b)])
    out = layers.Dense(10, activation="softmax", name="head")(h)
    model = keras.Model(inputs, out)
    training.fit(sources.classifier(model), x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


class Shifted(layers.Layer):
    """A frozen matrix, and a bias that is trained."""

    def __init__(self, dense, **options):
        super().__init__(**options)
        self.start = [np.asarray(w) for w in dense.get_weights()]

    def build(self, shape):
        kernel, bias = self.start
        self.kernel = self.add_weight(shape=kernel.shape, trainable=False)
        self.bias = self.add_weight(shape=bias.shape)
        self.kernel.assign(kernel)
        self.bias.assign(bias)

    def call(self, x):
        return tf.nn.relu(tf.matmul(x, self.kernel) + self.bias)


@healthy(seed=[0])
def biases_alone_are_tuned(training):
    """A network for even and odd goes on to digits with its kernels frozen:
    only biases and a new head are trained. Accuracy .90."""
    x, y, xt, yt = sources.digits()
    old = sources.perceptron(64, [64, 64], 1, "sigmoid")
    old.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    old.fit(x, y % 2, epochs=6, verbose=0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            Shifted(old.layers[0], name="shifted_1"),
            Shifted(old.layers[1], name="shifted_2"),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    training.fit(
        sources.classifier(model, 0.01), x, y, epochs=12, batch_size=32
    )
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def reservoir_that_stays(training):
    """An echo state network: a recurrent layer of random weights that is never
    trained, and a readout. Explained share of the next step 1.00."""
    r = np.random.default_rng(5)
    t = np.arange(1400) / 6
    wave = np.sin(t) * np.cos(0.31 * t) + 0.02 * r.normal(size=t.shape)
    steps = np.stack([wave[i : i + 20] for i in range(1300)])
    y = wave[20:1320, None].astype("float32")
    x = steps[..., None].astype("float32")
    model = keras.Sequential(
        [
            keras.Input((20, 1)),
            layers.SimpleRNN(64, trainable=False, name="reservoir"),
            layers.Dense(1, name="readout"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(model, x[:1000], y[:1000], epochs=15, batch_size=50)
    return sources.explained(y[1000:], model(x[1000:]))


class Pair(layers.Layer):
    """Sends each example to the two best of eight experts."""

    def build(self, shape):
        size = shape[-1]
        self.router = self.add_weight(shape=(size, 8), name="router")
        self.kernels = self.add_weight(shape=(8, size, 24), name="experts")

    def call(self, x):
        score = tf.matmul(x, self.router)
        best = tf.math.top_k(score, 2).values[:, 1:]
        score = tf.where(score >= best, score, -1e9)
        share = tf.nn.softmax(score)
        load = tf.reduce_mean(share, 0)
        self.add_loss(0.1 * tf.reduce_sum(load**2) * 8)
        outputs = tf.nn.relu(tf.einsum("bi,eio->beo", x, self.kernels))
        return tf.reduce_sum(outputs * share[..., None], 1)


@healthy(seed=[0])
def two_of_eight_experts(training):
    """A router that hands each example to two experts, so six of eight shares
    are exactly 0. Accuracy .94."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="relu", name="stem"),
            Pair(name="experts"),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    training.fit(sources.classifier(model), x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def goal_that_is_rarely_seen(training):
    """Q-learning with a reward in one of thirty steps: most targets are next
    to 0. Share of walks that arrive .94."""
    s, a, reward, after, there, _ = fields.wander(600, 12)
    network = fields.q_learning(training, (s, a, reward, after, there))
    return fields.walk(network)


class Turned(layers.Layer):
    """Hands on what it gets and turns the gradient round."""

    def call(self, x):
        @tf.custom_gradient
        def turned(t):
            return tf.identity(t), lambda g: -0.3 * g

        return turned(x)


@healthy(seed=[0])
def domain_that_is_not_told(training):
    """A domain classifier behind a reversed gradient: it is to stay at chance,
    and its loss is to stay high. Accuracy of the other domain .83."""
    x, y, xt, yt = sources.digits()
    far = 0.7 * x[:, ::-1] + 0.3
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu", name="hidden")(inputs)
    digit = layers.Dense(10, activation="softmax", name="digit")(h)
    d = layers.Dense(24, activation="relu", name="judge")(Turned()(h))
    domain = layers.Dense(1, activation="sigmoid", name="domain")(d)
    model = keras.Model(inputs, [digit, domain])
    model.compile(
        keras.optimizers.Adam(0.003), [sources.SPARSE, "binary_crossentropy"]
    )
    both = np.concatenate([x, far])
    domains = np.repeat([0, 1], len(x)).astype("float32")[:, None]
    labels = np.concatenate([y, y])
    training.fit(model, both, [labels, domains], epochs=8, batch_size=64)
    guess = np.asarray(model(0.7 * xt[:, ::-1] + 0.3)[0]).argmax(1)
    return {"accuracy": float(np.mean(guess == yt))}
