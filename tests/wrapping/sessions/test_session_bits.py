"""What a session's step does not store is read without a change of bits."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import gradscope

v1 = tf.compat.v1
STEPS = 4
random = np.random.default_rng(0)
X = random.normal(size=(16, 8, 8, 1)).astype("float32")
Y = random.uniform(size=(16, 3)).astype("float32")


class Product:
    """A model of TensorFlow 1's variables, without Keras."""

    def __init__(self, resource):
        self.variables = [
            v1.get_variable(name, shape, use_resource=resource)
            for name, shape in (("kernel", [64, 3]), ("bias", [3]))
        ]

    def __call__(self, images):
        kernel, bias = self.variables
        pixels = tf.reshape(images, [16, 64])
        return tf.nn.bias_add(pixels @ kernel, bias)


def keras_model():
    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            tf_keras.Input((8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def squared(ends):
    return lambda logits: tf.reduce_mean((Y - ends(logits)) ** 2)


def two_terms(logits):
    """The gradient needs the logits' sigmoid, and not the logits."""
    return tf.reduce_mean(tf.sigmoid(logits) ** 2 - 0.1 * logits)


MODELS = {
    "keras": keras_model,
    "resource": lambda: Product(True),
    "reference": lambda: Product(False),
}


def trained(model, loss_of, logdir=None):
    """The loss before the first step, and weights after the last."""
    with tf.Graph().as_default():
        model = MODELS[model]()
        images = v1.placeholder(tf.float32, [16, 8, 8, 1])
        optimizer = v1.train.AdamOptimizer(0.01)
        if logdir:
            known = model if isinstance(model, tf_keras.Model) else None
            gradscope.wrap(optimizer, logdir, every=2, model=known)
        loss = loss_of(model(images))
        train_op = optimizer.minimize(loss)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            values = np.random.default_rng(3)
            for variable in model.variables:
                start = values.normal(size=variable.shape) * 0.2
                variable.load(start.astype("float32"), session)
            first = session.run(loss, {images: X})
            for _ in range(STEPS):
                session.run(train_op, {images: X})
            weights = session.run(list(model.variables))
    gradscope.flush()
    return first, weights


@pytest.mark.parametrize(
    "model, loss",
    [
        ("keras", squared(tf.sigmoid)),
        ("keras", squared(tf.tanh)),
        ("keras", two_terms),
        ("resource", two_terms),
        ("reference", two_terms),
    ],
)
def test_outputs_and_losses_that_are_not_stored_are_read(model, loss, tmp_path):
    """Read where they are, the squares would change bits. The two terms would
    change none here: these cases hold the values, of each kind of variable."""
    first, plain = trained(model, loss)
    _, observed = trained(model, loss, tmp_path)
    for before, after in zip(plain, observed, strict=True):
        np.testing.assert_array_equal(before, after)
    record = gradscope.read(tmp_path)
    assert record["loss"][0] == pytest.approx(first, rel=1e-5)
