"""Networks whose slopes and products are what counts."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


def _products(features, broken):
    """Return how the channels of `[rows, columns, channels]` go together."""
    size, channels = features.shape[-2], features.shape[-1]
    if broken:
        flat = tf.reshape(features, (channels, size * size))
    else:
        flat = tf.transpose(tf.reshape(features, (size * size, channels)))
    return tf.matmul(flat, flat, transpose_b=True) / (size * size)


@fault(
    cause="The features are reshaped to channels by places without a "
    "transposition, so places and channels are mixed and the matrix says "
    "nothing about texture, only about this one layout.",
    layers=["loss", "code"],
    source="https://github.com/marcopeix/Deep_Learning_AI/issues/1",
)
def texture_of_mixed_channels(training):
    """A picture is changed until its texture is that of another one.
    Distance of the right matrices, as a share of the first distance."""
    r = np.random.default_rng(1)
    row, column = np.mgrid[:16, :16]
    style = np.sin(1.3 * (row + column))[..., None].astype("float32")
    style = style + 0.1 * r.normal(size=style.shape).astype("float32")
    net = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Conv2D(24, 5, activation="relu", name="eye"),
        ]
    )
    net.trainable = False
    start = r.normal(size=(16, 16, 1)).astype("float32")
    picture = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(256, use_bias=False, name="picture"),
            keras.layers.Reshape((16, 16, 1)),
        ]
    )
    picture.layers[0].set_weights([start.reshape(1, 256)])
    one = tf.ones((1, 1))
    optimizer = training.wrap(keras.optimizers.Adam(0.03), model=picture)
    aim = _products(net(style[None])[0], training.broken)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            features = net(picture(one))[0]
            made = _products(features, training.broken)
            loss = 100 * tf.reduce_mean((made - aim) ** 2)
        sources.descend(optimizer, tape, loss, picture.trainable_variables)

    for _ in range(300):
        step()

    def apart(image):
        a = _products(net(style[None])[0], False)
        return float(tf.reduce_mean((_products(net(image)[0], False) - a) ** 2))

    return {"distance": apart(picture(one)) / apart(start[None])}
