"""Writes runs of Keras and of gradscope.

python readers/write_logs.py LOGDIR
"""

from __future__ import annotations

import os
import sys

import keras
import numpy as np

import gradscope


def main(logdir: str) -> None:
    """Train two small networks, one beside Keras's own callback."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(320, 8)).astype("float32")
    for name, layer in (("good", "he_normal"), ("zero", "zeros")):
        model = keras.Sequential(
            [
                keras.layers.Dense(
                    8, "relu", kernel_initializer=layer, name="dense_10"
                ),
                keras.layers.Dense(1, name="dense_11"),
            ]
        )
        model.compile("adam", "mse")
        callbacks = [gradscope.Callback(os.path.join(logdir, name))]
        if name == "good":
            keras_logs = os.path.join(logdir, "keras")
            callbacks.append(
                keras.callbacks.TensorBoard(keras_logs, histogram_freq=1)
            )
        model.fit(x, x[:, :1], 4, epochs=3, verbose=0, callbacks=callbacks)
    gradscope.flush()


if __name__ == "__main__":
    main(sys.argv[1])
