"""What tells two traces of a function apart, and two sets of variables."""

import tensorflow as tf
from recompiled import network, turn

from gradscope.runtime import trainable_flags
from gradscope.runtime.program_fingerprint import ProgramFingerprint, handle_id


def fingerprint(function, *arguments):
    traced = tf.function(function).get_concrete_function(*arguments)
    return ProgramFingerprint.of(traced, model=None)


def test_two_traces_of_one_function_have_one_fingerprint():
    variable = tf.Variable([1.0, 2.0])

    def step(x):
        inner = tf.function(lambda y: variable.assign_add(y * 2.0))
        return tf.while_loop(
            lambda i: i < 3, lambda i: (inner(x), i + 1)[1:], [0]
        )

    x = tf.constant([1.0, 1.0])
    assert fingerprint(step, x) == fingerprint(step, x)


def test_a_constant_a_variable_and_what_is_written_tell_programs_apart():
    one, other = tf.Variable(1.0), tf.Variable(1.0)
    prints = [
        fingerprint(lambda: one * 2.0),
        fingerprint(lambda: one * 3.0),
        fingerprint(lambda: other * 2.0),
        fingerprint(lambda: one.assign(one * 2.0)),
    ]
    for index, print_ in enumerate(prints):
        assert print_ not in prints[:index]
    assert prints[0].written == frozenset()
    assert prints[3].written == {handle_id(one)}


def test_what_was_trainable_is_inferred_from_what_is_written_and_put_back():
    model = network()
    before = trainable_flags.flags(model)
    dense = model.get_layer("base").layers[0]
    with trainable_flags.as_traced(model, frozenset([handle_id(dense.kernel)])):
        assert [v.path for v in model.trainable_variables] == [
            dense.kernel.path
        ]
        names = dict(trainable_flags.changed_layers(model, before))
        assert "sequential" not in names
    assert trainable_flags.flags(model) == before
    assert trainable_flags.changed_layers(model, before) == ()


def test_a_difference_names_the_outermost_layers():
    model = network()
    before = trainable_flags.flags(model)
    turn(model)
    layers = trainable_flags.changed_layers(model, before)
    assert layers == (("base", True),)
    text = trainable_flags.describe_change(layers)
    assert "compile`: 'base' is still trained. Keras" in text
