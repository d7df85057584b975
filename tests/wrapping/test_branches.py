"""An optimizer that is called in a branch of a conditional of the user's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradscope


def trained(logdir, *, inside=False, outside=False, branch=True):
    """Makes three steps in a branch, in a function inside or outside of it.

    Args:
        logdir: None for no observing.
        inside: Whether XLA compiles what is inside of the branch.
        outside: Whether it compiles what is around.
        branch: Whether there is a branch.

    Returns:
        The weight and the optimizer's variables.
    """
    start = np.linspace(-1, 1, 15, dtype="float32").reshape(3, 5)
    weight, optimizer = keras.Variable(start), keras.optimizers.Lion(0.01)
    if logdir is not None:
        gradscope.wrap(optimizer, logdir, every=1)
    optimizer.build([weight])

    @tf.function(jit_compile=inside or None)
    def apply(gradient):
        optimizer.apply([gradient / 1024.0], [weight])

    @tf.function(jit_compile=outside or None)
    def step(x):
        with tf.GradientTape() as tape:
            value = 1024.0 * tf.reduce_sum(tf.tanh(x * weight))
        gradient = tape.gradient(value, weight.value)
        if not branch or tf.reduce_all(tf.math.is_finite(gradient)):
            apply(gradient)

    for number in (1.0, 2.0, 3.0):
        step(tf.constant(number))
    gradscope.flush()
    return [weight.numpy(), *(v.numpy() for v in optimizer.variables)]


def assert_same_bits(plain, observed):
    for expected, actual in zip(plain, observed, strict=True):
        assert expected.tobytes() == actual.tobytes()


@pytest.mark.xla
def test_in_a_branch_that_xla_compiles_nothing_is_recorded(tmp_path):
    plain = trained(None, outside=True)
    with pytest.warns(
        gradscope.GradscopeWarning,
        match=r"cannot observe Lion: it steps in a branch of a conditional "
        r"\(`if`, `tf\.cond`\) that XLA compiles, where measurements may "
        r"change the last bits of weights\. Call the optimizer outside of the "
        r"conditional, or train without `jit_compile=True`, to look at it\. "
        r"Training goes on without gradscope\.$",
    ) as warned:
        assert_same_bits(plain, trained(tmp_path, outside=True))
    assert len(warned) == 1
    with pytest.raises(FileNotFoundError):
        gradscope.read(tmp_path)


@pytest.mark.parametrize(
    "where",
    [
        {},
        pytest.param({"inside": True}, marks=pytest.mark.xla),
        pytest.param({"outside": True, "branch": False}, marks=pytest.mark.xla),
    ],
    ids=["graph", "inside", "no_branch"],
)
def test_in_other_branches_steps_are_recorded(where, tmp_path):
    assert_same_bits(trained(None, **where), trained(tmp_path, **where))
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 2]
