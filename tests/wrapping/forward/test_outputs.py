"""What is known of an activation besides its numbers: rank, axis, output."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from observed import train
from training import X

import gradscope
from gradscope.format.schema import Activation

v1 = tf.compat.v1
layers = keras.layers


def facts(record):
    return {
        a.name: (a.units, a.rank, a.axis, a.is_output)
        for a in record.schema.activations
    }


def classifier(activation="softmax"):
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(6, "relu", name="hidden"),
            layers.Dense(3, activation, name="out"),
        ],
        name="network",
    )


@pytest.mark.parametrize("mode", ["fit_graph", "fit_eager", "loop_jit"])
def test_the_model_s_output_is_known_as_such(mode, tmp_path):
    record = train(mode, classifier("sigmoid"), tmp_path)
    assert facts(record) == {
        "hidden/relu": (6, 2, -1, False),
        "out/sigmoid": (3, 2, -1, True),
    }


def fit(model, logdir, y, library=keras, **options):
    optimizer = library.optimizers.SGD(0.01)
    gradscope.wrap(optimizer, logdir, every=1, model=model)
    model.compile(optimizer, "mse", **options)
    model.fit(X[:16], y, batch_size=16, verbose=0)
    gradscope.unwrap(optimizer)
    return gradscope.read(logdir)


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}])
def test_each_of_several_outputs_is_one(library, options, tmp_path):
    own = library.layers
    inputs = library.Input((12,))
    hidden = own.Dense(4, "tanh", name="hidden")(inputs)
    one = own.Dense(2, "gelu", name="one")(hidden)
    two = own.Dense(4, "softmax", name="two")(hidden)
    two = own.Reshape((2, 2))(two)
    model = library.Model(inputs, {"one": one, "two": two})
    y = {"one": np.ones([16, 2], "f"), "two": np.ones([16, 2, 2], "f")}
    record = fit(model, tmp_path, y, library, **options)
    assert facts(record) == {
        "hidden/tanh": (4, 2, -1, False),
        "one/gelu": (2, 2, -1, True),
        "two/softmax": (4, 2, -1, True),
    }


@pytest.mark.parametrize(
    "options", [{"jit_compile": False}, {"jit_compile": True}]
)
def test_an_output_of_another_dtype_is_one(options, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(3, "silu", dtype="mixed_float16", name="out"),
            layers.Activation("linear", dtype="float32"),
        ]
    )
    record = fit(model, tmp_path, np.ones([16, 3], "f"), **options)
    assert facts(record) == {"out/silu": (3, 2, -1, True)}


WAYS = [
    (keras, {"jit_compile": False}),
    (keras, {"jit_compile": True}),
    (keras, {"run_eagerly": True}),
    (tf_keras, {}),
    (tf_keras, {"run_eagerly": True}),
]
AXES = [
    (-1, (12,), (12, 2, -1, True)),
    (0, (12,), (12, 2, 0, True)),
    (1, (12,), (12, 2, -1, True)),
    (0, (4, 3), (3, 3, 0, True)),
    (1, (4, 3), (3, 3, 1, True)),
    (-2, (4, 3), (3, 3, 1, True)),
    (2, (4, 3), (3, 3, -1, True)),
]


@pytest.mark.parametrize(
    "axis, shape, expected, library, options",
    [(*axis, *WAYS[0]) for axis in AXES]
    + [(*axis, *way) for axis in (AXES[1], AXES[5]) for way in WAYS[1:]],
)
def test_the_axis_of_a_softmax_is_known(
    axis, shape, expected, library, options, tmp_path
):
    own = library.layers
    model = library.Sequential(
        [
            library.Input((12,)),
            own.Dense(12, name="dense"),
            own.Reshape(shape),
            own.Softmax(axis=axis, name="soft"),
        ]
    )
    y = np.zeros([16, *shape], "float32")
    record = fit(model, tmp_path, y, library, **options)
    assert facts(record) == {"soft/softmax": expected}
    # Along its axis all adds up to 1.
    size = [16, *shape][axis]
    np.testing.assert_allclose(
        record["activation_mean"][:, 0], 1 / size, rtol=1e-5
    )


@pytest.mark.parametrize("options", WAYS[0][1:] + WAYS[2][1:])
def test_instances_of_a_bag_are_no_examples(options, tmp_path):
    """Attention over them is a softmax along the first axis of their stack."""

    def call(x):
        bag = keras.ops.stack([x[:, 0], x[:, 1], x[:, 2]])
        scores = keras.ops.softmax(bag, axis=0)
        return keras.ops.sum(scores, axis=0)

    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(12, name="dense"),
            layers.Reshape((3, 4)),
            layers.Lambda(call, name="bag"),
        ]
    )
    record = fit(model, tmp_path, np.zeros([16, 4], "f"), **options)
    assert facts(record)["bag/softmax"] == (4, 3, -1, False)
    assert "softmax-axis" not in [f.kind for f in gradscope.diagnose(record)]


def test_transposed_attention_is_no_other_axis(tmp_path):
    def call(x):
        weights = tf.nn.softmax(tf.transpose(x, [0, 2, 1]))
        return tf.matmul(weights, x)

    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Reshape((3, 4)),
            layers.Dense(4),
            layers.Lambda(call, name="own"),
        ]
    )
    record = fit(model, tmp_path, np.zeros([16, 4, 4], "f"), jit_compile=False)
    assert facts(record) == {"own/softmax": (3, 3, -1, False)}


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_softmax_of_a_session(axis, tmp_path):
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 12])
        hidden = x @ v1.get_variable("dense/kernel", [12, 5])
        y = tf.nn.softmax(hidden, axis=axis)
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        gradscope.wrap(optimizer, tmp_path, every=1)
        train_op = optimizer.minimize(tf.reduce_mean(y**2))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(train_op, {x: X[:16]})
    gradscope.flush()
    record = gradscope.read(tmp_path)
    (found,) = facts(record).values()
    assert found == (5, 2, axis if axis == 0 else -1, False)


def test_what_one_trace_knows_makes_no_second_row(tmp_path):
    """A step by hand, without the model, and then one with it."""
    told = Activation("out/relu", "relu", 3, "float32", 2, is_output=True)
    untold = Activation("out/relu", "relu", 3)
    assert told == untold and len({told, untold}) == 1
    for joined in (told.join(untold), untold.join(told)):
        assert (joined.rank, joined.is_output) == (2, True)
    model, other = classifier(), keras.Sequential([keras.Input((12,))])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    gradscope.wrap(optimizer, tmp_path, every=1, model=other)
    step = functools.partial(by_hand, model, optimizer)
    tf.function(step)()
    seam = gradscope.wrapping.seam_of(optimizer)
    seam.watch(model)
    tf.function(step)()
    gradscope.unwrap(optimizer)
    record = gradscope.read(tmp_path)
    assert record.activations == ("hidden/relu", "out/softmax")
    assert len(record.steps) == 2


def by_hand(model, optimizer):
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(model(X[:4], training=True) ** 2)
    variables = model.trainable_variables
    optimizer.apply(tape.gradient(value, variables), variables)
