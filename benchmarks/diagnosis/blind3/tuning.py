"""Networks that go on from other ones."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


class Averaged(layers.Layer):
    """Normalises by the batch in training, and by averages otherwise.

    `mode` is "both", "always" by the batch, "never", or "old": by the batch
    in training without touching the averages.
    """

    def __init__(self, mode="both", momentum=0.9, **options):
        super().__init__(**options)
        self.mode, self.momentum = mode, momentum

    def build(self, shape):
        size = shape[-1:]
        self.gamma = self.add_weight(shape=size, initializer="ones")
        self.beta = self.add_weight(shape=size, initializer="zeros")
        self.mean, self.variance = (
            self.add_weight(shape=size, initializer=start, trainable=False)
            for start in ("zeros", "ones")
        )

    def call(self, x, training=None):
        mean, variance = self.mean, self.variance
        batch = training or self.mode == "always"
        if batch and self.mode != "never":
            axes = tuple(range(len(x.shape) - 1))
            mean, variance = ops.mean(x, axes), ops.var(x, axes)
            if training and self.mode != "old":
                m = self.momentum
                self.mean.assign(m * self.mean + (1 - m) * mean)
                self.variance.assign(m * self.variance + (1 - m) * variance)
        x = (x - mean) * ops.rsqrt(variance + 1e-3)
        return x * self.gamma + self.beta


@fault(
    cause="The normalisation is told to be in training at all times, so in "
    "use it goes by its own batch, here of pictures of one kind.",
    layers=["norm_1", "norm_2"],
    source="https://github.com/broadinstitute/keras-resnet/pull/47",
)
def normalised_by_the_batch_in_use(training):
    """A layer that is meant not to be frozen forces `training=True`, and what
    is validated on comes in the order of the classes. Accuracy .26 against
    .96."""
    x, y, xt, yt = sources.digits()
    order = np.argsort(yt)
    xt, yt = xt[order], yt[order]
    mode = "always" if training.broken else "both"
    model = keras.Sequential([keras.Input((64,))])
    for i in (1, 2):
        model.add(layers.Dense(48, name=f"dense_{i}"))
        model.add(Averaged(mode, name=f"norm_{i}"))
        model.add(layers.ReLU())
    model.add(layers.Dense(10, activation="softmax", name="out"))
    history = training.fit(
        sources.classifier(model),
        x,
        y,
        epochs=10,
        batch_size=32,
        validation_data=(xt, yt),
        validation_batch_size=32,
    ).history
    return {"accuracy": history["val_accuracy"][-1]}


def _tower(mode, x, y):
    """Train a tower of convolutions with normalisation on the digits below 5,
    and freeze it."""
    tower = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(12, 3, padding="same", name="tower_conv_1"),
            Averaged("both", name="tower_norm_1"),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(24, 3, padding="same", name="tower_conv_2"),
            Averaged("both", name="tower_norm_2"),
            layers.ReLU(),
            layers.Flatten(),
        ],
        name="tower",
    )
    first = keras.Sequential([tower, layers.Dense(5, activation="softmax")])
    sources.classifier(first).fit(x, y, epochs=5, verbose=0)
    for layer in tower.layers:
        layer.trainable = False
        if isinstance(layer, Averaged):
            layer.mode = mode
    return tower


@fault(
    cause="The frozen normalisation goes by the batch in training and by the "
    "averages of the old data in use, and the new data are others.",
    layers=["tower_norm_1", "tower_norm_2"],
    source="https://github.com/keras-team/keras/pull/9965",
)
def averages_of_the_old_data(training):
    """Fine-tuning trains well and predicts badly: frozen normalisation as it
    was before Keras 2.2. Accuracy .81 against .98."""
    images, labels = sources.digit_images()[:2]
    low = labels < 5
    mode = "old" if training.broken else "never"
    tower = _tower(mode, images[low], labels[low])
    images = 5 - 4 * images[~low]
    x, y, xt, yt = sources.split(images, labels[~low] - 5)
    head = layers.Dense(5, activation="softmax", name="head")
    model = keras.Sequential([tower, head])
    training.fit(
        sources.classifier(model, 0.005), x, y, epochs=15, batch_size=32
    )
    return sources.accuracy(model, xt, yt)


@fault(
    cause="The tower divides by 255 and standardises by itself, and the "
    "pictures it is fed with were divided by 255 already.",
    layers=["tower_scale", "data"],
    source="https://taourl.com/read-2649552.html",
)
def divided_by_255_twice(training):
    """Transfer learning with a network that expects bytes, behind a generator
    that rescales: accuracy stuck. Accuracy .23 against .75."""
    images, labels = sources.digit_images()[:2]
    images = 255 * images
    low = labels < 5
    tower = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 255, name="tower_scale"),
            layers.Conv2D(12, 3, padding="same", name="tower_conv_1"),
            layers.BatchNormalization(momentum=0.9, name="tower_norm_1"),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2D(24, 3, padding="same", name="tower_conv_2"),
            layers.BatchNormalization(momentum=0.9, name="tower_norm_2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
        ],
        name="tower",
    )
    first = keras.Sequential([tower, layers.Dense(5, activation="softmax")])
    sources.classifier(first).fit(images[low], labels[low], epochs=6, verbose=0)
    tower.trainable = False
    x, y, xt, yt = sources.split(images[~low], labels[~low] - 5)
    factor = 1 / 255 if training.broken else 1
    head = layers.Dense(5, activation="softmax", name="head")
    model = keras.Sequential([tower, head])
    training.fit(
        sources.classifier(model, 0.01),
        factor * x,
        y,
        epochs=20,
        batch_size=32,
    )
    return sources.accuracy(model, factor * xt, yt)
