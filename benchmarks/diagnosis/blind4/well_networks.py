"""Classifiers and regressions that look odd and learn."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import healthy


@healthy(seed=[0])
def last_layers_from_zero(training):
    """The last layer of each residual block and the head start at 0, so in the
    first step all logits are equal and only the head has a gradient. Accuracy
    .92."""
    x, y, xt, yt = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(48, name="stem")(inputs)
    for i in range(4):
        b = layers.LayerNormalization(name=f"norm_{i}")(h)
        b = layers.Dense(96, activation="gelu", name=f"wide_{i}")(b)
        b = layers.Dense(48, kernel_initializer="zeros", name=f"back_{i}")(b)
        h = h + b
    out = layers.Dense(
        10, activation="softmax", kernel_initializer="zeros", name="head"
    )(h)
    model = keras.Model(inputs, out)
    training.fit(sources.classifier(model), x, y, epochs=6, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def labels_of_which_half_are_wrong(training):
    """Each second label is drawn at random, so the loss stays near 1.7 and the
    accuracy in training near .5; the network finds the right ones. Accuracy
    .87."""
    x, y, xt, yt = sources.digits()
    r = np.random.default_rng(3)
    y = np.where(r.random(y.shape) < 0.5, r.integers(0, 10, y.shape), y)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dropout(0.3, name="dropout"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    training.fit(
        sources.classifier(model, 0.002), x, y, epochs=12, batch_size=64
    )
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def one_example_a_step(training):
    """Batches of one, SGD with a small rate, and layer normalisation. Accuracy
    .97."""
    x, y, xt, yt = sources.cancer()
    model = keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.LayerNormalization(name="norm"),
            layers.Dense(1, activation="sigmoid", name="out"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.01), "binary_crossentropy")
    training.fit(model, x, y, epochs=2, batch_size=1)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def half_precision_with_a_scale(training):
    """`mixed_float16` with convolutions and batch norm; the first steps are
    skipped until the scale of the loss fits. Accuracy .95."""
    x, y, xt, yt = sources.digit_images()
    with sources.policy("mixed_float16"):
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(16, 3, use_bias=False, name="conv"),
                layers.BatchNormalization(name="norm"),
                layers.ReLU(),
                layers.Flatten(),
                layers.Dense(
                    10, activation="softmax", dtype="float32", name="out"
                ),
            ]
        )
        sources.classifier(model, 0.003)
        training.fit(model, x, y, epochs=4, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def decay_as_strong_as_the_data(training):
    """AdamW with a decay of 3: the norms of all weights shrink from the first
    step on, and the network generalises from 150 examples. Accuracy .90."""
    x, y, xt, yt = sources.digits()
    model = sources.perceptron(64, [128], 10, "softmax")
    rule = keras.optimizers.AdamW(0.003, weight_decay=3.0)
    model.compile(rule, sources.SPARSE)
    training.fit(model, x[:150], y[:150], epochs=60, batch_size=32)
    return sources.accuracy(model, xt, yt)


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises for `rise` steps, and falls with restarts."""

    def __init__(self, rate, rise, period):
        self.rate, self.rise, self.period = rate, rise, period

    def __call__(self, step):
        step = tf.cast(step, "float32")
        place = tf.math.floormod(step, self.period) / self.period
        wave = 0.5 + 0.5 * tf.cos(np.pi * place)
        return self.rate * tf.minimum(step / self.rise, 1.0) * wave


@healthy(seed=[0])
def warm_up_and_restarts(training):
    """The first step has the rate 0, the rate rises a hundredfold, and falls
    to nothing twice. Explained share .93."""
    x, y, xt, yt = sources.readings()
    model = sources.perceptron(12, [48, 48], 1, hidden="gelu")
    model.compile(keras.optimizers.Adam(WarmUp(0.01, 100, 200)), "mse")
    training.fit(model, x, y, epochs=14, batch_size=32)
    return sources.explained(yt, model(xt))


@healthy(seed=[0])
def mixtures_that_are_never_sure(training):
    """Mixup and label smoothing: the loss cannot fall below 1. Accuracy .94."""
    x, y, xt, yt = sources.digits()
    label = 0.8 * sources.one_hot(y) + 0.02
    r = np.random.default_rng(4)

    def mixed():
        for _ in range(400):
            a, b = r.integers(0, len(x), (2, 32))
            share = r.beta(0.8, 0.8, (32, 1))
            yield (
                (share * x[a] + (1 - share) * x[b]).astype("float32"),
                (share * label[a] + (1 - share) * label[b]).astype("float32"),
            )

    model = sources.perceptron(64, [96], 10, "softmax")
    model.compile(keras.optimizers.Adam(0.003), "categorical_crossentropy")
    training.fit(model, mixed(), epochs=1, steps_per_epoch=400)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def rare_class_with_its_prior(training):
    """One in fifty is positive; the bias starts at the logarithm of the odds
    and the focal loss makes what is left tiny: it starts near .02. Area under
    the curve 1.00."""
    r = np.random.default_rng(5)
    y = (r.random(3000) < 0.02).astype("float32")[:, None]
    x = r.normal(size=(3000, 10)) + 1.2 * y
    x, y, xt, yt = sources.split(x.astype("float32"), y)
    prior = keras.initializers.Constant(-3.9)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(
                1, activation="sigmoid", bias_initializer=prior, name="out"
            ),
        ]
    )
    loss = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True)
    model.compile(keras.optimizers.Adam(0.005), loss)
    training.fit(model, x, y, epochs=8, batch_size=64)
    score, rare = np.asarray(model(xt))[:, 0], yt[:, 0] > 0
    above = score[rare][:, None] > score[~rare][None]
    return {"auc": float(above.mean())}


@healthy(seed=[0])
def averaged_weights(training):
    """A high rate, so the loss jumps about, and weights that are averaged over
    the steps and used in the end. Accuracy .95."""
    x, y, xt, yt = sources.digits()
    model = sources.perceptron(64, [64], 10, "softmax")
    rule = keras.optimizers.SGD(
        0.05, 0.9, use_ema=True, ema_momentum=0.95, ema_overwrite_frequency=None
    )
    model.compile(rule, sources.SPARSE)
    training.fit(model, x, y, epochs=4, batch_size=16)
    return sources.accuracy(model, xt, yt)
