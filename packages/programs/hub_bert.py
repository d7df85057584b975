"""KerasHub: fits a small BERT classifier as KerasHub compiles it."""

import keras
import keras_hub
import numpy as np

PACKAGE = "keras-hub"


def train(observe):
    keras.utils.set_random_seed(0)
    tokens = np.random.default_rng(0).integers(1, 100, (64, 16))
    x = {
        "token_ids": tokens,
        "segment_ids": np.zeros_like(tokens),
        "padding_mask": np.ones_like(tokens),
    }
    y = (tokens[:, 0] > 50).astype("int32")
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=100,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=16,
    )
    model = keras_hub.models.BertTextClassifier(
        backbone=backbone, num_classes=2, preprocessor=None
    )
    observe.optimizer(model.optimizer, model)
    history = model.fit(
        x,
        y,
        batch_size=8,
        epochs=4,
        verbose=0,
        callbacks=observe.callbacks,
    )
    return observe.state(model, history.history)
