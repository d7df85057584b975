"""Reading a loop's loss from its graph changes no bit of the training."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from thinning import thinned

import gradscope

random = np.random.default_rng(0)
X = random.normal(size=(16, 8, 8, 1)).astype("float32")
Y = random.integers(0, 3, 16)
layers = keras.layers


def network(hidden):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Activation(hidden),
            layers.Flatten(),
            layers.Dense(8, hidden),
            layers.Dense(3),
        ]
    )


def crossentropy(logits):
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(Y, logits)
    return tf.reduce_mean(loss)


def squared(logits):
    return tf.reduce_mean((tf.one_hot(Y, 3) - logits) ** 2)


def two_terms(logits):
    """The gradient needs the logits' sigmoid, and not the logits."""
    share = tf.sigmoid(logits)
    return tf.reduce_mean(share**2) - 0.1 * tf.reduce_mean(logits)


def cross_entropy_of_bits(logits):
    bits = tf.one_hot(Y, 3)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(bits, logits)
    return tf.reduce_mean(loss)


LOSSES = [
    ("relu", crossentropy),
    ("tanh", squared),
    ("relu", two_terms),
    ("relu", cross_entropy_of_bits),
]


def weights_after(hidden, loss, logdir, **options):
    """Weights after steps that do not return their loss."""
    model = network(hidden)
    optimizer = keras.optimizers.Adam(0.01)
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, every=2, model=model)

    @functools.partial(tf.function, **options)
    def step(x):
        with tf.GradientTape() as tape:
            value = loss(model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)

    for _ in range(6):
        step(tf.constant(X))
    if logdir is not None:
        gradscope.unwrap(optimizer)
        assert np.isfinite(gradscope.read(logdir)["loss"]).all()
    return [np.array(w) for w in model.weights]


CASES = [(*case, jit) for case in LOSSES for jit in (False, True)]


@pytest.mark.parametrize(
    "hidden, loss, jit_compile",
    # XLA takes six seconds for each.
    thinned(
        CASES,
        fast=[case for case in CASES if case[:2] == LOSSES[0] or not case[2]],
    ),
)
def test_a_loss_that_nobody_returns_is_read(
    hidden, loss, jit_compile, tmp_path
):
    options = {"jit_compile": jit_compile}
    plain = weights_after(hidden, loss, None, **options)
    observed = weights_after(hidden, loss, tmp_path, **options)
    for before, after in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(before, after)
    value = loss(network(hidden)(X, training=True)).numpy()
    recorded = gradscope.read(tmp_path)["loss"]
    assert recorded[0] == pytest.approx(value, rel=1e-5)
