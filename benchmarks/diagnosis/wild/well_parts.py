"""Healthy networks of which parts are frozen, zero or seldom used."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from benchmarks.diagnosis.case import healthy
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import fine_tuning, tools


class Adapted(layers.Layer):
    """A frozen dense layer and a low-rank update of it, which starts at
    zero."""

    def __init__(self, dense, rank=4, **options):
        super().__init__(**options)
        dense.trainable = False
        self.dense, self.rank = dense, rank

    def build(self, shape):
        units = self.dense.units
        self.down = self.add_weight((shape[-1], self.rank), name="down")
        self.up = self.add_weight(
            (self.rank, units), initializer="zeros", name="up"
        )

    def call(self, x):
        before = x @ self.dense.kernel + self.dense.bias
        return self.dense.activation(before + x @ self.down @ self.up)


@healthy(seed=[0, 1])
def low_rank_update(training):
    """LoRA of a network that knows the digits, for inverted ones: one of
    the two factors starts at zero, and nine tenths are frozen. Accuracy
    .90."""
    x, y, xt, yt = sources.digits()
    old = tools.perceptron(64, [128, 128], 10, name="old")
    old.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    old.fit(x, y, epochs=8, verbose=0)
    x, xt = 1 - x, 1 - xt
    inputs = h = keras.Input((64,))
    for i, dense in enumerate(old.layers, 1):
        h = Adapted(dense, 8, name=f"adapted_{i}")(h)
    model = keras.Model(inputs, h)
    model.compile(
        keras.optimizers.Adam(0.005),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


class Gate(layers.Layer):
    """One number, zero at first, that a branch is multiplied by."""

    def build(self, shape):
        self.factor = self.add_weight((), initializer="zeros", name="factor")

    def call(self, x):
        return self.factor * x


@healthy(depth=[4, 12])
def branches_that_start_at_zero(training):
    """ReZero: each residual branch times a number that starts at 0, and a head
    of zeros. Accuracy .93 and .97."""
    x, y, xt, yt = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(64, name="stem")(inputs)
    for i in range(training.options["depth"]):
        b = layers.Dense(64, activation="relu", name=f"branch_{i}")(h)
        h = h + Gate(name=f"gate_{i}")(b)
    out = layers.Dense(
        10, kernel_initializer="zeros", activation="softmax", name="head"
    )(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    training.fit(model, x, y, epochs=12, batch_size=32)
    return sources.accuracy(model, xt, yt)


class Experts(layers.Layer):
    """The best two of some experts, by a router."""

    def __init__(self, count, units, **options):
        super().__init__(**options)
        self.count, self.units = count, units
        self.router = layers.Dense(count, use_bias=False, name="router")

    def build(self, shape):
        self.router.build(shape)
        self.kernel = self.add_weight(
            (self.count, shape[-1], self.units), name="kernel"
        )

    def call(self, x):
        share = ops.softmax(self.router(x))
        best = ops.top_k(share, 2)[0][:, -1:]
        chosen = ops.cast(share >= best, share.dtype)
        weight = share * chosen
        weight = weight / ops.sum(weight, -1, keepdims=True)
        used, meant = ops.mean(chosen, 0), ops.mean(share, 0)
        self.add_loss(0.01 * self.count * ops.sum(used * meant))
        made = ops.einsum("bi,eio->beo", x, self.kernel)
        return ops.sum(ops.relu(made) * weight[:, :, None], 1)


@healthy(experts=[4, 8])
def mixture_of_experts(training):
    """A router sends each picture to two experts; the others get no gradient
    from it. Accuracy .96 and .95."""
    x, y, xt, yt = sources.digits()
    inputs = keras.Input((64,))
    h = layers.Dense(64, activation="relu", name="stem")(inputs)
    h = Experts(training.options["experts"], 32, name="experts")(h)
    out = layers.Dense(10, activation="softmax", name="head")(h)
    model = keras.Model(inputs, out)
    model.compile(
        keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy"
    )
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def frozen_towers(training):
    """A frozen base, trained on other digits, and a frozen random layer next
    to it; only the head is trained. Accuracy .98."""
    x, y, xt, yt = fine_tuning.digits_of([6, 7, 8, 9])
    base = fine_tuning.pretrained(fine_tuning.base_of())
    base.trainable = False
    inputs = keras.Input((8, 8, 1))
    other = layers.Dense(64, activation="relu", trainable=False, name="random")(
        layers.Flatten()(inputs)
    )
    h = layers.Concatenate(name="both")([base(inputs), other])
    out = layers.Dense(4, activation="softmax", name="new_head")(h)
    model = fine_tuning.compiled(
        keras.Model(inputs, out), keras.optimizers.Adam(0.002)
    )
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(warm=[50, 200])
def rate_from_zero_to_zero(training):
    """The rate is exactly 0 at the first step, and at the last one. Accuracy
    .96 and .97."""
    x, y, xt, yt = sources.digits()
    steps = training.options["warm"]
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, 630 - steps, warmup_target=0.01, warmup_steps=steps
    )
    model = tools.perceptron(64, [64, 64], 10, "softmax")
    model.compile(
        keras.optimizers.AdamW(schedule), "sparse_categorical_crossentropy"
    )
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


@healthy(seed=[0])
def curriculum(training):
    """Noise and classes are added step by step, so that the loss rises.
    Accuracy .92."""
    x, y, xt, yt = sources.digits()

    def lessons():
        r = np.random.default_rng(0)
        for lesson in range(10):
            rows = np.flatnonzero(y < min(10, 3 + lesson))
            for _ in range(60):
                chosen = r.choice(rows, 32)
                noise = r.normal(0, 0.04 * lesson, (32, 64))
                yield (x[chosen] + noise).astype("float32"), y[chosen]

    model = tools.perceptron(64, [64, 64], 10, "softmax")
    model.compile(
        keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy"
    )
    training.fit(model, lessons(), epochs=10, steps_per_epoch=60)
    return sources.accuracy(model, xt, yt)
