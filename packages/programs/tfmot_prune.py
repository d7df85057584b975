"""TensorFlow model optimization: prunes a network while it trains."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
import tensorflow_model_optimization as tfmot
from data import points
from nets import compiled, dense

PACKAGE = "tensorflow-model-optimization"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    x, y = points()
    sparsity = tfmot.sparsity.keras
    schedule = sparsity.PolynomialDecay(0.2, 0.6, 0, 16, frequency=4)
    model = sparsity.prune_low_magnitude(dense(), pruning_schedule=schedule)
    compiled(observe, model)
    history = model.fit(
        x,
        y,
        batch_size=16,
        epochs=5,
        verbose=0,
        callbacks=[sparsity.UpdatePruningStep(), *observe.callbacks],
    )
    return observe.state(model, history.history)
