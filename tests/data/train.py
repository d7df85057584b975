"""Trains a small network, and leaves its record among those of this directory.

    python tests/data/train.py NAME

`written_by/NAME` is then what this version of gradscope writes with the
libraries of the environment in which it runs. The network and its data are so
simple that the numbers are the same with each of them, and known:
`tests/reading/test_written_elsewhere.py` reads all of these records with each
set of libraries of `versions/`.
"""

from __future__ import annotations

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent / "written_by"
BATCH = 8
STEPS = 4


def train(directory: pathlib.Path) -> None:
    """Trains a network by hand-made steps, of which the last meets a NaN.

    Its first layer begins with zeros, and its ReLUs pass no gradient back.
    """
    import keras
    import numpy as np

    import gradscope

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2, "relu", kernel_initializer="zeros", name="first"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(1, kernel_initializer="ones", name="last"),
        ],
        name="network",
    )
    model.compile(keras.optimizers.SGD(0.5), "mse")
    x = np.ones([BATCH * STEPS, 3], np.float32)
    x[-1, -1] = np.nan
    y = np.ones([len(x), 1], np.float32)
    callback = gradscope.Callback(
        directory, every=1, histograms=2, findings=False
    )
    model.fit(
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[2]))
    train(HERE / sys.argv[1])
    # The clock and the host are in the names of the files.
    for path in HERE.rglob("*tfevents*"):
        if path.name != "events.out.tfevents.0":
            os.rename(path, path.with_name("events.out.tfevents.0"))
