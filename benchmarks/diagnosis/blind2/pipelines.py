"""What is fed: augmentation, labels, coordinates, validation."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


def _convolutions(size, outputs, last):
    return keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(12, 3, padding="same", activation="relu", name="c1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="c2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(outputs, activation=last, name="out"),
        ]
    )


@fault(
    "validation-differs",
    cause="The images to validate on are prepared in another way, from -40 to "
    "-24, than those to train on, from -1 to 1.",
    source="https://github.com/keras-team/keras/issues/12689",
)
def validated_on_other_pixels(training):
    """Training goes well, validation stays at chance: each of the two
    generators prepares images in its own way. Validation accuracy .16 against
    .95."""
    x, y, xt, yt = sources.digit_images()
    x = 2 * x - 1
    xt = 16 * xt - 40 if training.broken else 2 * xt - 1
    model = _convolutions(8, 10, "softmax")
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    history = training.fit(
        model, x, y, epochs=8, batch_size=32, validation_data=(xt, yt)
    ).history
    return {"accuracy": history["val_accuracy"][-1]}


@fault(
    cause="With a seed set, the random numbers of Dataset.map are the same in "
    "each epoch, so each image is moved in one way only.",
    source="https://github.com/tensorflow/tensorflow/issues/35682",
    invisible="That the images of an epoch are those of the epoch before is "
    "no statistic of a batch.",
)
def moved_alike_in_each_epoch(training):
    """Random augmentation repeats itself in each epoch when a graph-level seed
    is set. Accuracy on moved images .36 against .77."""
    x, y, xt, yt = sources.digit_images()
    x, y = x[:200], y[:200]

    def wide(images):
        return np.pad(images, [(0, 0), (4, 4), (4, 4), (0, 0)])

    tf.random.set_seed(1)
    flow = tf.data.Dataset.from_tensor_slices((wide(x), y))

    def moved(image, label):
        shift = tf.random.uniform((2,), -4, 5, tf.int32)
        return tf.roll(image, shift, (0, 1)), label

    steps = None if training.broken else 10
    if training.broken:
        flow = flow.map(moved).batch(20)
    else:
        flow = flow.repeat().map(moved).batch(20)
    model = _convolutions(16, 10, "softmax")
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, flow, epochs=40, steps_per_epoch=steps)
    r = np.random.default_rng(3)
    shift = r.integers(-4, 5, (len(xt), 2))
    test = wide(xt)
    test = np.stack(
        [np.roll(i, s, (0, 1)) for i, s in zip(test, shift, strict=True)]
    )
    return sources.accuracy(model, test, yt)


class Refreshed(keras.utils.PyDataset):
    """Draws some images and labels, to be drawn anew for each epoch."""

    def __init__(self, x, y, misnamed, count=96):
        super().__init__()
        self.x, self.y, self.count = x, y, count
        self.random = np.random.default_rng(4)
        self.draw()
        if not misnamed:
            self.on_epoch_end = self.draw

    def draw(self):
        """Choose what the next epoch has."""
        self.rows = self.random.integers(0, len(self.x), self.count)

    def on_epoch_start(self):
        """Draw anew; nobody calls it."""
        self.draw()

    def __len__(self):
        return self.count // 16

    def __getitem__(self, i):
        rows = self.rows[16 * i : 16 * (i + 1)]
        return self.x[rows], self.y[rows]


@fault(
    cause="The generator refreshes its images in `on_epoch_start`, which "
    "Keras does not call, so all epochs have the first few images.",
    source="https://github.com/mpkuse/cartwheel_train/issues/7",
)
def generator_that_never_refreshes(training):
    """A generator loads a sample of images, and yields the same in all epochs.
    Accuracy .88 against .92."""
    x, y, xt, yt = sources.digits()
    model = sources.perceptron(64, [64], 10, "softmax")
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(
        model,
        Refreshed(x, y, training.broken),
        epochs=40,
        validation_data=(xt, yt),
        validation_batch_size=450,
    )
    return sources.accuracy(model, xt, yt)


@fault(
    "validation-differs",
    cause="The folder to validate on lacks one of the classes, and its own "
    "numbering gives all later classes the number before.",
    source="https://github.com/weecology/DeepForest/pull/1147",
)
def numbered_without_a_class(training):
    """Class numbers are taken from each folder for itself; one class is not
    among the images to validate on. Validation accuracy .12 against .95."""
    x, y, xt, yt = sources.digits()
    there = yt != 1
    xt, yt = xt[there], yt[there]
    if training.broken:
        yt = np.unique(yt, return_inverse=True)[1]
    model = sources.perceptron(64, [64], 10, "softmax")
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    history = training.fit(
        model, x, y, epochs=12, batch_size=32, validation_data=(xt, yt)
    ).history
    return {"accuracy": history["val_accuracy"][-1]}


@fault(
    cause="Images are resized to one size and the coordinates are not, so "
    "the same place has another number in each picture.",
    source="https://github.com/pierluigiferrari/ssd_keras/issues/138",
)
def boxes_that_are_not_resized(training):
    """Pictures of many sizes are scaled to one, and the boxes stay in pixels
    of the originals. Explained share of the places .48 against .99."""
    r = np.random.default_rng(5)
    place = r.uniform(2, 14, (1200, 2))
    row, column = np.mgrid[:16, :16]
    far = (row - place[:, 0, None, None]) ** 2
    far = far + (column - place[:, 1, None, None]) ** 2
    images = np.exp(-far / 4) + r.normal(0, 0.1, far.shape)
    images = images[..., None].astype("float32")
    factor = r.uniform(1, 6, (1200, 1)) if training.broken else 1.0
    y = (place * factor / 16).astype("float32")
    x, y, xt, yt = sources.split(images, y)
    model = _convolutions(16, 2, None)
    model.compile(keras.optimizers.Adam(0.003), "mse")
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.explained(yt, model(xt))


@fault(
    "unscaled-input",
    cause="Both inputs of a siamese network share their weights while one is "
    "in tens and the other in hundred thousands.",
    layers=["tower_1"],
    source="https://github.com/keras-team/keras/issues/4459",
)
def twins_of_another_scale(training):
    """A contrastive loss of tens of millions: the branches are fed with
    numbers of very different sizes. Accuracy .54 against .97."""
    r = np.random.default_rng(6)
    a = r.normal(size=(1500, 4))
    b = a + r.normal(0, 0.3, a.shape)
    other = r.random(1500) < 0.5
    b[other] = r.normal(size=(int(other.sum()), 4))
    y = other.astype("float32")[:, None]
    if training.broken:
        a, b = 12 * a + 30, 2e5 * b + 4e5
    x = np.stack([a, b], 1).astype("float32")
    x, y, xt, yt = sources.split(x, y)
    tower = sources.perceptron(4, [24], 8, name="tower")
    left, right = keras.Input((4,)), keras.Input((4,))
    gap = layers.Subtract()([tower(left), tower(right)])
    far = layers.Lambda(
        lambda t: tf.sqrt(tf.reduce_sum(t**2, 1, keepdims=True) + 1e-9), (1,)
    )(gap)
    model = keras.Model([left, right], far)

    def contrastive(other, distance):
        near = (1 - other) * distance**2
        return near + other * tf.maximum(1 - distance, 0) ** 2

    model.compile(keras.optimizers.Adam(0.003), contrastive)
    training.fit(model, [x[:, 0], x[:, 1]], y, epochs=12, batch_size=32)
    guess = np.asarray(model([xt[:, 0], xt[:, 1]])) > 0.5
    return {"accuracy": float(np.mean(guess == yt))}
