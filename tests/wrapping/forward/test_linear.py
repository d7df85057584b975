"""Kernels with nothing between them that is not linear."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from observed import train

import gradscope

v1 = tf.compat.v1
layers = keras.layers
random = np.random.default_rng(0)
IMAGES = random.normal(size=(8, 8, 8, 2)).astype("float32")


def dense(*between, library=keras):
    """Returns a model of 12 inputs with layers between `a` and `b`."""
    return library.Sequential(
        [
            library.Input((12,)),
            library.layers.Dense(8, name="a"),
            *between,
            library.layers.Dense(3, name="b"),
        ],
        name="network",
    )


def fit(model, logdir, x, library=keras, **options):
    """Returns the pairs of a model that was trained for one step."""
    optimizer = library.optimizers.SGD(0.0)
    gradscope.wrap(optimizer, logdir, every=1, histograms=None, model=model)
    model.compile(optimizer, "mse", **options)
    y = np.zeros([len(x), *model.output_shape[1:]], "float32")
    model.fit(x, y, batch_size=len(x), verbose=0)
    gradscope.unwrap(optimizer)
    return gradscope.read(logdir).schema.linear


PAIR = (("a/kernel", "b/kernel"),)
ROWS = random.normal(size=(8, 12)).astype("float32")


@pytest.mark.parametrize("mode", ["fit_graph", "fit_eager", "loop_jit"])
def test_two_layers_without_an_activation_are_a_pair(mode, tmp_path):
    model = dense(layers.Dropout(0.3), layers.Dense(7, "relu", name="c"))
    record = train(mode, model, tmp_path)
    assert record.schema.linear == (("a/kernel", "c/kernel"),)


@pytest.mark.parametrize(
    "between",
    [
        lambda: [],
        lambda: [layers.Activation("linear")],
        lambda: [layers.Dropout(0.5)],
        lambda: [layers.AlphaDropout(0.0), layers.Reshape((8,))],
        lambda: [
            layers.Reshape((2, 4)),
            layers.Permute((2, 1)),
            layers.Flatten(),
        ],
        lambda: [layers.Lambda(lambda x: tf.nn.dropout(x, 0.3))],
        lambda: [layers.Rescaling(0.5, 1.0)],
        lambda: [
            layers.Lambda(
                lambda x: tf.concat([x[:, :3], tf.pad(x, [[0, 0], [1, 1]])], 1)
            )
        ],
        lambda: [layers.Lambda(lambda x: tf.cast(x, tf.float16))],
    ],
)
def test_what_is_linear_does_not_part_them(between, tmp_path):
    assert fit(dense(*between()), tmp_path, ROWS) == PAIR


class Residual(keras.layers.Layer):
    def __init__(self, how):
        super().__init__()
        self.inner = layers.Dense(8, name="inner", use_bias=False)
        self.how = how

    def call(self, x):
        return self.how(x, tf.nn.tanh(self.inner(tf.nn.relu(x))))


@pytest.mark.parametrize(
    "between",
    [
        lambda: layers.ReLU(),
        lambda: layers.Activation("tanh"),
        lambda: layers.LeakyReLU(),
        lambda: layers.BatchNormalization(),
        lambda: layers.BatchNormalization(trainable=False),
        lambda: layers.LayerNormalization(),
        lambda: layers.Softmax(),
        lambda: layers.Lambda(tf.abs),
        lambda: layers.Lambda(lambda x: x * x),
        lambda: layers.Lambda(lambda x: tf.maximum(x, 0.0)),
        lambda: layers.Lambda(lambda x: x / tf.reduce_mean(x)),
        lambda: Residual(lambda x, y: x + y),
        lambda: Residual(lambda x, y: x * y),
        lambda: Residual(lambda x, y: tf.where(x > 0, x, y)),
    ],
)
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_what_is_not_linear_parts_them(between, tmp_path):
    assert fit(dense(between()), tmp_path, ROWS) == ()


def images(*between):
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, name="a"),
            *between,
            layers.Conv2D(4, 3, name="b", padding="same"),
        ],
        name="network",
    )


@pytest.mark.parametrize(
    "between, is_pair",
    [
        (lambda: layers.AveragePooling2D(2), True),
        (lambda: layers.ZeroPadding2D(), True),
        (lambda: layers.SpatialDropout2D(0.2), True),
        (lambda: layers.Cropping2D(1), True),
        (lambda: layers.MaxPooling2D(2), False),
        (lambda: layers.DepthwiseConv2D(3), False),
        (lambda: layers.Activation("relu"), False),
        (lambda: layers.BatchNormalization(), False),
    ],
)
def test_convolutions_are_kernels_too(between, is_pair, tmp_path):
    pairs = fit(images(between()), tmp_path, IMAGES, jit_compile=False)
    assert pairs == (PAIR if is_pair else ())


def einsum(library):
    if library is keras:
        return layers.EinsumDense
    return tf_keras.layers.experimental.EinsumDense


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_all_kinds_of_layers_with_a_kernel(library, tmp_path):
    own = library.layers
    model = library.Sequential(
        [
            library.Input((8, 8, 2)),
            own.Conv2DTranspose(4, 3, name="up"),
            own.GlobalAveragePooling2D(),
            own.Dense(12, name="flat"),
            own.Reshape((6, 2)),
            own.Conv1D(3, 2, name="one"),
            einsum(library)("abc,cd->abd", (5, 4), name="einsum"),
            own.Dense(5, "relu", name="rows"),
            own.Dense(2, name="last"),
        ]
    )
    options = {"jit_compile": False, "library": library}
    assert fit(model, tmp_path, IMAGES, **options) == (
        ("up/kernel", "flat/kernel"),
        ("flat/kernel", "one/kernel"),
        ("one/kernel", "einsum/kernel"),
        ("einsum/kernel", "rows/kernel"),
    )


def test_attention_is_a_product_of_data(tmp_path):
    inputs = keras.Input((5, 6))
    hidden = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(1, name="last")(hidden))
    x = random.normal(size=(4, 5, 6)).astype("float32")
    output = "attention/attention_output/kernel"
    assert fit(model, tmp_path, x) == ((output, "last/kernel"),)


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}])
def test_tf_keras_tells_the_same(options, tmp_path):
    model = dense(tf_keras.layers.Dropout(0.5), library=tf_keras)
    pairs = fit(model, tmp_path, ROWS, library=tf_keras, **options)
    assert pairs == PAIR


@pytest.mark.parametrize("resource", [True, False])
@pytest.mark.parametrize("is_linear", [True, False])
def test_a_graph_of_tensorflow_1(resource, is_linear, tmp_path):
    graph = tf.Graph()
    with graph.as_default():
        variable = functools.partial(v1.get_variable, use_resource=resource)
        keep = v1.placeholder(tf.float32)
        hidden = tf.constant(ROWS) @ variable("a/kernel", [12, 4])
        hidden = hidden + variable("a/bias", [4])
        hidden = hidden if is_linear else tf.nn.relu(hidden)
        hidden = v1.nn.dropout(hidden, keep)
        outputs = tf.matmul(hidden, variable("b/kernel", [4, 2]))
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path, every=1)
        train_op = optimizer.minimize(tf.reduce_mean(outputs))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(train_op, {keep: 0.5})
    gradscope.flush()
    pairs = gradscope.read(tmp_path).schema.linear
    assert pairs == (PAIR if is_linear else ())


def test_without_a_model_the_graph_is_enough(tmp_path):
    one, two = (tf.Variable(tf.ones([4, 4]), name=n) for n in ("a/w", "b/w"))
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path, every=1)
    optimizer.build([one, two])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.ones([2, 4]) @ one @ two)
        optimizer.apply(tape.gradient(value, [one, two]), [one, two])

    step()
    record = gradscope.read(tmp_path)
    assert record.schema.linear == (("a/w", "b/w"),)
    assert record.schema.model == {}
