"""What is to be recorded of several replicas, for Keras 3 and tf_keras."""

import itertools

import numpy as np
import tensorflow as tf
from unit_spreads import expected as unit_spread


def same_weights(plain, observed):
    for a, b in zip(plain, observed, strict=True):
        for expected, actual in zip(a, b, strict=True):
            np.testing.assert_array_equal(actual, expected)


def expected(trained, notes):
    """Returns the numbers of the global batch on one device, by statistic.

    Args:
        trained: The module that trained: `replicas` or `tf_keras_replicas`.
        notes: The weights before every step, and at the end.
    """
    model = trained.network()
    steps = []
    for number, (before, after) in enumerate(itertools.pairwise(notes)):
        model.set_weights(before)
        part = slice(number * trained.BATCH, (number + 1) * trained.BATCH)
        with tf.GradientTape() as tape:
            logits = model(trained.X[part])
            value = trained.loss()(trained.Y[part], logits)
        grads = [
            g.numpy() for g in tape.gradient(value, model.trainable_variables)
        ]
        moved = zip(before, after, strict=True)
        steps.append(
            {
                "gradient_norm": norms(grads),
                "gradient_max": [np.abs(g).max() for g in grads],
                "gradient_size": [g.size for g in grads],
                "gradient_unit_spread": list(map(unit_spread, grads)),
                "weight_norm": norms(before),
                "update_norm": norms(np.float64(b) - a for a, b in moved),
            }
        )
    return {name: [step[name] for step in steps] for name in steps[0]}


def norms(arrays):
    return [np.linalg.norm(np.float64(a).ravel()) for a in arrays]


def check(record, trained, notes, *, gradients=True):
    """Asserts that a record holds what is expected; `gradients` is False
    where they are not known."""
    assert record.steps.tolist() == list(range(trained.STEPS))
    assert list(record.variables) == [
        "first/kernel",
        "first/bias",
        "logits/kernel",
        "logits/bias",
    ]
    for name, values in expected(trained, notes).items():
        if gradients or not name.startswith("gradient"):
            np.testing.assert_allclose(
                record[name], values, rtol=1e-5, atol=1e-8, err_msg=name
            )
