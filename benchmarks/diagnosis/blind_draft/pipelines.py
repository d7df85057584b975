"""Pipelines of data, and labels that do not belong to them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="Features come from a generator that shuffles, and the labels from "
    "its list of classes, which is not shuffled.",
    source="keras-team/keras #7520",
)
def bottleneck_of_shuffled_images(training):
    """Features of a frozen network are computed once and a small classifier
    is trained on them; it stays at chance on the validation set. Accuracy
    BROKEN against REPAIRED."""
    r = np.random.default_rng(1)
    x, y, xt, yt = sources.by_class()
    frozen = r.normal(0, 0.25, (64, 96)).astype("float32")

    def features(images):
        return np.maximum(images @ frozen, 0)

    order = r.permutation(len(x)) if training.broken else np.arange(len(x))
    model = keras.Sequential(
        [
            keras.Input((96,)),
            layers.Dense(64, activation="relu", name="top"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(0.001), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(
        model,
        features(x[order]),
        y,
        epochs=15,
        batch_size=32,
        validation_data=(features(xt), yt),
    )
    return sources.accuracy(model, features(xt), yt)


@fault(
    cause="The shuffle buffer is far smaller than the data, which come "
    "class after class, so a batch holds one or two classes.",
    source="tensorflow/tensorflow #36626",
)
def buffer_of_one_batch(training):
    """Dataset.shuffle leads to worse training: the network forgets the first
    classes while it sees the last. Accuracy BROKEN against REPAIRED."""
    x, y, xt, yt = sources.by_class()
    size = 32 if training.broken else len(x)
    flow = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(size, seed=1)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        sources.SPARSE,
        metrics=["accuracy"],
    )
    training.fit(model, flow.batch(32), epochs=8)
    return sources.accuracy(model, xt, yt)


@fault(
    cause="The order is shuffled before it is cached, so that all epochs "
    "have the same batches.",
    source="tensorflow/tensorflow #50426",
    harmless=True,
)
def cached_behind_the_shuffle(training):
    """Training with tf.data gives other results than with arrays: `cache`
    comes after `shuffle` and `batch`. It learns as well. Accuracy BROKEN
    against REPAIRED."""
    x, y, xt, yt = sources.digits()
    flow = tf.data.Dataset.from_tensor_slices((x, y))
    if training.broken:
        flow = flow.shuffle(len(x), seed=1).batch(32).cache()
    else:
        flow = flow.cache().shuffle(len(x), seed=1).batch(32)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    training.fit(model, flow, epochs=10)
    return sources.accuracy(model, xt, yt)
