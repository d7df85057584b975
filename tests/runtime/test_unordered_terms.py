"""Sums whose first term depends on who else needs the terms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope
from gradscope.runtime.unordered_terms import unordered_terms

#: Numbers of which sums in different orders differ in the last bit.
TERMS = np.random.default_rng(0).normal(size=(3, 1000)).astype("float32")


def add_up(a, b, c, readers, first=False):
    """A sum of three terms, of which some have another reader before or after
    the sum."""
    terms = [tf.sin(a), tf.sin(b), tf.sin(c)]
    if first:
        read = [tf.exp(term) for term in terms[:readers]]
        with tf.control_dependencies(read):
            return tf.add_n(terms), read
    total = tf.add_n(terms)
    with tf.control_dependencies([total]):
        return total, [tf.exp(term) for term in terms[:readers]]


@pytest.mark.parametrize(("readers", "differs"), [(0, 0), (1, 0), (2, 1)])
def test_it_finds_those_that_tensorflow_adds_up_in_two_orders(readers, differs):
    function = tf.function(add_up, autograph=False)
    sums = [function(*TERMS, readers, first)[0] for first in (True, False)]
    assert np.any(sums[0].numpy() != sums[1].numpy()) == differs
    graph = function.get_concrete_function(*TERMS, readers).graph
    assert unordered_terms(graph) == ["AddN"] * differs


def test_a_constant_is_a_term_that_has_to_stay():
    @tf.function(autograph=False)
    def add(a, b):
        a, b = tf.sin(a), tf.sin(b)
        constant = tf.tile(tf.constant([[0.1]]), [1, tf.shape(a)[0]])
        total = tf.add_n([constant[0], tf.reshape(a, [-1]), b])
        return total, tf.exp(a), tf.sin(b)

    graph = add.get_concrete_function(*TERMS[:2]).graph
    assert unordered_terms(graph) == ["AddN"]


def test_no_graph_has_none():
    assert unordered_terms(None) == []


@pytest.mark.parametrize("compiled", [False, True])
def test_the_record_names_them(tmp_path, compiled):
    weight = tf.Variable(TERMS[0])
    optimizer = gradscope.wrap(keras.optimizers.SGD(0.1), tmp_path)
    optimizer.build([weight])

    @tf.function(jit_compile=compiled, autograph=False)
    def step():
        total, read = add_up(weight, weight, weight, 2)
        optimizer.apply([total], [weight])
        return read

    step()
    gradscope.unwrap(optimizer)
    record = gradscope.read(tmp_path)
    assert record.schema.unordered_sums == (() if compiled else ("AddN",))
    kinds = [finding.kind for finding in gradscope.diagnose(record)]
    assert ("unordered-sums" in kinds) != compiled
