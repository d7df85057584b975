"""What belongs together and in which order it comes."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.blind3 import sources
from benchmarks.diagnosis.case import fault


@fault(
    cause="The data set is cut into batches before it is shuffled, so each "
    "batch of a file sorted by class has one class only.",
    layers=["data"],
    source="https://github.com/HasnainRaz/SemSegPipeline/issues/5",
)
def batches_that_are_shuffled(training):
    """`batch` comes before `shuffle`, and the examples lie in the order of
    their classes. Accuracy .72 against .94."""
    x, y, xt, yt = sources.by_class()
    flow = tf.data.Dataset.from_tensor_slices((x, y))
    if training.broken:
        flow = flow.batch(120).shuffle(100)
    else:
        flow = flow.shuffle(len(x)).batch(120)
    model = sources.perceptron(64, [64], 10, "softmax")
    training.fit(sources.classifier(model, 0.02), flow, epochs=12)
    return sources.accuracy(model, xt, yt)


@fault(
    cause="The features are computed over a generator that shuffles, and the "
    "labels are those of the files in their own order.",
    layers=["data"],
    source="https://github.com/keras-team/keras/pull/7520",
)
def features_of_shuffled_pictures(training):
    """Bottleneck features are predicted from a shuffled generator, and put
    beside `generator.classes`. Accuracy .10 against .92."""
    x, y, xt, yt = sources.by_class()
    base = sources.perceptron(64, [96], 48, "relu", name="base")
    order = np.arange(len(x))
    if training.broken:
        np.random.default_rng(4).shuffle(order)
    features = np.asarray(base(x[order]))
    head = sources.perceptron(48, [48], 10, "softmax", name="head")
    training.fit(
        sources.classifier(head), features, y, epochs=25, batch_size=32
    )
    return sources.accuracy(head, np.asarray(base(xt)), yt)


@fault(
    cause="Labels are given to ranges of rows in the order of the alphabet, "
    "while the folders were read in another order and have other sizes.",
    layers=["data"],
    source="https://github.com/anujshah1003/"
    "own_data_cnn_implementation_keras/issues/4",
)
def ranges_of_another_order(training):
    """The pictures of some folders are joined and labelled by ranges of rows;
    `os.listdir` does not sort. Accuracy .01 against 1.00."""
    x, y, xt, yt = sources.digits()
    keep, test = y < 5, yt < 5
    x, y, xt, yt = x[keep], y[keep], xt[test], yt[test]
    share = [0.3, 1.0, 0.5, 0.9, 0.2]
    read = [3, 0, 4, 1, 2]
    folders = [x[y == k][: int(share[k] * (y == k).sum())] for k in range(5)]
    names = sorted(read) if training.broken else read
    labels = np.repeat(names, [len(folders[k]) for k in names])
    pictures = np.concatenate([folders[k] for k in read])
    model = sources.perceptron(64, [48], 5, "softmax")
    training.fit(
        sources.classifier(model), pictures, labels, epochs=15, batch_size=32
    )
    return sources.accuracy(model, xt, yt)


@fault(
    cause="Train and test are each scaled to their own range, and the test "
    "has values far larger than those trained on.",
    layers=["data"],
    source="https://github.com/NetManAIOps/OmniAnomaly/issues/39",
)
def scaled_each_by_itself(training):
    """The scaler is fitted again on what is validated on, which has some very
    large values. Explained share of the validation -8.44 against .92."""
    x, y, xt, yt = sources.readings()
    low, wide = x.min(0), np.ptp(x, 0)
    xt = np.concatenate([xt, np.full((3, 12), 40, "float32")])
    yt = np.concatenate([yt, np.zeros((3, 1), "float32")])
    if training.broken:
        other = (xt - xt.min(0)) / np.ptp(xt, 0)
    else:
        other = (xt - low) / wide
    other, yt = 8 * other[:-3] - 4, yt[:-3]
    model = sources.perceptron(12, [64, 64], 1)
    model.compile("adam", "mse")
    scaled = 8 * (x - low) / wide - 4
    data = (other, yt)
    training.fit(
        model, scaled, y, epochs=40, batch_size=32, validation_data=data
    )
    return sources.explained(yt, model(other))


@fault(
    cause="The masks are made larger with bilinear interpolation, which makes "
    "of the numbers of two classes that of a third one between them.",
    layers=["data"],
    source="https://github.com/keras-team/keras/issues/20857",
)
def classes_between_classes(training):
    """Masks are resized as images are: between ground, 0, and water, 2, there
    is a seam of wood, 1. Share of the seams called wood .37 against .00."""
    r = np.random.default_rng(21)
    small = np.where(r.random((160, 4, 4, 1)) < 0.5, 0, 2)
    small[r.random(small.shape) < 0.05] = 1
    method = "bilinear" if training.broken else "nearest"
    masks = np.asarray(tf.image.resize(small, (16, 16), method))
    real = np.asarray(tf.image.resize(small, (16, 16), "nearest"))
    colours = np.array([[0.2, 0.9], [0.9, 0.2], [0.1, 0.1]])
    images = colours[real[..., 0].astype(int)]
    images = images + r.normal(0, 0.1, images.shape)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 2)),
            layers.Conv2D(16, 5, padding="same", activation="relu", name="c1"),
            layers.Conv2D(3, 1, activation="softmax", name="classes"),
        ]
    )
    x, y = images.astype("float32"), np.floor(masks + 1e-4).astype("int32")
    training.fit(sources.classifier(model, 0.01), x[:120], y[:120], epochs=15)
    guess = np.asarray(model(x[120:])).argmax(-1)
    return {"wood": float(np.mean(guess[real[120:, ..., 0] != 1] == 1))}
