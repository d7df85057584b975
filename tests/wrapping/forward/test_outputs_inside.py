"""Outputs of a model that TensorFlow merges with the loss's first operation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope

random = np.random.default_rng(0)
X = random.normal(size=(16, 8, 8, 1)).astype("float32")
Y = random.uniform(size=(16, 3)).astype("float32")
layers = keras.layers


def read_in_vain(x):
    tf.reduce_mean(x)  # which TensorFlow takes away before it merges
    return tf.sigmoid(x)


ENDS = {
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "relu": tf.nn.relu,
    "elu": tf.nn.elu,
    "leaky_relu": tf.nn.leaky_relu,
    "sum": lambda x: x + Y,
    "squeezed": lambda x: tf.sigmoid(tf.squeeze(x[:, tf.newaxis], 1)),
    "read_in_vain": read_in_vain,
}


def network(normed):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    head = [layers.Flatten(), layers.Dense(3)]
    if normed:
        head = [layers.Conv2D(3, 6, use_bias=False), layers.Reshape((3,))]
        head.append(layers.BatchNormalization())
    return keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.ReLU(), *head]
    )


def loss(y, predicted, end):
    return tf.reduce_mean((y - ENDS[end](predicted)) ** 2)


def looped(end, normed, logdir, in_branch=False):
    model, optimizer = network(normed), keras.optimizers.Adam(0.01)
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, every=2, model=model)

    @tf.function
    def step(x, due):
        with tf.GradientTape() as tape:
            value = loss(Y, model(x, training=True), end)
        weights = model.trainable_variables
        gradients = tape.gradient(value, weights)
        if due:
            optimizer.apply(gradients, weights)

    for _ in range(4):
        step(tf.constant(X), tf.constant(True) if in_branch else True)
    if logdir is not None:
        gradscope.unwrap(optimizer, model=model)
    return model.get_weights()


def branched(end, normed, logdir):
    return looped(end, normed, logdir, in_branch=True)


def fitted(end, normed, logdir):
    model = network(normed)
    model.compile(
        keras.optimizers.Adam(0.01),
        lambda y, predicted: loss(y, predicted, end),
        jit_compile=False,
    )
    callbacks = []
    if logdir is not None:
        callbacks = [gradscope.Callback(logdir, every=2, findings=False)]
    model.fit(X, Y, 16, 4, verbose=0, shuffle=False, callbacks=callbacks)
    return model.get_weights()


@pytest.mark.parametrize(
    ("train", "end", "normed"),
    [
        *((looped, end, False) for end in ENDS),
        (looped, "relu", True),
        (branched, "sigmoid", False),
        (fitted, "sigmoid", False),
    ],
)
def test_they_are_read_without_a_change_of_bits(train, end, normed, tmp_path):
    plain = train(end, normed, None)
    observed = train(end, normed, tmp_path)
    for expected, weight in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(weight, expected)
    record = gradscope.read(tmp_path)
    outputs = network(normed)(X, training=True).numpy()
    row = list(record.schema.rows("data")).index("output")
    assert record["data_rms"][0, row] == pytest.approx(
        np.sqrt(np.mean(outputs**2)), rel=1e-5
    )
