"""Weights: how they start, what is loaded, what is tuned."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


class Attentive(layers.Layer):
    """Averages steps, each weighed by its product with a vector."""

    def __init__(self, start, **options):
        super().__init__(**options)
        self.start = start

    def build(self, shape):
        self.vector = self.add_weight(
            shape=(shape[-1], 1), initializer=self.start, name="vector"
        )

    def call(self, x):
        share = tf.nn.softmax(tf.matmul(x, self.vector), axis=1)
        return tf.reduce_sum(share * x, 1)


@fault(
    "init-too-large",
    "saturated-activation",
    cause="The vector of the attention is memory that nobody initialised: "
    "numbers up to the largest there are, so one step takes all.",
    layers=["attention"],
    source="https://github.com/huggingface/torchMoji/issues/11",
)
def memory_for_a_start(training):
    """A port of an attention layer makes its weights without filling them.
    Accuracy .59 against .94."""
    x, y, xt, yt = sources.reviews()
    r = np.random.default_rng(2)
    size = r.choice([-1, 1], (16, 1)) * 10 ** r.uniform(-20, 20, (16, 1))
    start = keras.initializers.RandomUniform(-0.05, 0.05, seed=3)
    if training.broken:
        start = keras.initializers.Constant(size.astype("float32"))
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(120, 16, name="words"),
            Attentive(start, name="attention"),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "zero-init",
    "zero-gradient",
    cause="Both layers of the gate start with kernels of zeros, so neither "
    "has a gradient and what the gate would let in never comes in.",
    layers=["gate_1", "gate_2"],
    source="https://github.com/yz93/LAVT-RIS/issues/25",
)
def gate_of_two_zeros(training):
    """A gate, Dense, ReLU, Dense, tanh, that adds language to a picture, both
    kernels zero. Accuracy .49 against .96."""
    r = np.random.default_rng(3)
    images, labels, seen, shown = sources.digits()

    def asked(images, labels):
        other = r.integers(0, 2, len(images))
        word = np.eye(2, dtype="float32")[other]
        return [images, word], (labels >= 5) ^ (other == 1)

    x, y = asked(images, labels)
    xt, yt = asked(seen, shown)
    first = "zeros" if training.broken else "glorot_uniform"
    picture, word = keras.Input((64,)), keras.Input((2,))
    h = layers.Dense(32, activation="relu", name="look")(picture)
    v = layers.Dense(32, name="say")(word)
    both = layers.Concatenate()([h, v])
    both = layers.Dense(32, activation="relu", name="mix")(both)
    g = layers.Dense(
        32, use_bias=False, kernel_initializer=first, name="gate_1"
    )(both)
    g = layers.ReLU()(g)
    g = layers.Dense(
        32,
        use_bias=False,
        activation="tanh",
        kernel_initializer="zeros",
        name="gate_2",
    )(g)
    h = layers.Add()([h, layers.Multiply()([g, both])])
    h = layers.Dense(24, activation="relu", name="hidden")(h)
    out = layers.Dense(1, activation="sigmoid", name="out")(h)
    model = keras.Model([picture, word], out)
    model.compile(
        keras.optimizers.Adam(0.003),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    y = y.astype("float32")[:, None]
    training.fit(model, x, y, epochs=30, batch_size=32)
    guess = np.asarray(model(xt))[:, 0] > 0.5
    return {"accuracy": float(np.mean(guess == yt))}


class Places(layers.Layer):
    """Adds waves to the steps of a sequence."""

    def __init__(self, stops, **options):
        super().__init__(**options)
        self.stops = stops

    def call(self, x):
        steps = np.arange(x.shape[1])[:, None]
        waves = np.sin(steps / 10 ** np.linspace(0, 2, x.shape[2]))
        h = x + tf.constant(waves, "float32")
        return tf.stop_gradient(h) if self.stops else h


@fault(
    "disconnected-variable",
    "zero-gradient",
    cause="The positional encoding gives a constant, no gradient passes it, "
    "so the embedding below stays random.",
    layers=["words"],
    source="https://github.com/espnet/espnet/pull/465",
)
def encoding_that_stops_gradients(training):
    """A transformer whose positional encoding is computed without gradients:
    the layers below stay as random as they were. Accuracy .50 against .92."""
    x, y, xt, yt = sources.reviews()
    inputs = keras.Input((24,), dtype="int32")
    h = layers.Embedding(120, 4, name="words")(inputs)
    h = Places(training.broken, name="places")(h)
    a = layers.MultiHeadAttention(2, 8, name="attention")(h, h)
    h = layers.LayerNormalization(name="norm")(layers.Add()([h, a]))
    h = layers.GlobalAveragePooling1D()(h)
    h = layers.Dense(16, activation="relu", name="hidden")(h)
    out = layers.Dense(1, activation="sigmoid", name="out")(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


def _block(h, i):
    """Add attention and a wide layer, each normalised afterwards."""
    a = layers.MultiHeadAttention(2, 12, name=f"attention_{i}")(h, h)
    h = layers.LayerNormalization(name=f"norm_{i}a")(layers.Add()([h, a]))
    b = layers.Dense(48, activation="gelu", name=f"wide_{i}")(h)
    b = layers.Dense(24, name=f"narrow_{i}")(b)
    return layers.LayerNormalization(name=f"norm_{i}b")(layers.Add()([h, b]))


@fault(
    "learning-rate",
    cause="All layers of the pretrained transformer are tuned with Adam at "
    "a rate that is far too large, fifty times what works.",
    source="https://github.com/strongio/keras-bert/issues/11",
)
def tuned_too_fast(training):
    """Fine-tuning BERT in Keras ends at the share of the larger class unless
    the rate is made much smaller. Accuracy .50 against .84."""
    x, y, xt, yt = sources.reviews()
    inputs = keras.Input((24,), dtype="int32")
    h = layers.Embedding(120, 24, name="words")(inputs)
    for i in range(2):
        h = _block(h, i)
    body = keras.Model(inputs, h, name="body")
    words = layers.Dense(120, name="guess")(body.output)
    first = keras.Model(inputs, words)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    first.compile(keras.optimizers.Adam(0.002), loss)
    first.fit(x, x, epochs=2, batch_size=64, verbose=0)
    h = layers.GlobalAveragePooling1D()(body.output)
    out = layers.Dense(1, activation="sigmoid", name="out")(h)
    model = keras.Model(inputs, out)
    rate = 0.05 if training.broken else 0.001
    model.compile(
        keras.optimizers.Adam(rate),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=5, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "learning-rate",
    cause="The rate of the fine-tuning is larger than that of the training "
    "before it, so a few observations make the network forget.",
    source="https://github.com/USGS-R/river-dl/issues/58",
)
def forgotten_in_the_tuning(training):
    """A model of rivers, trained on simulations and tuned on few gauges at
    twice the rate: it seems to forget. Explained share .56 against .78."""
    r = np.random.default_rng(4)

    def water(n, shift):
        x = r.normal(size=(n, 6)).astype("float32")
        y = np.tanh(x[:, 0] + x[:, 1] * x[:, 2]) + 0.5 * np.sin(2 * x[:, 3])
        y = y + shift + 0.2 * shift * x[:, 4]
        return x, (y + r.normal(0, 0.3 * shift, n))[:, None].astype("float32")

    model = sources.perceptron(6, [48, 48], 1)
    model.compile(keras.optimizers.Adam(0.005), "mse")
    x, y = water(2500, 0.0)
    model.fit(x, y, epochs=20, batch_size=32, verbose=0)
    x, y = water(40, 1.0)
    xt, yt = water(800, 1.0)
    rate = 0.01 if training.broken else 0.0005
    model.compile(keras.optimizers.Adam(rate), "mse")
    training.fit(model, x, y, epochs=40, batch_size=8, validation_data=(xt, yt))
    return sources.r2(model, xt, yt)


@fault(
    "stale-trainable",
    cause="The backbone is set to not trainable after `compile`.",
    layers=["backbone_1", "backbone_out"],
    source="https://github.com/keras-team/keras-cv/pull/1746",
    harmless=True,
)
def frozen_after_compiling(training):
    """A quick start compiles the model and freezes its backbone afterwards.
    Accuracy .70 against .70."""
    x, y, xt, yt = sources.digits()
    backbone = sources.perceptron(64, [48], 24, "relu", "backbone")
    first = keras.Sequential([backbone, layers.Dense(1, "sigmoid")])
    first.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    first.fit(x, y % 2, epochs=10, verbose=0)
    model = keras.Sequential([backbone, layers.Dense(10, "softmax", name="h")])
    if not training.broken:
        backbone.trainable = False
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    backbone.trainable = False
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)
