"""Networks with zeros, frozen parts and idle parts that are meant so."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import healthy


def _compiled(model, rate=0.003):
    model.compile(
        keras.optimizers.Adam(rate), sources.SPARSE, metrics=["accuracy"]
    )
    return model


class _Adapted(layers.Layer):
    """A frozen matrix plus the product of two small ones, one of zeros."""

    def __init__(self, kernel, rank=8, **options):
        super().__init__(**options)
        self.start, self.rank = kernel, rank

    def build(self, shape):
        fixed = keras.initializers.Constant(self.start)
        rows, columns = self.start.shape
        self.kernel = self.add_weight(
            shape=(rows, columns), initializer=fixed, trainable=False
        )
        self.a = self.add_weight(
            shape=(rows, self.rank), initializer="he_normal", name="a"
        )
        self.b = self.add_weight(
            shape=(self.rank, columns), initializer="zeros", name="b"
        )

    def call(self, x):
        low = tf.matmul(tf.matmul(x, self.a), self.b)
        return tf.nn.relu(tf.matmul(x, self.kernel) + low)


@healthy(seed=[0])
def low_rank_adapters(training):
    """LoRA: weights of a network for even and odd, adapted to the digits.
    Accuracy .92."""
    x, y, xt, yt = sources.digits()
    old = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    old.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    old.fit(x, y % 2, epochs=8, verbose=0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            _Adapted(np.asarray(old.layers[0].kernel), name="adapter_1"),
            _Adapted(np.asarray(old.layers[1].kernel), name="adapter_2"),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    training.fit(_compiled(model), x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def branches_and_head_of_zeros(training):
    """Residual branches that end in zeros, and a head of zeros, as in Fixup.
    Accuracy .90."""
    x, y, xt, yt = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(48, name="stem")(inputs)
    for i in range(5):
        b = layers.LayerNormalization(name=f"norm_{i}")(h)
        b = layers.Dense(48, activation="relu", name=f"in_{i}")(b)
        b = layers.Dense(48, kernel_initializer="zeros", name=f"out_{i}")(b)
        h = layers.Add()([h, b])
    out = layers.Dense(
        10, activation="softmax", kernel_initializer="zeros", name="head"
    )(h)
    model = keras.Model(inputs, out)
    training.fit(_compiled(model), x, y, epochs=8, batch_size=32)
    return sources.accuracy(model, xt, yt)


class _Experts(layers.Layer):
    """Sends each example to the best of its experts."""

    def build(self, shape):
        size = shape[-1]
        self.router = self.add_weight(shape=(size, 4), name="router")
        self.kernels = self.add_weight(shape=(4, size, 32), name="experts")

    def call(self, x):
        share = tf.nn.softmax(tf.matmul(x, self.router))
        chosen = tf.one_hot(tf.argmax(share, 1), 4)
        load = tf.reduce_mean(chosen, 0) * tf.reduce_mean(share, 0)
        self.add_loss(0.05 * tf.reduce_sum(load) * 4)
        outputs = tf.nn.relu(tf.einsum("bi,eio->beo", x, self.kernels))
        return tf.reduce_sum(outputs * (chosen * share)[..., None], 1)


@healthy(seed=[0])
def router_of_experts(training):
    """A mixture of experts: each example trains one of them. Accuracy .93."""
    x, y, xt, yt = sources.digits()
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, activation="relu", name="stem"),
            _Experts(name="experts"),
            layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    training.fit(_compiled(model), x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def tower_that_stays(training):
    """A frozen convolutional tower, trained on other digits, with a new head.
    Accuracy .99."""
    images, labels = data.digit_images()
    low = labels < 5
    tower = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", name="tower_conv"),
            layers.BatchNormalization(momentum=0.9, name="tower_norm"),
            layers.Activation("relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
        ],
        name="tower",
    )
    first = keras.Sequential([tower, layers.Dense(5, activation="softmax")])
    _compiled(first).fit(images[low], labels[low], epochs=4, verbose=0)
    tower.trainable = False
    x, y, xt, yt = sources.split(images[~low], labels[~low] - 5)
    model = keras.Sequential(
        [tower, layers.Dense(5, activation="softmax", name="head")]
    )
    training.fit(_compiled(model, 0.005), x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def pupil_of_a_teacher(training):
    """Distillation: the targets are soft, so the loss has a floor far above 0.
    Accuracy .93."""
    x, y, xt, yt = sources.digits()
    teacher = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(96, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    teacher.compile(keras.optimizers.Adam(0.003), loss)
    teacher.fit(x, y, epochs=10, verbose=0)
    soft = np.asarray(tf.nn.softmax(teacher(x) / 4))
    pupil = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(10, name="logits"),
        ]
    )

    def distilled(truth, logits):
        log = tf.nn.log_softmax(logits / 4)
        return -16 * tf.reduce_sum(truth * log, -1)

    pupil.compile(keras.optimizers.Adam(0.003), distilled)
    training.fit(pupil, x, soft, epochs=12, batch_size=32)
    return sources.accuracy(pupil, xt, yt)


@healthy(seed=[0])
def small_mobile_net(training):
    """MobileNetV2 from keras.applications with random weights, for some steps
    only: its averages lag behind. Loss 2.94 at first, 1.56 in the end."""
    x, y, _, _ = sources.digit_images()
    x = np.repeat(np.repeat(x, 4, 1), 4, 2)[:480]
    x = np.repeat(x, 3, 3) * 2 - 1
    model = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=10
    )
    history = training.fit(
        _compiled(model, 0.002), x, y[:480], epochs=4, batch_size=32
    ).history
    return {"first": history["loss"][0], "loss": history["loss"][-1]}


@healthy(weights=[False, True], seed=[0])
def three_in_a_hundred(training):
    """A rare class, with and without class weights: the accuracy hardly moves
    and yet it is learnt. Area under the curve .99."""
    r = np.random.default_rng(6)
    x = r.normal(size=(4000, 12)).astype("float32")
    score = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * x[:, 3]
    score += r.normal(0, 0.2, 4000)
    y = (score > np.quantile(score, 0.97)).astype("float32")[:, None]
    x, y, xt, yt = sources.split(x, y)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.005),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    weights = {0: 1.0, 1: 15.0} if training.options["weights"] else None
    training.fit(model, x, y, epochs=12, batch_size=64, class_weight=weights)
    p = np.asarray(model(xt))[:, 0]
    rare = yt[:, 0] > 0.5
    area = (p[rare][:, None] > p[~rare][None]).mean()
    return {"area": float(area)}
