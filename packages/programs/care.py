"""CSBDeep: CARE restores images from noise."""

import keras
import numpy as np
from csbdeep.models import CARE, Config
from data import images

PACKAGE = "csbdeep"


def train(observe):
    keras.utils.set_random_seed(0)
    clean, _ = images(32, 32)
    noisy = clean + np.random.normal(size=clean.shape).astype("float32")
    config = Config(
        "YXC",
        n_channel_in=1,
        n_channel_out=1,
        unet_n_first=4,
        train_epochs=2,
        train_steps_per_epoch=6,
        train_batch_size=8,
        train_tensorboard=False,
    )
    model = CARE(config, "care", basedir="models")
    model.prepare_for_training(observe.optimizer(keras.optimizers.Adam(4e-4)))
    model.callbacks += observe.callbacks
    history = model.train(noisy, clean, validation_data=(noisy, clean))
    return observe.state(model.keras_model, history.history["loss"])
