"""Handwritten digits, 1797 that come with the examples or all of MNIST, and
measurements of 569 tumours."""

from __future__ import annotations

import pathlib

import numpy as np

NAMES = ("digits", "mnist")


def images(name: str = "digits", size: int = 28):
    """Load train images, train labels, test images and test labels.

    Images are float32 `[N, size, size]` from 0 to 1, labels int64 `[N]`.

    Args:
        name: `"digits"` (by E. Alpaydin and C. Kaynak, UCI, 1998, 8 by 8
            pixels, as in scikit-learn), or `"mnist"`, which Keras downloads.
        size: Size of an image's edge; the pixels of smaller images are
            repeated in blocks.

    Raises:
        ConnectionError: If MNIST could not be downloaded.
    """
    if name == "mnist":
        train, test, highest = *_mnist(), 255
    else:
        train, test, highest = *_digits(), 16
    return (
        *(_resized(train[0], size, highest), train[1].astype("int64")),
        *(_resized(test[0], size, highest), test[1].astype("int64")),
    )


def tumours():
    """Returns train rows, train labels, test rows and test labels.

    Rows are float32 `[N, 30]`: radius, texture and so on of the nuclei in one
    tumour, as they were measured (of W. Wolberg, N. Street and O. Mangasarian,
    UCI, 1995, as scikit-learn has them). Labels are int64 `[N]`: 1 is benign,
    as 63 % are.
    """
    with np.load(pathlib.Path(__file__).with_name("tumours.npz")) as file:
        rows, labels = file["measurements"], file["is_benign"].astype("int64")
    order = np.random.default_rng(0).permutation(len(rows))
    test, train = order[:114], order[114:]
    return rows[train], labels[train], rows[test], labels[test]


def flat(pixels):
    """Flatten images to rows, `[N, size * size]`."""
    return pixels.reshape(len(pixels), -1)


def batches(x, y, size: int, steps: int, seed: int):
    """Yield batches drawn at random, as TensorFlow 1's `next_batch` did."""
    random = np.random.default_rng(seed)
    for _ in range(steps):
        rows = random.integers(0, len(x), size)
        yield x[rows], y[rows]


def _digits():
    with np.load(pathlib.Path(__file__).with_name("digits.npz")) as kept:
        pixels, labels = kept["images"], kept["labels"]
    order = np.random.default_rng(0).permutation(len(pixels))
    test, train = order[:360], order[360:]
    return (pixels[train], labels[train]), (pixels[test], labels[test])


def _mnist():
    import keras

    try:
        return keras.datasets.mnist.load_data()
    except Exception as error:  # whatever the network is the matter with
        raise ConnectionError(
            "MNIST could not be fetched: it needs a network connection. "
            "Leave `--data mnist` out for the digits that come with the "
            f"examples. ({error})"
        ) from error


def _resized(pixels, size: int, highest: int):
    rows = np.arange(size) * pixels.shape[1] // size
    pixels = pixels[:, rows][:, :, rows]
    return (pixels / highest).astype("float32")
