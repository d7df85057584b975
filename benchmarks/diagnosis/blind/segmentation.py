"""Segmentation."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


def _unet(middle=()):
    """Returns a small network with a skip connection, up to its last
    feature map, and the input."""
    inputs = keras.Input((16, 16, 1))
    wide = layers.Conv2D(8, 3, padding="same", activation="relu", name="down")
    a = wide(inputs)
    h = layers.MaxPooling2D(2)(a)
    h = layers.Conv2D(16, 3, padding="same", activation="relu", name="bottom")(
        h
    )
    h = layers.UpSampling2D(2)(h)
    h = layers.Concatenate()([a, h])
    h = layers.Conv2D(8, 3, padding="same", activation="relu", name="up")(h)
    for layer in middle:
        h = layer(h)
    out = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(h)
    return keras.Model(inputs, out)


@fault(
    "output-range",
    "unscaled-target",
    cause="The masks are images from 0 to 255 that nobody divided, so the "
    "cross-entropy has no lower bound.",
    layers=["mask"],
    source="qubvel/segmentation_models #95",
)
def masks_to_255(training):
    """The loss of a segmentation is negative and falls without end, and the
    score is above 1: masks are read from PNG files as they are. Overlap
    .12 against .81."""
    x, y, xt, yt = sources.split(*sources.blobs())
    model = _unet()
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    scale = 255.0 if training.broken else 1.0
    training.fit(model, x, y * scale, epochs=8, batch_size=16)
    return sources.overlap(yt, model(xt))


@fault(
    cause="A layer of only two ReLU channels before the last one can die, "
    "which leaves the output with its bias alone.",
    layers=["conv9"],
    source="zhixuhao/unet #148",
    harmless=True,
)
def two_channels_before_the_mask(training):
    """ "I only get plain black, white, or grey images": helped by leaving out
    the convolution with two channels and ReLU. Here they live on. Overlap
    .83 against .82."""
    x, y, xt, yt = sources.split(*sources.blobs())
    last = layers.Conv2D(
        2,
        3,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name="conv9",
    )
    model = _unet([last] if training.broken else [])
    model.compile(
        keras.optimizers.Adam(0.01),
        "binary_crossentropy",
        metrics=["accuracy"],
    )
    training.fit(model, x, y, epochs=8, batch_size=16)
    return sources.overlap(yt, model(xt))


@fault(
    cause="Images are flipped at random and their masks are not.",
    source="keras-team/keras-preprocessing #236",
)
def flipped_without_its_mask(training):
    """Sometimes the image is flipped and the mask stays as it was, as the
    two generators do not share their random numbers. Overlap .69 against
    .81."""
    x, y, xt, yt = sources.split(*sources.blobs())
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(400, seed=1)
    dice = np.random.default_rng(4)

    def augmented():
        for image, mask in data:
            image, mask = image.numpy(), mask.numpy()
            if dice.random() < 0.5:
                image = image[:, ::-1]
                if not training.broken:
                    mask = mask[:, ::-1]
            yield image, mask

    shape = tf.TensorSpec((16, 16, 1), "float32")
    flow = tf.data.Dataset.from_generator(
        augmented, output_signature=(shape, shape)
    )
    model = _unet()
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    training.fit(model, flow.batch(16), epochs=8)
    return sources.overlap(yt, model(xt))
