"""tf_keras on two replicas: the same weights, and the global gradients."""

import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras_replicas as replicas

import gradscope


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("mirrored") / "weights"
    process = subprocess.run(
        [sys.executable, replicas.__file__, str(out)],
        stderr=subprocess.PIPE,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    with open(out, "rb") as file:
        return pickle.load(file), f"{out}.logs"


def norms(arrays):
    return [np.linalg.norm(np.float64(a).ravel()) for a in arrays]


def expected(notes):
    """Returns what is to be recorded, from the global batch on one device."""
    model = replicas.network()
    steps = []
    for number, (before, after) in enumerate(itertools.pairwise(notes)):
        model.set_weights(before)
        part = slice(number * replicas.BATCH, (number + 1) * replicas.BATCH)
        with tf.GradientTape() as tape:
            logits = model(replicas.X[part])
            value = replicas.loss()(replicas.Y[part], logits)
        grads = tape.gradient(value, model.trainable_variables)
        found = norms(g.numpy() for g in grads)
        moved = zip(before, after, strict=True)
        steps.append(
            {
                "gradient_norm": found,
                # Clipped after all replicas' gradients were added up.
                "clipped_gradient_norm": np.minimum(found, replicas.CLIP),
                "weight_norm": norms(before),
                "update_norm": norms(np.float64(b) - a for a, b in moved),
            }
        )
    return {name: [step[name] for step in steps] for name in steps[0]}


@pytest.mark.parametrize("mode, optimizer, how", replicas.CASES)
def test_replicas_train_the_same_and_have_global_values(
    mode, optimizer, how, trained
):
    weights, logs = trained
    observed = weights[mode, optimizer, how]
    for a, b in zip(weights[mode, optimizer, None], observed, strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(other, one)
    record = gradscope.read(f"{logs}/{mode}_{optimizer}_{how}")
    assert record.steps.tolist() == list(range(replicas.STEPS))
    assert list(record.variables) == [
        "first/kernel",
        "first/bias",
        "logits/kernel",
        "logits/bias",
    ]
    for name, values in expected(observed).items():
        np.testing.assert_allclose(
            record[name], values, rtol=1e-5, atol=1e-8, err_msg=name
        )
    scaled = "scaled" in optimizer
    scales = [2.0**15 if scaled else np.nan] * replicas.STEPS
    np.testing.assert_array_equal(record["loss_scale"], scales)
    skipped = [0 if scaled else np.nan] * replicas.STEPS
    np.testing.assert_array_equal(record["skipped"], skipped)
