"""Training with tf_keras: unchanged, and the recorded values are right."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras_training import (
    MODES,
    OBSERVED,
    OPTIMIZERS,
    STEPS,
    batches,
    current,
    jitted,
    legacy,
    loop,
    loss,
    plain_network,
    state,
    train,
)
from thinning import thinned
from unit_spreads import expected as unit_spread

import gradscope
from gradscope.schedule import Every

EVERYWHERE = ("adamw", "legacy_adam")


BITS = (
    [(mode, how, "legacy_adam") for mode, how in OBSERVED]
    + [(mode, "wrap", "adamw") for mode in MODES]
    + [("fit_graph", "wrap", n) for n in OPTIMIZERS if n not in EVERYWHERE]
    + [("fit_jit", "wrap", n) for n in ("adam", "legacy_rmsprop")]
    + [("loop_jit", "wrap", n) for n in ("lion", "legacy_sgd")]
)


def is_fast(mode, how, optimizer):
    """Says whether `make test` has the case: all optimizers in one mode, and
    all modes with one."""
    if "jit" in mode:
        return (how, optimizer) == ("callback", "legacy_adam") or (
            mode == "loop_jit" and optimizer == "adamw"
        )
    return mode == "fit_graph" or optimizer == "legacy_adam"


@functools.cache
def plain_state(mode, optimizer):
    return state(*train(mode, optimizer))


@pytest.mark.parametrize(
    "mode, how, optimizer",
    thinned(BITS, fast=[case for case in BITS if is_fast(*case)]),
)
def test_observing_changes_no_bit(mode, how, optimizer, tmp_path):
    # Histograms take XLA long to compile.
    options = {"histograms": None if mode == "loop_jit" else 6}
    options |= {"logdir": tmp_path, "every": Every(3, dense=2)}
    observed = train(mode, optimizer, how=how, **options)
    plain = plain_state(mode, optimizer)
    for expected, actual in zip(plain, state(*observed), strict=True):
        np.testing.assert_array_equal(actual, expected)
    gradscope.flush()
    assert gradscope.read(tmp_path).steps.tolist() == [0, 1, 3, 6]


CLIP = 0.1


def clipped_sgd(kind):
    return kind.SGD(0.05, momentum=0.9, clipnorm=CLIP)


OPTIMIZERS |= {
    "values": lambda: clipped_sgd(current),
    "legacy_values": lambda: clipped_sgd(legacy),
}


def norm(array):
    return np.linalg.norm(np.float64(array).ravel())


@functools.cache
def reference(optimizer, jit):
    """Returns what is to be recorded, from a plain computation."""
    tf_keras.utils.set_random_seed(7)
    model, notes = plain_network(), []
    loop(
        model,
        OPTIMIZERS[optimizer](),
        jitted if jit else tf.function,
        lambda: notes.append(model.get_weights()),
    )
    notes.append(model.get_weights())
    steps = []
    for number, (x, y) in enumerate(batches()):
        before, after = notes[number : number + 2]
        model.set_weights(before)
        with tf.GradientTape() as tape:
            value = loss()(y, model(x, training=True))
        grads = tape.gradient(value, model.trainable_variables)
        grads = [g.numpy() for g in grads]
        updates = [
            np.float64(b) - a for a, b in zip(before, after, strict=True)
        ]
        steps.append(
            {
                "gradient_norm": list(map(norm, grads)),
                "gradient_max": [np.abs(g).max() for g in grads],
                "gradient_size": [g.size for g in grads],
                "gradient_unit_spread": list(map(unit_spread, grads)),
                "clipped_gradient_norm": [min(norm(g), CLIP) for g in grads],
                "weight_norm": list(map(norm, before)),
                "update_norm": list(map(norm, updates)),
                "gradient_missing": [0] * len(grads),
            }
        )
    return {name: [step[name] for step in steps] for name in steps[0]}


VALUES = (
    [(mode, how, "values") for mode, how in OBSERVED]
    + [(m, "wrap", "legacy_values") for m in ("fit_jit", "loop_eager")]
    + [("fit_4_steps", "callback", "legacy_values")]
)


SLOW_VALUES = [
    ("fit_jit", "callback", "values"),
    ("fit_jit", "wrap", "legacy_values"),
]


@pytest.mark.parametrize(
    "mode, how, optimizer",
    thinned(VALUES, fast=[case for case in VALUES if case not in SLOW_VALUES]),
)
def test_every_value_equals_a_plain_computation(mode, how, optimizer, tmp_path):
    options = {"logdir": tmp_path, "every": 1, "histograms": None}
    train(mode, optimizer, how=how, make=plain_network, **options)
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert record.steps.tolist() == list(range(STEPS))
    assert list(record.variables) == [
        "first/kernel",
        "first/bias",
        "logits/kernel",
        "logits/bias",
    ]
    for name, values in reference(optimizer, "jit" in mode).items():
        np.testing.assert_allclose(
            record[name], values, rtol=1e-5, err_msg=name
        )
    np.testing.assert_allclose(record["learning_rate"], [0.05] * STEPS)
