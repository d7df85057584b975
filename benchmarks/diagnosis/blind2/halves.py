"""Half precision."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


class Normalised(layers.Layer):
    """Gives steps the mean 0 and the deviation 1."""

    def __init__(self, epsilon, **options):
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")

    def call(self, x):
        mean = ops.mean(x, -1, keepdims=True)
        variance = ops.mean(ops.square(x - mean), -1, keepdims=True)
        small = ops.cast(self.epsilon, x.dtype)
        return (x - mean) * ops.rsqrt(variance + small) * self.scale


@fault(
    "non-finite",
    "steps-skipped",
    cause="The epsilon of the normalisation is 1e-12, which is 0 in float16, "
    "so what does not vary, the padding, is 0 times infinity.",
    layers=["norm"],
    source="https://github.com/keras-team/keras/issues/22586",
)
def epsilon_below_half(training):
    """Normalisation with BERT's epsilon under mixed_float16: NaN. Accuracy .50
    against .82."""
    x, y, xt, yt = sources.reviews()
    epsilon = 1e-12 if training.broken else 1e-3
    with sources.policy("mixed_float16"):
        model = keras.Sequential(
            [
                keras.Input((24, 16)),
                Normalised(epsilon, name="norm"),
                layers.Dense(24, activation="relu", name="hidden"),
                layers.GlobalAveragePooling1D(),
                layers.Dense(1, name="score"),
                layers.Activation("sigmoid", dtype="float32"),
            ]
        )
    vectors = np.random.default_rng(5).normal(size=(120, 16))

    def read(words):
        return (vectors[words] * (words > 0)[..., None]).astype("float32")

    model.compile(
        keras.optimizers.Adam(0.01),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, read(x), y, epochs=12, batch_size=32)
    return sources.accuracy(model, read(xt), yt)
