"""keras-cv-attention-models: a small network with squeeze and excitation."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
from data import images
from keras_cv_attention_models import aotnet

PACKAGE = "kecam"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    model = aotnet.AotNet(
        [1, 1],
        strides=[1, 2],
        se_ratio=0.25,
        out_channels=[8, 16],
        stem_width=8,
        input_shape=(32, 32, 3),
        num_classes=2,
        pretrained=None,
    )
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-3))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    history = model.fit(
        *images(32, 32, 3), 8, 3, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(model, history.history)
