"""Attention that looks at the wrong things."""

from __future__ import annotations

import keras
from keras import layers, ops

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


class Chosen(layers.Layer):
    """Averages a text with learnt weights; what is not there gets the lowest
    number of the type, twice."""

    def __init__(self, low, **options):
        super().__init__(**options)
        self.low = low
        self.score = layers.Dense(1)

    def build(self, shape):
        self.score.build(shape)

    def call(self, x, words):
        away = ops.cast(ops.equal(words, 0), x.dtype)
        rare = ops.cast(ops.less(words, 3), x.dtype)
        score = self.score(x)[..., 0] + self.low * away + self.low * rare
        score = score - ops.max(score, -1, keepdims=True)
        share = ops.exp(score)
        share = share / ops.sum(share, -1, keepdims=True)
        return ops.sum(share[..., None] * x, 1)


@fault(
    cause="Two masks of the lowest number of float16 add up to minus "
    "infinity; a text in which all is masked gives infinity less infinity, "
    "nan, so the scaling of the loss skips nearly each step.",
    layers=["chosen"],
    source="https://github.com/tensorflow/tensorflow/pull/59657",
)
def masks_beyond_half(training):
    """Mixed precision, padding and words that are left out. Accuracy .50
    against .87."""
    x, y, xt, yt = sources.reviews()
    x, xt = x.copy(), xt.copy()
    x[::10] = 0
    low = -65504.0 if training.broken else -1e4
    with sources.policy("mixed_float16"):
        inputs = keras.Input((24,), dtype="int32")
        h = layers.Embedding(120, 16, name="words")(inputs)
        h = Chosen(low, name="chosen")(h, inputs)
        h = layers.Dense(32, activation="relu", name="hidden")(h)
        out = layers.Dense(
            1, activation="sigmoid", dtype="float32", name="score"
        )(h)
        model = keras.Model(inputs, out)
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
        training.fit(model, x, y, epochs=6, batch_size=32)
    return sources.accuracy(model, xt, yt)
