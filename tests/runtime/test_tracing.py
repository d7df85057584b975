"""What a traced graph says about its step."""

import pytest
import tensorflow as tf

from gradscope.runtime import tracing


def traced(function, *, jit_compile=False, arguments=()):
    """Returns what a function returned to Python while it was traced."""
    found = []

    @tf.function(jit_compile=jit_compile)
    def outer():
        found.append(function(*arguments))

    outer.get_concrete_function()
    return found[0]


def test_eagerly_there_is_no_graph():
    assert tracing.current_graph() is None
    assert tracing.outermost_first(None) == []
    assert not tracing.in_xla(None)
    assert not tracing.has_program_state(tf.Graph())


def test_graphs_are_listed_from_the_outermost():
    def nested():
        outer = tracing.current_graph()
        inner = []
        tf.cond(
            tf.random.stateless_uniform([], [0, 0]) > 0.5,
            lambda: inner.append(tracing.current_graph()) or tf.zeros([]),
            lambda: tf.ones([]),
        )
        return outer, tracing.outermost_first(inner[0])

    outer, graphs = traced(nested)
    assert outer in graphs[:-1]
    assert [g.outer_graph for g in graphs[1:]] == graphs[:-1]


def test_a_function_inside_a_compiled_one_is_in_xla():
    def asked():
        return tracing.in_xla(tracing.current_graph())

    assert traced(asked, jit_compile=True)
    assert not traced(asked)
    assert traced(lambda: traced(asked), jit_compile=True)


RANDOM = {
    "normal": lambda: tf.random.normal([2]),
    "uniform": lambda: tf.random.uniform([2]),
    "integers": lambda: tf.random.uniform([2], maxval=9, dtype=tf.int32),
    "truncated": lambda: tf.random.truncated_normal([2]),
    "gamma": lambda: tf.random.gamma([2], 1.0),
    "poisson": lambda: tf.random.poisson([2], 1.0),
    "shuffle": lambda: tf.random.shuffle(tf.range(3)),
    "categorical": lambda: tf.random.categorical(tf.zeros([1, 3]), 2),
    "dropout": lambda: tf.nn.dropout(tf.ones([2]), 0.5),
}


def has_state(function):
    return traced(
        lambda: (function(), tracing.has_program_state(tracing.current_graph()))
    )[1]


@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_of_the_kernel_are_state_of_the_program(name):
    assert has_state(RANDOM[name])


def test_random_numbers_inside_of_a_function_or_a_branch_are_found():
    assert has_state(tf.function(RANDOM["normal"]))
    assert has_state(
        lambda: tf.cond(
            tf.random.stateless_uniform([], [0, 0]) > 0.5,
            RANDOM["normal"],
            lambda: tf.zeros([2]),
        )
    )


def test_random_numbers_of_the_graph_around_are_found():
    def outer():
        RANDOM["normal"]()
        return traced(
            lambda: tracing.has_program_state(tracing.current_graph())
        )

    assert traced(outer)


def test_random_numbers_whose_state_is_a_variable_are_no_such_state():
    import keras

    generator = tf.random.Generator.from_seed(1)
    assert not has_state(lambda: generator.normal([2]))
    assert not has_state(lambda: tf.random.stateless_normal([2], [0, 1]))
    dropout = keras.layers.Dropout(0.5)
    dropout.build([2])
    assert not has_state(lambda: dropout(tf.ones([2]), training=True))
