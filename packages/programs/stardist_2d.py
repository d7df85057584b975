"""StarDist: finds bright discs in images."""

import keras
import numpy as np
from stardist.models import Config2D, StarDist2D

PACKAGE = "stardist"


def train(observe):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    x, y = [], []
    for _ in range(6):
        labels = np.zeros((64, 64), "uint16")
        for index, (row, column) in enumerate(random.integers(8, 56, (4, 2))):
            disc = (rows - row) ** 2 + (columns - column) ** 2 < 36
            labels[disc] = index + 1
        x.append((labels > 0) + random.normal(0, 0.1, (64, 64)))
        y.append(labels)
    config = Config2D(
        n_rays=8,
        grid=(2, 2),
        unet_n_depth=2,
        unet_n_filter_base=4,
        net_conv_after_unet=8,
        train_patch_size=(32, 32),
        train_batch_size=2,
        train_epochs=2,
        train_steps_per_epoch=5,
        train_tensorboard=False,
    )
    model = StarDist2D(config, "stardist", basedir="models")
    model.prepare_for_training(observe.optimizer(keras.optimizers.Adam(3e-4)))
    model.callbacks += observe.callbacks
    history = model.train(x, y, (x[:2], y[:2]), workers=1)
    return observe.state(model.keras_model, history.history["loss"])
