"""Samples that lost their labels on the way.

Sources, one for each case:
tensorflow/tensorflow #37581 (a data set zipped with itself);
tensorflow/tensorflow #40343 (targets at the start of the window);
wassname/pipe-segmentation #1 (augmentation of pictures and masks apart);
tensorflow/tensorflow #21033 (two queues).
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources
from benchmarks.diagnosis.wild import pipelines, tools


@fault(
    "nothing-learned",
    "loss-metric-disagree",
    cause="a shuffled data set is zipped with itself and the two copies are "
    "shuffled apart, so the target is another picture",
    source="tensorflow/tensorflow #37581",
)
def zipped_with_itself(training):
    """As posted: "fit() training fails, custom training loop succeeds": an
    autoencoder gets `zip((train, train))`, and "the two copies were getting
    independent shuffles", so it learns the mean picture. R2 .49 against
    .92."""
    x, _, xt, _ = sources.digits()
    pictures = tf.data.Dataset.from_tensor_slices(x).shuffle(len(x)).batch(32)
    dataset = tf.data.Dataset.zip((pictures, pictures))
    if not training.broken:
        dataset = pictures.map(lambda a: (a, a))
    model = tools.perceptron(64, [64, 16, 64], 64, "sigmoid")
    model.compile(keras.optimizers.Adam(0.003), "binary_crossentropy")
    training.fit(model, dataset, epochs=20)
    return sources.r2(model, xt, xt)


@fault(
    cause="the targets are the series itself, so the target of a window is "
    "its first value and not the one that follows",
    source="tensorflow/tensorflow #40343",
)
def targets_of_the_start(training):
    """As posted: "timeseries_dataset_from_array wrong target": with the series
    as the targets a window's target is its own first value, so the loss falls
    to nothing and nothing is forecast. R2 -2.22 against .97."""
    r = np.random.default_rng(0)
    t = np.arange(1200)
    series = np.sin(t / 9) + 0.6 * np.sin(t / 23) + r.normal(0, 0.1, 1200)
    series = series.astype("float32")
    targets = series if training.broken else series[24:]
    dataset = keras.utils.timeseries_dataset_from_array(
        series[:1000], targets[: 1000 - 24], 24, batch_size=32, shuffle=True
    )
    model = keras.Sequential(
        [
            keras.Input((24,)),
            layers.Reshape((24, 1)),
            layers.GRU(16, name="gru"),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    training.fit(model, dataset, epochs=15)
    windows = np.stack([series[i : i + 24] for i in range(1000, 1176)])
    return sources.r2(model, windows, series[1024:])


@fault(
    "nothing-learned",
    "loss-metric-disagree",
    cause="pictures and masks pass generators with seeds of their own, so a "
    "mask is mostly moved to another place than its picture",
    source="wassname/pipe-segmentation #1",
)
def masks_moved_apart(training):
    """As posted: "I don't think the code guarantees that datagen1 and datagen2
    are the same transformations": pictures and masks are shifted apart. IoU
    .00 against .99."""
    x, _, xt, _ = sources.digit_images()
    r = np.random.default_rng(0)

    def noisy(masks):
        return masks * 0.8 + r.normal(0, 0.15, masks.shape)

    mask, mask_t = x > 0.5, xt > 0.5
    image, image_t = noisy(mask), noisy(mask_t)
    seeds = (3, 4) if training.broken else (3, 3)
    images, masks = (
        tools.shifted(v[:, :, ::-1], np.random.default_rng(seed), 2)
        for v, seed in zip((image, mask), seeds, strict=True)
    )
    images, masks = images.astype("float32"), masks.astype("float32")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="c1"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="c2"),
            layers.Conv2D(1, 1, activation="sigmoid", name="mask"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "binary_crossentropy")
    dataset = pipelines.slices(images, masks).shuffle(len(x), seed=0).batch(32)
    training.fit(model, dataset, epochs=10)
    p = np.asarray(model(image_t.astype("float32"))) > 0.5
    both, either = (p & mask_t).sum(), (p | mask_t).sum()
    return {"iou": float(both / either)}


@fault(
    "nothing-learned",
    cause="pictures and labels are read from two shuffled queues, so a "
    "picture gets the label of another",
    source="tensorflow/tensorflow #21033",
)
def two_queues(training):
    """As posted: "Some non-face pictures' label is 1, and some face pictures'
    label is 0": pictures and labels are shuffled in two buffers. Accuracy .48
    against .95."""
    x, y, xt, yt = sources.digits()
    if training.broken:
        order = np.argsort(y, kind="stable")
        a, b = x[order], y[order]
        parts = [
            tf.data.Dataset.from_tensor_slices(v).shuffle(400, seed=s)
            for v, s in ((a, 1), (b, 2))
        ]
        dataset = tf.data.Dataset.zip(tuple(parts)).shuffle(len(x), seed=3)
    else:
        dataset = pipelines.slices(x, y).shuffle(len(x), seed=3)
    model = tools.perceptron(64, [64, 64], 10, "softmax")
    pipelines.fitted(training, model, dataset.batch(32), 12)
    return sources.accuracy(model, xt, yt)
