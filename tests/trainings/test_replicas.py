"""Several replicas: the same weights, and the values of the global batch."""

import json
import os
import pickle
import re
import socket

import forked
import numpy as np
import pytest
import replicas
import tensorflow as tf
import tf_keras_replicas
from replica_checks import check, same_weights
from thinning import selected, thinned

import gradscope

LIMIT = 240


def start(request, kind, out, **environment):
    """Starts a process that trains what the tests of this run ask for."""
    cases = json.dumps(selected(request, "mode", "optimizer", "how"))
    return forked.start(
        replicas.main, kind, out, cases, errors=errors_of(out), **environment
    )


def errors_of(out):
    return out.with_suffix(".errors")


def results(process, out):
    assert forked.finish(process, errors_of(out), LIMIT) == ""
    with open(out, "rb") as file:
        return pickle.load(file)


@pytest.fixture(scope="module")
def mirrored(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("mirrored") / "weights"
    return results(start(request, "mirrored", out), out), f"{out}.logs"


@pytest.fixture(scope="module")
def workers(request, tmp_path_factory):
    """Two processes that train together, the chief's results first."""
    directory = tmp_path_factory.mktemp("workers")
    ports = free_ports(2)
    processes = []
    for index in range(2):
        task = {
            "cluster": {"worker": [f"localhost:{port}" for port in ports]},
            "task": {"type": "worker", "index": index},
        }
        out = directory / str(index)
        processes.append(
            start(request, "workers", out, TF_CONFIG=json.dumps(task))
        )
    return [
        (results(process, directory / str(index)), f"{directory}/{index}.logs")
        for index, process in enumerate(processes)
    ]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.parametrize(
    "mode, optimizer, how", thinned(replicas.MIRRORED, replicas.FAST)
)
def test_mirrored_replicas_train_the_same_and_have_global_values(
    mode, optimizer, how, mirrored
):
    trained, logs = mirrored
    observed = trained[mode, optimizer, how]
    same_weights(trained[mode, optimizer, None], observed)
    record = gradscope.read(f"{logs}/{mode}_{optimizer}_{how}")
    check(record, replicas, observed)
    scales = {"scaled": 64, "clipped_scaled": 64, "loss_scale": 2**15}
    scale = [scales.get(optimizer, np.nan)] * replicas.STEPS
    np.testing.assert_array_equal(record["loss_scale"], scale)
    clipped = record["clipped_gradient_norm"]
    if optimizer == "adamw":
        # Each of two replicas clips to .05 before their gradients are added.
        assert (clipped > 0).all() and (clipped < 0.1 + 1e-6).all()
    elif optimizer == "clipped_scaled":
        assert (record["global_clipped_norm"] < 0.2 + 1e-6).all()
        # SGD: what was applied is the update over the learning rate.
        np.testing.assert_allclose(
            clipped, record["update_norm"] / 0.1, rtol=1e-4
        )
    else:
        assert np.isnan(clipped).all()


@pytest.mark.parametrize("mode, optimizer, how", replicas.WORKERS)
def test_workers_train_the_same_and_the_chief_writes(
    mode, optimizer, how, workers
):
    for trained, _ in workers:
        same_weights(
            trained[mode, optimizer, None], trained[mode, optimizer, how]
        )
    (trained, logs), (_, others) = workers
    assert not os.path.exists(others)
    record = gradscope.read(f"{logs}/{mode}_{optimizer}_{how}")
    clips = optimizer == "adamw"
    check(record, replicas, trained[mode, optimizer, how], gradients=not clips)
    if clips:
        # Known only after each worker has clipped its own.
        assert np.isnan(record["gradient_norm"]).all()
        assert np.isnan(record["gradient_missing"]).all()
        assert (record["clipped_gradient_norm"] < 0.1 + 1e-6).all()
    if mode == "tf_keras":
        # There after the gradients of all workers were added.
        clip = tf_keras_replicas.CLIP
        np.testing.assert_allclose(
            record["clipped_gradient_norm"],
            np.minimum(record["gradient_norm"], clip),
            rtol=1e-5,
        )


def test_what_several_replicas_accumulate_is_refused(tmp_path):
    errors = tmp_path / "errors"
    process = forked.start(replicas.accumulate, str(tmp_path), errors=errors)
    assert re.search(
        "NotImplementedError: gradscope cannot observe this optimizer: "
        "gradients that several replicas accumulate .* Train without "
        "`gradient_accumulation_steps`, or on one replica",
        forked.finish(process, errors, LIMIT),
    )


@pytest.mark.parametrize("mode", ["fit", "function", "eager"])
def test_one_device_of_a_strategy(mode, tmp_path):
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    plain = replicas.train(strategy, mode, "adamw", None, None)
    observed = replicas.train(strategy, mode, "adamw", "wrap", str(tmp_path))
    same_weights(plain, observed)
    record = gradscope.read(tmp_path)
    check(record, replicas, observed)
    assert (record["clipped_gradient_norm"] < 0.05 + 1e-6).all()
