"""Every way of training: the same bits, the right values, whole histograms.

The reference of values: the same network is trained without gradscope, all its
variables are noted before each step, and for each note the gradients are
computed again on the same batch and with the same random stream. (XLA draws
other random numbers than TensorFlow from the same seed, so for it that is
compiled too.)
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from expected import expected_statistics, tensorboard_histograms
from thinning import thinned
from training import (
    OBSERVED,
    OPTIMIZERS,
    STEPS,
    batches,
    loop,
    loss,
    state,
    train,
)

import gradscope
from gradscope.schedule import Every

TOLERANCE = 1e-5

# Small differences between modes (XLA adds in another order) grow from step
# to step, and the reference follows one mode only.
COMPARED = 6

EVERY = Every(3, dense=2)
DUE = [step for step in range(STEPS) if step < 2 or step % 3 == 0]
HISTOGRAMS = 6
# XLA takes long to compile them, and `loop_jit` has the same.
WITH_HISTOGRAMS = {mode for mode, _ in OBSERVED} - {
    "fit_jit",
    "fit_7_steps_jit",
}


def network():
    """A layer less than most have: each variable is compiled in each mode."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(8, activation="relu", name="first"),
            layers.Dropout(0.25),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, name="logits"),
        ],
        name="network",
    )


SLOWEST = ("fit_7_steps_jit", "wrap")


@pytest.fixture(
    scope="module",
    params=thinned(
        [(way,) for way in OBSERVED],
        fast=[(way,) for way in OBSERVED if way != SLOWEST],
    ),
    ids="-".join,
)
def trained(request, tmp_path_factory):
    """Trains once in each way of training and of observing.

    Returns:
        The mode, the log directory, and the model and optimizer afterwards.
    """
    mode, how = request.param
    logdir = tmp_path_factory.mktemp(mode)
    # A large first step, so that the updates are far above rounding.
    model, optimizer = train(
        mode,
        "sgd",
        how=how,
        logdir=logdir,
        make=network,
        every=EVERY,
        histograms=HISTOGRAMS if mode in WITH_HISTOGRAMS else None,
    )
    gradscope.flush()
    return mode, logdir, model, optimizer


@functools.cache
def plain_state(mode):
    return state(*train(mode, "sgd", make=network))


def test_observing_changes_no_bit(trained):
    mode, _, *observed = trained
    for expected, actual in zip(
        plain_state(mode), state(*observed), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


@functools.cache
def reference(optimizer, jit):
    """Returns gradients, weights before and weights after of each step."""
    keras.utils.set_random_seed(7)
    model, notes = network(), []
    wrapper = functools.partial(tf.function, jit_compile=jit)
    loop(
        model,
        OPTIMIZERS[optimizer](),
        before_step=lambda: notes.append([v.numpy() for v in model.variables]),
        wrapper=wrapper,
    )
    notes.append([v.numpy() for v in model.variables])

    def gradients_of(x, y):
        with tf.GradientTape() as tape:
            value = loss()(y, model(x, training=True))
        return tape.gradient(value, model.trainable_variables)

    if jit:
        gradients_of = wrapper(gradients_of)
    is_weight = [v.trainable for v in model.variables]
    steps = []
    for number, (x, y) in zip(range(COMPARED), batches(), strict=False):
        for variable, value in zip(model.variables, notes[number], strict=True):
            variable.assign(value)
        gradients = gradients_of(x, y)
        before, after = (
            [w for w, chosen in zip(notes[n], is_weight, strict=True) if chosen]
            for n in (number, number + 1)
        )
        steps.append(([g.numpy() for g in gradients], before, after))
    names = [v.path.split("/", 1)[1] for v in model.trainable_variables]
    return names, steps


def test_every_value_equals_a_plain_computation(trained):
    mode, logdir, *_ = trained
    record = gradscope.read(logdir)
    assert record.steps.tolist() == DUE
    names, steps = reference("sgd", "jit" in mode)
    assert list(record.variables) == names
    for number, step in enumerate(DUE):
        if step >= COMPARED:
            break
        arrays = steps[step]
        for row, tensors in enumerate(zip(*arrays, strict=True)):
            for name, value in expected_statistics(*tensors).items():
                np.testing.assert_allclose(
                    record[name][number, row],
                    value,
                    rtol=TOLERANCE,
                    # The bias before a batch norm has a true gradient of 0:
                    # what is computed is noise, of 1e-9 here.
                    atol=1e-7 if names[row] == "first/bias" else 0,
                    err_msg=f"{name} of {names[row]} in step {step}",
                )


def test_histograms_count_every_element(trained):
    mode, logdir, model, _ = trained
    histograms = tensorboard_histograms(logdir)
    if mode not in WITH_HISTOGRAMS:
        assert not histograms
        return
    for kind in ("gradients", "weights"):
        for variable in model.trainable_variables:
            name = variable.path.split("/", 1)[1]
            points = histograms[f"{kind}/{name}"]
            assert [step for step, _ in points] == [0, 6, 12, 18]
            for _, rows in points:
                assert rows[:, 2].sum() == np.prod(variable.shape)
                np.testing.assert_array_equal(rows[1:, 0], rows[:-1, 1])
