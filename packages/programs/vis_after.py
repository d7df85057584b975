"""tf-keras-vis: saliency of a network after its training, which goes on
then."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
from data import images
from tf_keras_vis.saliency import Saliency

PACKAGE = "tf-keras-vis"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    x, y = images()
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((16, 16, 1)),
            tf.keras.layers.Conv2D(4, 3, activation="relu"),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(2, "softmax"),
        ]
    )
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-2))
    model.compile(optimizer, "sparse_categorical_crossentropy")
    maps = []
    for _ in range(2):
        model.fit(x, y, epochs=3, verbose=0, callbacks=observe.callbacks)
        saliency = Saliency(model, clone=True)
        maps.append(saliency(lambda output: output[:, 0], x[:2]))
    return observe.state(model, maps)
