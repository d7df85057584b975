"""What is put together in an odd way: a softmax too many, a broadcast."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.format.schema import Wiring

v1 = tf.compat.v1
random = np.random.default_rng(0)
X = random.normal(size=(8, 12)).astype("float32")
CLASSES = random.integers(0, 3, 8)
NUMBERS = random.normal(size=8).astype("float32")
FUNCTIONS = {
    "function": tf.function,
    "jit": functools.partial(tf.function, jit_compile=True),
}


def network(units, activation=None):
    return keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(4, "relu", name="hidden"),
            keras.layers.Dense(units, activation, name="output"),
        ]
    )


def found(loss, model, y, logdir, wrapper=tf.function):
    """Returns the wiring of one step of a loop."""
    optimizer = keras.optimizers.SGD(0.1)
    gradscope.wrap(optimizer, logdir, every=1, histograms=None)

    @wrapper
    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)

    step(tf.constant(X), tf.constant(y))
    gradscope.unwrap(optimizer)
    return gradscope.read(logdir).schema.wiring


def softmax_loss(y, p):
    crossentropy = tf.nn.sparse_softmax_cross_entropy_with_logits
    return tf.reduce_mean(crossentropy(tf.cast(y, tf.int32), p))


def sigmoid_loss(y, p):
    crossentropy = tf.nn.sigmoid_cross_entropy_with_logits
    return tf.reduce_mean(crossentropy(y[:, None], p))


def squares(y, p):
    return tf.reduce_mean((y - p) ** 2)


@pytest.mark.parametrize("mode", FUNCTIONS)
def test_a_softmax_that_goes_into_another(mode, tmp_path):
    wiring = found(
        softmax_loss,
        network(3, "softmax"),
        CLASSES,
        tmp_path,
        FUNCTIONS[mode],
    )
    kind = "SparseSoftmaxCrossEntropyWithLogits"
    assert wiring == (Wiring("activation_twice", "output/softmax", kind),)


def test_a_sigmoid_that_goes_into_another(tmp_path):
    model = network(1, "sigmoid")
    wiring = found(sigmoid_loss, model, NUMBERS, tmp_path)
    assert wiring == (Wiring("activation_twice", "output/sigmoid", "Log1p"),)


def test_logits_behind_a_relu(tmp_path):
    wiring = found(softmax_loss, network(3, "relu"), CLASSES, tmp_path)
    kind = "SparseSoftmaxCrossEntropyWithLogits"
    assert wiring == (Wiring("relu_logits", "output/relu", kind),)


@pytest.mark.parametrize(
    ("loss", "units"), [(softmax_loss, 3), (sigmoid_loss, 1)]
)
def test_logits_are_no_finding(loss, units, tmp_path):
    y = CLASSES if units == 3 else NUMBERS
    assert found(loss, network(units), y, tmp_path) == ()


def test_keras_looks_through_a_softmax(tmp_path):
    model = network(3, "softmax")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.warns(UserWarning, match="from_logits"):
        assert found(loss, model, CLASSES, tmp_path) == ()


@pytest.mark.parametrize("mode", FUNCTIONS)
def test_targets_that_are_broadcast(mode, tmp_path):
    wiring = found(squares, network(1), NUMBERS, tmp_path, FUNCTIONS[mode])
    (one,) = wiring
    assert (one.kind, one.detail) == ("broadcast", "[8] - [8, 1]")


def test_targets_of_an_unknown_number(tmp_path):
    given = tf.TensorSpec([None, 12]), tf.TensorSpec([None])
    wrapper = functools.partial(tf.function, input_signature=given)
    wiring = found(squares, network(1), NUMBERS, tmp_path, wrapper)
    assert [one.detail for one in wiring] == ["[N] - [N, 1]"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, p: squares(y[:, None], p),
        lambda y, p: squares(y, p[:, 0]),
        lambda y, p: squares(tf.linspace(0.0, 1.0, 51), p),
        lambda y, p: (
            tf.reduce_mean(tf.abs(p - p[:, 0]))
            + 0 * tf.reduce_sum(y[:, None] - y)
        ),
    ],
    ids=["columns", "rows", "bins", "pairs"],
)
def test_tables_that_are_meant(loss, tmp_path):
    assert found(loss, network(1), NUMBERS, tmp_path) == ()


def test_a_session(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x, y = v1.placeholder("float32", [None, 12]), tf.constant(CLASSES)
        kernel = v1.get_variable("kernel", [12, 3])
        loss = softmax_loss(y, tf.nn.softmax(x @ kernel, name="twice"))
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path, every=1)
        train = optimizer.minimize(loss)
        session.run(v1.global_variables_initializer())
        session.run(train, {x: X})
        gradscope.unwrap(optimizer)
    (one,) = gradscope.read(tmp_path).schema.wiring
    assert one.kind == "activation_twice"


def test_a_fit_with_a_loss_of_ones_own(tmp_path):
    model = network(3, "softmax")
    model.compile("sgd", softmax_loss)
    callback = gradscope.Callback(tmp_path, every=1, findings=False)
    model.fit(X, CLASSES, verbose=0, callbacks=[callback])
    (one,) = gradscope.read(tmp_path).schema.wiring
    assert one.name == "output/softmax"


class Gated(keras.layers.Layer):
    """Weighs what comes in with a softmax."""

    def build(self, shape):
        self.weigh = keras.layers.Dense(shape[-1], "softmax", name="weigh")

    def call(self, x):
        return x * self.weigh(x)


@pytest.mark.parametrize("mode", FUNCTIONS)
def test_where_a_softmax_goes(mode, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(4, "softmax", name="hidden"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(12, "relu", name="middle"),
            Gated(name="gated"),
            keras.layers.Dense(1, name="output"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1)
    gradscope.wrap(optimizer, tmp_path, every=1, model=model)

    @FUNCTIONS[mode]
    def step(x, y):
        with tf.GradientTape() as tape:
            value = squares(y[:, None], model(x, training=True))
        weights = model.trainable_variables
        optimizer.apply(tape.gradient(value, weights), weights)

    step(tf.constant(X), tf.constant(NUMBERS))
    gradscope.unwrap(optimizer)
    wiring = gradscope.read(tmp_path).schema.wiring
    into = {w.name: w.detail for w in wiring if w.kind == "softmax_into"}
    assert into == {"hidden/softmax": "kernel", "gated/weigh/softmax": "other"}
