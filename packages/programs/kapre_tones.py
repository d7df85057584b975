"""Kapre: a network tells tones by their spectrogram, computed in the network
(beside TensorFlow 2.18)."""

import keras
import numpy as np
from kapre.composed import get_stft_magnitude_layer

PACKAGE = "kapre"


def train(observe):
    keras.utils.set_random_seed(0)
    y = np.arange(32) % 2
    time = np.linspace(0, 1, 1024)
    x = np.sin(200 * (1 + y)[:, None] * time)
    x = (x + np.random.normal(0, 0.5, x.shape)).astype("float32")
    model = keras.Sequential(
        [
            get_stft_magnitude_layer(
                input_shape=(1024, 1), n_fft=128, hop_length=64
            ),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    model.compile(
        observe.optimizer(keras.optimizers.Adam(1e-2)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    history = model.fit(
        x[..., None], y, 8, 4, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(model, history.history)
