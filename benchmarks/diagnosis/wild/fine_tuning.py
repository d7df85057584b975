"""Fine-tuning, and what is trainable.

Sources, one for each case:
GantMan/nsfw_model #33 (all is frozen);
keras-team/keras #9683 (weights by name, and no name fits);
keras-team/keras #9940 (unfrozen and not compiled again);
fchollet/deep-learning-models #96 (another preprocessing than in training).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from benchmarks.diagnosis.case import fault
from benchmarks.diagnosis.report import sources


def base_of(prefix="block", norm=False, trainable=True):
    """Returns a small convolutional network without a head."""
    base = keras.Sequential([keras.Input((8, 8, 1))], name=f"{prefix}_base")
    for i in range(1, 4):
        base.add(layers.Conv2D(32, 3, padding="same", name=f"{prefix}_{i}"))
        if norm:
            base.add(layers.BatchNormalization(name=f"{prefix}_norm_{i}"))
        base.add(layers.ReLU())
    base.add(layers.Flatten())
    base.trainable = trainable
    return base


def digits_of(classes):
    """Returns images of some classes and their ranks, split."""
    x, y, xt, yt = sources.digit_images()
    few = np.isin(y, classes), np.isin(yt, classes)
    rank = np.searchsorted(classes, np.arange(10))
    return x[few[0]], rank[y[few[0]]], xt[few[1]], rank[yt[few[1]]]


def pretrained(base, scale=1.0, shift=0.0, epochs=12):
    """Trains a base to tell the digits 0 to 5."""
    x, y, *_ = digits_of([0, 1, 2, 3, 4, 5])
    head = layers.Dense(6, activation="softmax", name="old_head")
    model = keras.Sequential([base, head])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x * scale + shift, y, epochs=epochs, batch_size=32, verbose=0)
    return base


def headed(base, classes=4):
    """Returns the base with a new head."""
    inputs = keras.Input((8, 8, 1))
    h = layers.Dense(32, activation="relu", name="new_hidden")(base(inputs))
    out = layers.Dense(classes, activation="softmax", name="new_head")(h)
    return keras.Model(inputs, out)


def compiled(model, optimizer):
    """Returns the model, compiled for integer labels."""
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@fault(
    "no-steps",
    cause="the layer from which all is to be trainable has another name in "
    "this network, so every layer, with the head, stays frozen",
    layers=["new_hidden", "new_head"],
    source="GantMan/nsfw_model #33",
)
def nothing_left_to_train(training):
    """As posted: "The new model behaves exactly same as the pre-trained one":
    all after the layer conv2d_56 is to be trained, and no layer has that name,
    so all is frozen. Accuracy .03 against .97."""
    x, y, xt, yt = digits_of([6, 7, 8, 9])
    model = headed(pretrained(base_of()))
    first = "conv2d_56" if training.broken else "new_hidden"
    trainable = False
    for layer in model.layers:
        trainable = trainable or layer.name == first
        layer.trainable = trainable
    compiled(model, keras.optimizers.Adam(0.002))
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "random-frozen-layer",
    "nothing-learned",
    cause="no layer has the name of one in the file, so loading by name "
    "loads nothing, and the frozen base is a random one",
    layers=["block_1", "block_2", "block_3"],
    source="keras-team/keras #9683",
)
def no_name_fits(training):
    """As posted: "There is no error or any warning, however, the loss is much
    worse (just like random initial)": weights are loaded by name, and in the
    file the names are others. The base is frozen. Accuracy .50 against .93."""
    x, y, xt, yt = digits_of([6, 7, 8, 9])
    x, y = x[:60], y[:60]
    saved = pretrained(base_of("convolution" if training.broken else "block"))
    known = {layer.name: layer.get_weights() for layer in saved.layers}
    base = base_of("block", trainable=False)
    for layer in base.layers:
        if layer.name in known:
            layer.set_weights(known[layer.name])
    model = compiled(headed(base), keras.optimizers.SGD(0.05))
    training.fit(model, x, y, epochs=30, batch_size=16)
    return sources.accuracy(model, xt, yt)


@fault(
    "stale-trainable",
    cause="the base is made trainable after the first fit and the model is "
    "not compiled again, so the traced step goes on to train the head alone",
    layers=["block_1", "block_2", "block_3"],
    source="keras-team/keras #9940",
)
def unfrozen_and_not_compiled(training):
    """As posted: "I don't know if the training is done correctly afterward":
    "after changing trainable you need to compile again, otherwise the weights
    are left untrained". Accuracy .88 against .96."""
    x, y, xt, yt = digits_of([6, 7, 8, 9])
    base = base_of(trainable=False)
    model = keras.Sequential(
        [base, layers.Dense(4, activation="softmax", name="new_head")]
    )
    compiled(model, keras.optimizers.SGD(0.02))
    model.fit(x, y, epochs=3, batch_size=32, verbose=0)
    base.trainable = True
    if not training.broken:
        compiled(model, keras.optimizers.SGD(0.02))
    training.fit(model, x, y, epochs=15, batch_size=32)
    return sources.accuracy(model, xt, yt)


@fault(
    "unscaled-input",
    "nothing-learned",
    "batchnorm-statistics",
    cause="the base was trained on pictures from -128 to 127 and gets those "
    "from 0 to 1, and its frozen batch normalisation keeps the old scale",
    layers=["block_norm_1", "block_1"],
    source="fchollet/deep-learning-models #96",
)
def another_preprocessing(training):
    """As posted: "Validation accuracy stays 0.5 when retraining ResNet50":
    `rescale=1/255` where the frozen base, with its batch normalisation, wants
    its own `preprocess_input`. Accuracy .21 against .97."""
    x, y, xt, yt = digits_of([6, 7, 8, 9])
    base = pretrained(base_of(norm=True), 255.0, -128.0)
    base.trainable = False
    if not training.broken:
        x, xt = x * 255 - 128, xt * 255 - 128
    model = compiled(headed(base), keras.optimizers.Adam(0.001))
    training.fit(model, x, y, epochs=10, batch_size=32)
    return sources.accuracy(model, xt, yt)
