"""Networks of a size that people train, with small data that they can learn."""

from __future__ import annotations

import functools

import keras
import numpy as np

#: Rows of the large table, words of the texts, and their length.
ROWS, WORDS, LENGTH = 1_000_000, 10_000, 128
CLASSES = 10


def embedding() -> keras.Model:
    """One table of a million rows: 256 MB of few that are used."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input([20], dtype="int32"),
            layers.Embedding(ROWS, 64),
            layers.GlobalAveragePooling1D(),
            layers.Dense(CLASSES, "softmax"),
        ]
    )


def transformer() -> keras.Model:
    """Twelve blocks of width 256."""
    layers = keras.layers
    inputs = keras.Input([LENGTH], dtype="int32")
    h = layers.Embedding(WORDS, 256)(inputs)
    for _ in range(12):
        normed = layers.LayerNormalization()(h)
        h += layers.MultiHeadAttention(4, 64)(normed, normed)
        normed = layers.LayerNormalization()(h)
        h += layers.Dense(256)(layers.Dense(1024, "gelu")(normed))
    pooled = layers.GlobalAveragePooling1D()(h)
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(pooled))


def vgg() -> keras.Model:
    """Thirteen convolutions with batch norm, as of VGG-16."""
    layers = keras.layers
    stack = [keras.Input([32, 32, 3])]
    for width, count in (64, 2), (128, 2), (256, 3), (512, 3), (512, 3):
        for _ in range(count):
            stack += [
                layers.Conv2D(width, 3, padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
            ]
        stack.append(layers.MaxPooling2D())
    stack += [layers.Flatten(), layers.Dense(CLASSES, "softmax")]
    return keras.Sequential(stack)


def thousand_variables() -> keras.Model:
    """500 dense layers in residual pairs: 1,000 variables."""
    layers = keras.layers
    inputs = keras.Input([32, 32, 3])
    h = layers.Dense(32)(layers.Flatten()(inputs))
    for _ in range(249):
        h += layers.Dense(32)(layers.Dense(32, "relu")(h)) / 16
    return keras.Model(inputs, layers.Dense(CLASSES, "softmax")(h))


def _application(name: str) -> keras.Model:
    network = getattr(keras.applications, name)
    return network(weights=None, input_shape=(32, 32, 3), classes=CLASSES)


#: What makes each network, by its name.
NETWORKS = {
    "embedding": embedding,
    "transformer": transformer,
    "vgg": vgg,
    "thousand_variables": thousand_variables,
    **{
        name: functools.partial(_application, name)
        for name in (
            "ResNet50V2",
            "ResNet50",
            "ResNet101",
            "DenseNet121",
            "MobileNetV2",
            "EfficientNetB0",
            "ConvNeXtTiny",
        )
    },
}


def data(network: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs, of which each class has a pattern, and their labels."""
    random = np.random.default_rng(0)
    labels = random.integers(CLASSES, size=count)
    if network == "embedding":
        return _tokens(random, labels, ROWS, 20), labels
    if network == "transformer":
        return _tokens(random, labels, WORDS, LENGTH), labels
    patterns = random.random([CLASSES, 32, 32, 3], dtype="float32")
    noise = random.random([count, 32, 32, 3], dtype="float32")
    return (patterns[labels] + noise) / 2, labels


def _tokens(random, labels: np.ndarray, words: int, length: int):
    """Return texts with half of the words from the twenty of their class."""
    size = len(labels), length
    of_class = labels[:, np.newaxis] * 20 + random.integers(20, size=size)
    anything = random.integers(words, size=size)
    return np.where(random.random(size) < 0.5, of_class, anything)
