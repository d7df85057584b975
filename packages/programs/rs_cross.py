"""KerasRS: a deep and cross network ranks by categories."""

import keras
import keras_rs
import numpy as np

PACKAGE = "keras-rs"


def train(observe):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = random.integers(0, 20, (256, 3))
    y = (x.sum(axis=1) > 28).astype("float32")
    ids = keras.Input((3,), dtype="int32")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(20, 8)(ids))
    crossed = keras_rs.layers.FeatureCross()(embedded, embedded)
    crossed = keras_rs.layers.FeatureCross()(embedded, crossed)
    hidden = keras.layers.Dense(16, "relu")(crossed)
    model = keras.Model(ids, keras.layers.Dense(1)(hidden))
    optimizer = observe.optimizer(keras.optimizers.Adam(1e-2))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    history = model.fit(x, y, 32, 5, verbose=0, callbacks=observe.callbacks)
    return observe.state(model, history.history)
