"""Training is the same bit for bit in networks that nobody chose.

XLA and TensorFlow merge operations as they please, and an observer must not be
in their way. Each of these networks, of random layers, once lost a bit: under
XLA by its gradients (a convolution's that is clipped, a GRU's bias), outside
of it by a GELU or a SiLU that was read in front of a dropout.
"""

import random

import keras
import numpy as np
import pytest
from thinning import thinned

import gradscope
from gradscope.schedule import Every

layers = keras.layers
CASES = [
    (3, False),
    (4, False),
    (8, False),
    (8, True),
    (14, True),
]

rng = np.random.default_rng(0)
X = rng.normal(size=(96, 8, 8, 3)).astype("float32")
Y = rng.integers(0, 5, 96)

FUNCTIONS = (
    "relu gelu silu tanh elu selu sigmoid softplus leaky_relu relu6 softsign"
).split()


def network(seed):
    """Returns a model: convolutions, attention or recurrence, then dense."""
    choose = random.Random(seed)

    def function():
        return choose.choice([*FUNCTIONS, None, "softmax"])

    x = inputs = keras.Input((8, 8, 3))
    if choose.random() < 0.5:
        x = convolutions(x, choose, function)
    elif choose.random() < 0.5:
        x = attention(x, choose, function)
    elif choose.random() < 0.5:
        x = layers.Reshape((8, 24))(x)
        kind = choose.choice([layers.LSTM, layers.GRU, layers.SimpleRNN])
        x = kind(8, unroll=choose.random() < 0.5)(x)
    else:
        x = layers.Flatten()(x)
    for _ in range(choose.randint(0, 3)):
        x = dense(x, choose, function)
    return keras.Model(inputs, layers.Dense(5)(x))


def convolutions(x, choose, function):
    for _ in range(choose.randint(1, 3)):
        hidden = layers.Conv2D(
            choose.choice([4, 8]),
            3,
            padding="same",
            strides=choose.choice([1, 1, 2]),
        )(x)
        if choose.random() < 0.6:
            hidden = layers.BatchNormalization()(hidden)
        chosen = function()
        if chosen and chosen != "softmax":
            hidden = layers.Activation(chosen)(hidden)
        if choose.random() < 0.3:
            hidden = layers.Dropout(0.3)(hidden)
        if choose.random() < 0.3:
            hidden = layers.SpatialDropout2D(0.2)(hidden)
        if hidden.shape == x.shape:
            hidden = layers.Add()([hidden, x])
        if choose.random() < 0.3:
            hidden = layers.MaxPooling2D(padding="same")(hidden)
        x = hidden
    if choose.random() < 0.5:
        return layers.GlobalAveragePooling2D()(x)
    return layers.Flatten()(x)


def attention(x, choose, function):
    x = layers.Dense(16)(layers.Reshape((8, 24))(x))
    for _ in range(choose.randint(1, 2)):
        normed = layers.LayerNormalization()(x)
        attended = layers.MultiHeadAttention(
            2, 8, dropout=choose.choice([0, 0.1])
        )(normed, normed, use_causal_mask=choose.random() < 0.5)
        x = layers.Add()([x, attended])
        hidden = layers.Dense(32, function())(layers.LayerNormalization()(x))
        if choose.random() < 0.5:
            hidden = layers.Dropout(0.1)(hidden)
        x = layers.Add()([x, layers.Dense(16)(hidden)])
    return layers.GlobalAveragePooling1D()(x)


def dense(x, choose, function):
    hidden = layers.Dense(
        choose.choice([8, 16]),
        function(),
        kernel_regularizer=choose.choice([None, "l2"]),
    )(x)
    if choose.random() < 0.4:
        hidden = layers.BatchNormalization()(hidden)
    if choose.random() < 0.4:
        hidden = choose.choice(
            [
                layers.Dropout(0.4),
                layers.GaussianDropout(0.2),
                layers.AlphaDropout(0.2),
            ]
        )(hidden)
    return hidden


def train(seed, jit, logdir=None):
    keras.utils.set_random_seed(seed)
    model = network(seed)
    optimizer = [
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.optimizers.Adam(0.01),
        keras.optimizers.AdamW(0.01, clipnorm=0.1),
    ][seed % 3]
    callbacks = []
    options = {"every": Every(2, dense=0), "histograms": 4}
    if logdir and seed % 2:
        gradscope.wrap(optimizer, logdir, model=model, **options)
    elif logdir:
        callbacks = [gradscope.Callback(logdir, **options)]
    model.compile(
        optimizer,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    model.fit(X, Y, batch_size=32, epochs=6, verbose=0, callbacks=callbacks)
    return [v.numpy() for v in [*model.variables, *optimizer.variables]]


@pytest.mark.parametrize("seed, jit", thinned(CASES, fast=CASES[:1]))
def test_observing_changes_no_bit_of_random_networks(seed, jit, tmp_path):
    plain = train(seed, jit)
    observed = train(seed, jit, tmp_path)
    for expected, actual in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(actual, expected)
    gradscope.flush()
    assert len(gradscope.read(tmp_path).steps) == 9
