"""Splits, validation and measures."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis import data
from benchmarks.diagnosis.blind import sources
from benchmarks.diagnosis.case import fault


def _perceptron(features=64, classes=10, before=()):
    model = keras.Sequential(
        [
            keras.Input((features,)),
            *before,
            layers.Dense(48, activation="relu", name="hidden"),
            layers.Dense(classes, activation="softmax", name="out"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.003), sources.SPARSE, metrics=["accuracy"]
    )
    return model


@fault(
    "validation-differs",
    cause="Folders are numbered in alphabetical order for training, '10' "
    "before '2', and in numerical order for validation.",
    source="keras-team/keras #7543",
)
def folders_in_alphabetical_order(training):
    """Training accuracy is fine and nearly all predictions on other images
    are wrong: class 1 is folder '10'. Accuracy .11 against .95."""
    x, y, xt, yt = sources.digits()
    names = [str(k + 1) for k in range(10)]
    order = sorted(names) if training.broken else names
    number = np.array([order.index(n) for n in names])
    model = _perceptron()
    training.fit(
        model,
        x,
        number[y],
        epochs=10,
        batch_size=32,
        validation_data=(xt, yt),
    )
    return sources.accuracy(model, xt, yt)


@fault(
    "validation-differs",
    cause="Only the training images are standardised by the generator; the "
    "validation data go in as they are.",
    source="keras-team/keras #2622",
)
def standardised_for_training_only(training):
    """With featurewise normalisation training goes fine and validation does
    not improve: fit leaves validation_data alone. Accuracy .22 against
    1.00."""
    x, y = sources.wine()
    x, y, xt, yt = sources.split(x, y)
    mean, spread = x.mean(0), x.std(0)
    x = (x - mean) / spread
    if not training.broken:
        xt = (xt - mean) / spread
    model = _perceptron(13, 3)
    training.fit(
        model, x, y, epochs=40, batch_size=16, validation_data=(xt, yt)
    )
    return sources.accuracy(model, xt, yt)


@fault(
    "validation-differs",
    cause="The validation split is the end of data sorted by class, so the "
    "last classes are never trained on.",
    layers=["out"],
    source="tensorflow/tensorflow #38430",
)
def split_before_the_shuffle(training):
    """Training and validation data have different distributions: the split
    is made before the shuffle. Accuracy on all classes .66 against
    .93."""
    x, y, xt, yt = sources.by_class()
    if not training.broken:
        order = np.random.default_rng(1).permutation(len(x))
        x, y = x[order], y[order]
    model = _perceptron()
    training.fit(model, x, y, epochs=12, batch_size=32, validation_split=0.3)
    return sources.accuracy(model, xt, yt)


@fault(
    "validation-differs",
    cause="A feature that is constant in the training data is divided by "
    "epsilon, so any other value of it is huge afterwards.",
    layers=["standardise"],
    source="keras-team/keras #20011",
)
def constant_in_training(training):
    """Normalization blows the test set up to a variance of 1e10: pixels that
    are always 0 in training are not in the test. Accuracy .10 against
    .92."""
    images, labels = data.digits()
    images = images.copy()
    r = np.random.default_rng(7)
    test = np.arange(len(images)) >= 1200
    border = np.isin(np.arange(64) % 8, [0, 7])
    noise = r.random((len(images), 64)) * border
    images += np.where(test[:, None], 0.2 * noise, 0).astype("float32")
    images[~test] *= ~border
    x, y, xt, yt = images[~test], labels[~test], images[test], labels[test]
    mean, variance = x.mean(0), x.var(0)
    if not training.broken:
        variance = np.where(variance == 0, 1, variance)
    norm = layers.Normalization(
        mean=mean, variance=variance, name="standardise"
    )
    model = _perceptron(before=[norm])
    training.fit(
        model, x, y, epochs=12, batch_size=32, validation_data=(xt, yt)
    )
    return sources.accuracy(model, xt, yt)
