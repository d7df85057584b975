"""Do outputs change when one looks at gradients? On the very network of which
it was asked: virtual batch norm in one pass and in two."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import virtual_batch_norm as vbn

import gradscope

STEPS = 20
X, Y = tf.constant(vbn.X), tf.constant(vbn.Y)

WAYS = {
    "eager": lambda step: step,
    "graph": tf.function,
    "jit": functools.partial(tf.function, jit_compile=True),
}


def train(program, way, logdir=None):
    """Trains for some steps; returns the outputs of each and the weights."""
    w = vbn.weights()
    weights = list(w.values())
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(weights)
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, every=1, histograms=5)

    def step():
        with tf.GradientTape() as tape:
            logits = program(w, X)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(Y, logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, weights)
        optimizer.apply(gradients, weights)
        return logits, gradients

    step = WAYS[way](step)
    seen = [tf.nest.flatten(step()) for _ in range(STEPS)]
    outputs = [one.numpy() for step in seen for one in step]
    if logdir is not None:
        gradscope.unwrap(optimizer)
    return outputs, [v.numpy() for v in weights + optimizer.variables]


@pytest.mark.parametrize(
    "program, way",
    [
        (vbn.one_pass, "eager"),
        (vbn.two_passes, "eager"),
        (vbn.one_pass, "graph"),
        (vbn.two_passes, "graph"),
        (vbn.one_pass, "jit"),
        pytest.param(vbn.two_passes, "jit", marks=pytest.mark.slow),
    ],
)
def test_looking_at_gradients_changes_no_output_and_no_weight(
    program, way, tmp_path
):
    plain = train(program, way)
    observed = train(program, way, tmp_path)
    for expected, actual in zip(plain, observed, strict=True):
        for one, other in zip(expected, actual, strict=True):
            np.testing.assert_array_equal(other, one)
    assert len(gradscope.read(tmp_path).steps) == STEPS


@pytest.mark.slow
def test_the_two_programs_part_by_the_noise_that_adam_makes_steps_of(tmp_path):
    for name, program in (("a", vbn.one_pass), ("b", vbn.two_passes)):
        train(program, "graph", tmp_path / name)
    found = gradscope.compare(tmp_path / "a", tmp_path / "b")
    # Rounding in the first step, and noise in the biases before a norm.
    assert found.differs_from == 0 and not found.same_bits
    noisy = {
        v for v, n in zip(found.variables, found.noise[0], strict=True) if n
    }
    assert noisy == {f"Layer{n}/bias" for n in range(3)}
    first = found["gradient_norm"][0][~found.noise[0]]
    assert first.max() < 1e-4
    fault = functools.partial(vbn.two_passes, wrong_half=1)
    train(fault, "graph", tmp_path / "c")
    found = gradscope.compare(tmp_path / "a", tmp_path / "c")
    assert found.parting.step == 0
    assert found.parting.statistic == "gradient_norm"
    assert not found["weight_norm"][0].any()
