"""Half and mixed precision."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    "non-finite",
    cause="Adam's epsilon of 1e-7 is too small for weights and moments of "
    "type float16, where squared gradients vanish.",
    source="keras-team/keras #11860",
)
def adam_in_half(training):
    """All of a regression in float16: mean squared error is nan with Adam
    and fine with SGD, until epsilon is 1e-4. Explained share nan against
    .98."""
    x, y = sources.houses()
    x = (x - x.mean(0)) / x.std(0)
    y = (y - y.mean()) / y.std()
    x, y, xt, yt = sources.split(x, y)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="float16"),
            layers.Dense(32, "relu", dtype="float16", name="hidden_1"),
            layers.Dense(32, "relu", dtype="float16", name="hidden_2"),
            layers.Dense(1, dtype="float16", name="out"),
        ]
    )
    epsilon = 1e-7 if training.broken else 1e-4
    model.compile(keras.optimizers.Adam(0.003, epsilon=epsilon), "mse")
    training.fit(
        model,
        x.astype("float16"),
        y.astype("float16"),
        epochs=15,
        batch_size=32,
    )
    return sources.r2(model, xt.astype("float16"), yt)


@fault(
    "zero-gradient",
    "nothing-learned",
    "non-finite",
    cause="The sums of the Dice loss are taken in float16, and those over a "
    "batch of masks exceed 65504.",
    source="tensorflow/tensorflow #45568",
)
def dice_of_infinity(training):
    """Dice loss under mixed_float16: no nan is seen, loss and metric are
    fixed over epochs. The denominator is inf. Overlap .01 against
    .59."""
    images, masks = sources.blobs(n=192, size=64)
    x, y, xt, yt = sources.split(images, masks)
    with sources.policy("mixed_float16"):
        model = keras.Sequential(
            [
                keras.Input((64, 64, 1)),
                layers.Reshape((16, 4, 16, 4)),
                layers.Permute((1, 3, 2, 4)),
                layers.Reshape((256, 16)),
                layers.Dense(32, activation="relu", name="patches"),
                layers.Dense(16, activation="sigmoid", name="mask"),
                layers.Reshape((16, 16, 4, 4)),
                layers.Permute((1, 3, 2, 4)),
                layers.Reshape((64, 64, 1)),
            ]
        )
    optimizer = keras.mixed_precision.LossScaleOptimizer(
        keras.optimizers.Adam(0.01)
    )
    optimizer = training.wrap(optimizer, model=model)

    def dice(truth, guess):
        kind = "float16" if training.broken else "float32"
        truth, guess = tf.cast(truth, kind), tf.cast(guess, kind)
        both = tf.reduce_sum(truth * guess)
        either = tf.reduce_sum(truth) + tf.reduce_sum(guess)
        return tf.cast(1 - (2 * both + 1) / (either + 1), "float32")

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            loss = dice(b, model(a, training=True))
            loss = optimizer.scale_loss(loss)
        weights = model.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )

    for a, b in sources.batches(x, y, 48, 80):
        step(a, b)
    return sources.overlap(yt, model(xt))


class _InstanceNorm(layers.Layer):
    def __init__(self, careful, **options):
        super().__init__(**options)
        self.careful = careful

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")
        self.shift = self.add_weight(shape=shape[-1:], initializer="zeros")

    def call(self, x):
        kind = x.dtype
        if self.careful:
            x = tf.cast(x, "float32")
        mean = tf.reduce_mean(x, 1, keepdims=True)
        variance = tf.reduce_mean((x - mean) ** 2, 1, keepdims=True)
        x = tf.cast((x - mean) * tf.math.rsqrt(variance + 1e-3), kind)
        return x * self.scale + self.shift


@fault(
    "non-finite",
    "zero-gradient",
    "nothing-learned",
    cause="An instance normalisation of one's own computes the variance in "
    "float16, where it is inf for large inputs, so it yields zeros.",
    layers=["norm"],
    source="tensorflow/tensorflow #47156",
)
def variance_in_half(training):
    """Mixed precision with an instance normalisation: unstable, and with
    large signals nothing is learnt at all. Accuracy .31 against
    1.00."""
    r = np.random.default_rng(3)
    y = r.integers(0, 3, 900)
    t = np.arange(40) / 40
    wave = np.sin(2 * np.pi * (t * (y[:, None] + 2) + r.uniform(size=(900, 1))))
    x = 400 * (wave + r.normal(0, 0.5, wave.shape)) + 100
    x, y, xt, yt = sources.split(x[..., None].astype("float32"), y)
    with sources.policy("mixed_float16"):
        model = keras.Sequential(
            [
                keras.Input((40, 1)),
                _InstanceNorm(not training.broken, name="norm"),
                layers.Flatten(),
                layers.Dense(64, activation="relu", name="hidden"),
                layers.Dense(3, name="logits"),
                layers.Activation("softmax", dtype="float32"),
            ]
        )
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


class _Attention(layers.Layer):
    def __init__(self, large, **options):
        super().__init__(**options)
        self.large = large
        self.query = layers.Dense(16, name="query", dtype=self.dtype_policy)
        self.key = layers.Dense(16, name="key", dtype=self.dtype_policy)

    def build(self, shape):
        self.query.build(shape)
        self.key.build(shape)

    def call(self, x, there):
        score = tf.matmul(self.query(x), self.key(x), transpose_b=True)
        there = tf.cast(there, score.dtype)[:, None, :]
        score += (1 - there) * tf.cast(self.large, score.dtype)
        return tf.matmul(tf.nn.softmax(score / 4), x)


@fault(
    "steps-skipped",
    "non-finite",
    cause="The mask of an attention layer adds -1e9, which is -inf in "
    "float16, so that its product with 0 is nan.",
    layers=["attention"],
    source="keras-team/keras #17571",
)
def mask_of_minus_infinity(training):
    """Attention with a mask under mixed precision does not learn, in float32
    it does: all steps are skipped by the loss scale. Accuracy .35 against
    1.00."""
    r = np.random.default_rng(4)
    length = r.integers(3, 13, 1200)
    x = r.integers(1, 60, (1200, 12))
    x[np.arange(12) >= length[:, None]] = 0
    y = ((x % 7 == 3).sum(1) > 0).astype("float32")[:, None]
    x, y, xt, yt = sources.split(x, y)
    with sources.policy("mixed_float16"):
        inputs = keras.Input((12,), dtype="int32")
        there = layers.Lambda(lambda t: tf.cast(t > 0, "float32"), (12,))(
            inputs
        )
        h = layers.Embedding(60, 16, name="words")(inputs)
        large = -1e9 if training.broken else -1e4
        h = _Attention(large, name="attention")(h, there)
        h = layers.GlobalMaxPooling1D()(h)
        h = layers.Dense(16, activation="relu", name="hidden")(h)
        out = layers.Dense(
            1, activation="sigmoid", dtype="float32", name="out"
        )(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)
