"""Transformers: its TensorFlow BERT, fit with the loss it computes itself."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from transformers import BertConfig, TFBertForSequenceClassification

PACKAGE = "transformers"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    config = BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = TFBertForSequenceClassification(config)
    tokens = np.random.default_rng(0).integers(1, 100, (64, 16))
    y = (tokens[:, 0] > 50).astype("int32")
    data = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
    model.compile(observe.optimizer(tf.keras.optimizers.Adam(1e-3)))
    observe.loss = _loss
    dataset = tf.data.Dataset.from_tensor_slices((data, y)).batch(8)
    history = model.fit(
        dataset, epochs=3, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(model, history.history)


def _loss(model, data):
    x, labels = data
    return tf.reduce_mean(model(x | {"labels": labels}, training=True).loss)
