"""TensorFlow Lattice: a calibrated lattice, monotonic in its inputs."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tensorflow_lattice as tfl
from data import points

PACKAGE = "tensorflow-lattice"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    x, y = points(128, 2)
    calibrators = tfl.layers.ParallelCombination()
    for _ in range(2):
        calibrators.append(
            tfl.layers.PWLCalibration(
                input_keypoints=np.linspace(-3, 3, 5),
                output_min=0.0,
                output_max=1.0,
                monotonicity="increasing",
            )
        )
    lattice = tfl.layers.Lattice(
        [2, 2], monotonicities=2 * ["increasing"], output_min=0, output_max=1
    )
    model = tf.keras.Sequential([calibrators, lattice])
    model.compile(observe.optimizer(tf.keras.optimizers.Adam(0.05)), "mse")
    history = model.fit(x, y, 16, 4, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
