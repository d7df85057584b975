"""Names, layers and the order of the forward pass."""

import types

import keras
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gradscope.runtime import tf_variables, tracing


def variable(path, shape=(2,)):
    """Returns what `describe` sees of a Keras variable."""
    return types.SimpleNamespace(path=path, shape=shape, dtype="float32")


def names(*paths):
    return [v.name for v in tf_variables.describe([variable(p) for p in paths])]


def test_the_common_start_is_left_out():
    assert names("model/a/kernel", "model/a/bias", "model/b/c/kernel") == [
        "a/kernel",
        "a/bias",
        "b/c/kernel",
    ]


def test_a_layer_keeps_its_name_when_it_is_all_there_is():
    assert names("model/dense/kernel", "model/dense/bias") == [
        "dense/kernel",
        "dense/bias",
    ]


def test_without_a_common_start_names_are_paths():
    assert names("a/x/kernel", "b/x/kernel") == ["a/x/kernel", "b/x/kernel"]


def test_the_second_layer_of_a_name_gets_a_number():
    paths = ["dense/kernel", "dense/bias"] * 3
    assert names(*paths) == [
        "dense/kernel",
        "dense/bias",
        "dense_1/kernel",
        "dense_1/bias",
        "dense_2/kernel",
        "dense_2/bias",
    ]


def test_a_number_that_is_taken_is_passed_over():
    assert names("dense/kernel", "dense/kernel", "dense_1/kernel") == [
        "dense/kernel",
        "dense_2/kernel",
        "dense_1/kernel",
    ]


def test_a_variable_outside_of_any_layer_is_its_own():
    (described,) = tf_variables.describe([tf.Variable(1.0, name="scale")])
    assert (described.name, described.layer) == ("scale/scale", "scale")


def test_no_variables_have_no_names():
    assert tf_variables.describe([]) == ()


parts = st.sampled_from(["a", "b", "a_1", "a_2", "kernel"])
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(st.lists(paths, max_size=8))
def test_names_are_unique_and_begin_with_the_layer(chosen):
    described = tf_variables.describe([variable(path) for path in chosen])
    assert len({v.name for v in described}) == len(chosen)
    for one, path in zip(described, chosen, strict=True):
        last = path.split("/")[-1]
        assert one.name == f"{one.layer}/{last}"


def test_a_keras_model_has_the_names_of_its_layers():
    model = keras.Sequential(
        [
            keras.Input([3]),
            keras.layers.Dense(4, name="first", dtype="bfloat16"),
            keras.layers.BatchNormalization(name="norm"),
        ]
    )
    described = tf_variables.describe(model.trainable_variables)
    assert [(v.name, v.layer, v.shape, v.dtype) for v in described] == [
        ("first/kernel", "first", (3, 4), "bfloat16"),
        ("first/bias", "first", (4,), "bfloat16"),
        ("norm/gamma", "norm", (4,), "float32"),
        ("norm/beta", "norm", (4,), "float32"),
    ]


def test_shape_and_dtype_of_a_tensorflow_variable_are_plain():
    module = tf.Variable(tf.zeros([2, 3], tf.float64), name="block/w")
    (described,) = tf_variables.describe([module])
    assert described.name == "block/w"
    assert described.shape == (2, 3) and type(described.shape[0]) is int
    assert described.dtype == "float64"


def test_behind_a_keras_variable_is_one_of_tensorflow():
    plain = tf.Variable(1.0)
    assert tf_variables.tf_variable(plain) is plain
    own = keras.Variable([1.0])
    assert isinstance(tf_variables.tf_variable(own), tf.Variable)


class Backwards(keras.Model):
    """Creates its layers last to first."""

    def __init__(self):
        super().__init__()
        self.third = keras.layers.Dense(2, name="third")
        self.second = keras.layers.Dense(2, name="second")
        self.first = keras.layers.Dense(2, name="first")

    def build(self, input_shape):
        for layer in (self.third, self.second, self.first):
            layer.build([None, 2])

    def call(self, x):
        return self.third(self.second(self.first(x)))


def ordered(variables, step, **options):
    """Returns the order of variables in the graph of a traced step."""
    orders = []

    @tf.function(**options)
    def traced():
        graph = step()
        graph = tracing.current_graph() if graph is None else graph
        orders.append(tf_variables.forward_order(variables, graph))

    traced.get_concrete_function()
    return orders[0]


FORWARD = [4, 5, 2, 3, 0, 1]


def test_eagerly_the_given_order_stays():
    model = Backwards()
    model.build([None, 2])
    variables = model.trainable_variables
    assert tf_variables.forward_order(variables, None) == list(range(6))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_traced_variables_are_in_the_order_of_the_forward_pass(jit_compile):
    model = Backwards()
    model.build([None, 2])
    variables = model.trainable_variables
    assert "third" in variables[0].path

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(tf.ones([1, 2])))
        tape.gradient(loss, [v.value for v in variables])

    assert ordered(variables, step, jit_compile=jit_compile) == FORWARD


def test_in_a_branch_of_the_step_the_order_is_that_of_the_step():
    model = Backwards()
    model.build([None, 2])
    inner = []

    def step():
        loss = tf.reduce_sum(model(tf.ones([1, 2])))

        def branch():
            model.third.kernel.value.read_value()
            inner.append(tracing.current_graph())
            return loss

        tf.cond(loss > 0, branch, lambda: loss)
        return inner[0]

    assert ordered(model.trainable_variables, step) == FORWARD


def test_what_the_step_does_not_read_comes_last():
    unused, used = tf.Variable(1.0), tf.Variable(2.0)
    also_unused = tf.Variable(3.0)
    variables = [unused, used, also_unused]
    assert ordered(
        variables, lambda: tf.no_op() if used.read_value() is None else None
    ) == [1, 0, 2]
