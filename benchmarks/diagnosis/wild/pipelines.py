"""Pipelines of tf.data.

Sources, one for each case:
tensorflow/models #4215, tensorflow/estimator #16 (a dropped shuffle);
tensorflow/tensorflow #40620 (NumPy's random numbers in a map);
tensorflow/tensorflow #47755 (a cache after the augmentation);
sql-machine-learning/sqlflow #2143 (a cache after the shuffle).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import tools


def slices(*arrays):
    """Returns a data set of the rows of arrays."""
    return tf.data.Dataset.from_tensor_slices(arrays)


def fitted(training, model, dataset, epochs, rate=0.003):
    """Trains a classifier, of softmax, on a data set."""
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy"
    )
    training.fit(model, dataset, epochs=epochs)


@fault(
    "constant-labels",
    cause="`dataset.shuffle(...)` returns a new data set and the program "
    "goes on with the old one, sorted by class, so each batch has one class",
    source="tensorflow/models #4215",
)
def shuffle_without_assignment(training):
    """As posted: "Training data is not shuffled as expected": the records lie
    sorted by class, and the result of `dataset.shuffle` is dropped. Accuracy
    .35 against .96."""
    x, y, xt, yt = sources.digits()
    order = np.argsort(y, kind="stable")
    dataset = slices(x[order], y[order])
    if training.broken:
        dataset.shuffle(len(x), seed=0)
    else:
        dataset = dataset.shuffle(len(x), seed=0)
    model = tools.perceptron(64, [64], 10, "softmax")
    fitted(training, model, dataset.batch(32), 12, 0.01)
    return sources.accuracy(model, xt, yt)


def wide(images):
    """Returns digits in the middle of a frame `[n, 14, 14, 1]`."""
    return np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)))


def moved(images, seed):
    """Returns such digits anywhere in the frame."""
    r = np.random.default_rng(seed)
    return tools.shifted(wide(images), r, 3)


def small_net(shape):
    """Returns a classifier that knows nothing of places by itself."""
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(),
            layers.Dense(128, activation="relu", name="hidden_1"),
            layers.Dense(64, activation="relu", name="hidden_2"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )


@fault(
    cause="the map function draws with NumPy when it is traced, so all "
    "pictures of all epochs are moved by the same two numbers",
    source="tensorflow/tensorflow #40620",
)
def numpy_in_a_map(training):
    """As posted: "Random in map is not random if not coming from tensorflow":
    NumPy draws once, at tracing, and the network sees the digits at one place.
    Accuracy .17 against .85."""
    x, y, xt, yt = sources.digit_images()
    r = np.random.default_rng(1)

    def move(image, label):
        moves = tf.random.uniform([2], -3, 4, tf.int32)
        if training.broken:
            moves = r.integers(-3, 4, 2)
        return tf.roll(image, moves, [0, 1]), label

    dataset = slices(wide(x), y).shuffle(len(x), seed=0).map(move)
    model = small_net((14, 14, 1))
    fitted(training, model, dataset.batch(32), 25)
    return sources.accuracy(model, moved(xt, 3), yt)


@fault(
    cause="the cache comes after the random augmentation, so each picture "
    "has one version for ever",
    source="tensorflow/tensorflow #47755",
)
def cached_augmentation(training):
    """As posted: "We cache that single round of augmentation, and repeat that
    forever": the tutorial on segmentation calls `cache` after the random map.
    Accuracy .70 against .89."""
    x, y, xt, yt = sources.digit_images()

    def move(image, label):
        moves = tf.random.uniform([2], -3, 4, tf.int32)
        return tf.roll(image, moves, [0, 1]), label

    dataset = slices(wide(x), y)
    if training.broken:
        dataset = dataset.map(move).cache().shuffle(len(x), seed=0)
    else:
        dataset = dataset.cache().shuffle(len(x), seed=0).map(move)
    model = small_net((14, 14, 1))
    fitted(training, model, dataset.batch(32), 40)
    return sources.accuracy(model, moved(xt, 3), yt)


@fault(
    cause="the cache comes after the shuffle and the batches, so all epochs "
    "have the same batches in the same order",
    source="sql-machine-learning/sqlflow #2143",
    harmless=True,
)
def cached_batches(training):
    """As posted: "The cache mechanism may lead to producing the same data in
    each training epoch": the batches are cached after the shuffle. It does no
    harm. Accuracy .94 against .94."""
    x, y, xt, yt = sources.digits()
    dataset = slices(x, y)
    if training.broken:
        dataset = dataset.shuffle(len(x), seed=0).batch(32).cache()
    else:
        dataset = dataset.cache().shuffle(len(x), seed=0).batch(32)
    model = tools.perceptron(64, [64], 10, "softmax")
    fitted(training, model, dataset, 12)
    return sources.accuracy(model, xt, yt)
