"""Pictures that are not what they were on their way to the network."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind4 import sources
from benchmarks.diagnosis.case import fault


def _convolutions(shape, outputs, last=None):
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(16, 3, activation="relu", name="conv_1"),
            layers.Conv2D(32, 3, activation="relu", name="conv_2"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(outputs, activation=last, name="out"),
        ]
    )


@fault(
    cause="The pictures lie as channels, rows, columns and are reshaped to "
    "rows, columns, channels, not transposed, so neighbours in a picture are "
    "no neighbours any more.",
    layers=["data"],
    source="https://github.com/IcedDoggie/"
    "Micro-Expression-with-Deep-Learning/issues/7",
)
def reshaped_and_not_transposed(training):
    """Channels first for a network that wants them last. Accuracy .80 against
    .92."""
    x, y, xt, yt = sources.digit_images()
    r = np.random.default_rng(1)

    def coloured(images):
        tint = r.uniform(0.2, 1, (len(images), 3, 1, 1))
        planes = images[:, None, :, :, 0] * tint
        planes = planes + r.normal(0, 0.05, planes.shape)
        if training.broken:
            return planes.reshape(-1, 8, 8, 3).astype("float32")
        return planes.transpose(0, 2, 3, 1).astype("float32")

    x, xt = coloured(x), coloured(xt)
    model = _convolutions((8, 8, 3), 10, "softmax")
    training.fit(
        sources.classifier(model, 0.005), x, y, epochs=12, batch_size=32
    )
    return sources.accuracy(model, xt, yt)


class Brighter(keras.utils.PyDataset):
    """Batches of bytes that are made brighter or darker, each differently."""

    def __init__(self, images, labels, wide, **options):
        super().__init__(**options)
        self.images, self.labels, self.wide = images, labels, wide
        self.random = np.random.default_rng(3)

    def __len__(self):
        return len(self.images) // 32

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        light = self.random.integers(-110, 111, (32, 1))
        x = self.images[rows]
        if self.wide:
            x = np.clip(x.astype("int16") + light, 0, 255)
        else:
            x = np.clip(x + light.astype("uint8"), 0, 255)
        return x.astype("float32") / 255, self.labels[rows]


@fault(
    cause="The light is added to bytes, which go round at 256, so bright "
    "becomes dark before anything can be clipped.",
    layers=["data"],
    source="https://github.com/keras-team/keras-preprocessing/issues/170",
)
def bytes_that_go_round(training):
    """Augmentation by light, of pictures as uint8. Accuracy .68 against .95."""
    x, y, xt, yt = sources.digits()
    x, xt = (np.round(255 * a).astype("uint8") for a in (x, xt))
    model = sources.perceptron(64, [64], 10, "softmax")
    light = Brighter(x, y, wide=not training.broken)
    training.fit(sources.classifier(model), light, epochs=12)
    return sources.accuracy(model, xt.astype("float32") / 255, yt)


@fault(
    cause="Each epoch takes the same first batches of a dataset that is not "
    "shuffled, so most of the data is never seen.",
    layers=["data"],
    source="https://github.com/keras-team/keras/issues/8282",
)
def the_same_first_batches(training):
    """Short epochs of a large dataset, which starts anew each time. Accuracy
    .84 against .94."""
    x, y, xt, yt = sources.digits()
    model = sources.perceptron(64, [64], 10, "softmax")
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    calls = {}
    if training.broken:
        data = data.take(5)
    else:
        data, calls = data.repeat(), {"steps_per_epoch": 5}
    training.fit(
        sources.classifier(model, 0.005),
        data,
        epochs=80,
        validation_data=(xt, yt),
        **calls,
    )
    return sources.accuracy(model, xt, yt)


@fault(
    cause="Half of the pictures are flipped left to right and their targets "
    "keep the sign, so the same picture has opposite answers.",
    layers=["data"],
    source="https://github.com/Sentdex/pygta5/issues/51",
)
def flipped_without_its_angle(training):
    """Where to steer, with flipping as augmentation. Explained share -.17
    against .98."""
    x, y, xt, yt = sources.roads()
    model = _convolutions((12, 12, 1), 1)
    model.pop()
    model.pop()
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(1, name="out"))
    sign = 1.0 if training.broken else -1.0

    def flip(picture, angle):
        turned = tf.random.uniform(()) < 0.5
        picture = tf.where(turned, picture[:, ::-1], picture)
        return picture, tf.where(turned, sign * angle, angle)

    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(900, seed=1)
    model.compile(keras.optimizers.Adam(0.002), "mse")
    training.fit(model, data.map(flip).batch(32), epochs=8)
    return sources.explained(yt, model(xt))


@fault(
    cause="Layer normalisation over the last axis, which has one channel, "
    "subtracts each pixel from itself: what comes out is 0 everywhere.",
    layers=["normalisation"],
    source="https://github.com/keras-team/tf-keras/issues/173",
)
def normalised_pixel_by_pixel(training):
    """`LayerNormalization` of pictures with its default axis. Accuracy .10
    against .96."""
    x, y, xt, yt = sources.digit_images()
    axis = -1 if training.broken else [1, 2, 3]
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.LayerNormalization(axis=axis, name="normalisation"),
            layers.Conv2D(16, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    training.fit(
        sources.classifier(model, 0.003), x, y, epochs=6, batch_size=32
    )
    return sources.accuracy(model, xt, yt)
