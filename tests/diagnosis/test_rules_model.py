"""Rules that need to know a model: layers, inputs, penalties and metrics."""

import numpy as np
import pytest
from model_runs import MSE, STUCK, inputs, kinds, severities
from synthetic import network, record

import gradscope
from gradscope.format.epoch_logs import Log
from gradscope.format.schema import (
    Activation,
    Data,
    Schema,
    State,
    Variable,
)


def test_layers_with_nothing_in_between():
    pairs = (("dense_1/kernel", "dense_2/kernel"),)
    both = (*pairs, ("dense_2/kernel", "dense_3/kernel"))
    all_linear = record(network(linear=both))
    assert severities(all_linear) == [("missing-nonlinearity", "warning")]
    assert severities(record(network(linear=pairs))) == [
        ("missing-nonlinearity", "note")
    ]


def test_inputs_that_are_far_too_large():
    large = {"data_rms": {"input": 130.0}, "data_max": {"input": 255.0}}
    run = record(inputs(), **large, loss=STUCK)
    assert severities(run) == [("unscaled-input", "warning")]
    # It learns all the same.
    assert severities(record(inputs(), **large)) == [("unscaled-input", "note")]
    # These are ids, or are normalised.
    assert kinds(record(inputs("int32"), **large, loss=STUCK)) == []
    norm = inputs(states=(State("bn", "batch_norm"),))
    assert kinds(record(norm, **large, loss=STUCK)) == []


def regularised(l2):
    kernel = {"class_name": "L2", "config": {"l2": l2}}
    names = ("dense_1", "dense_2", "dense_3")
    layers = [
        {"name": n, "class": "Dense", "config": {"kernel_regularizer": kernel}}
        for n in names
    ]
    return network(model={"layers": layers} | MSE)


def test_a_penalty_that_is_most_of_the_loss():
    # Three kernels of norm 8: 192 times the factor.
    run = record(regularised(0.01), loss=STUCK)
    assert severities(run) == [("penalty-dominates", "warning")]
    (found,) = gradscope.diagnose(run)
    assert found.evidence["penalty_share"] == pytest.approx(1.92 / 2.3)
    assert kinds(record(regularised(1e-4), loss=STUCK)) == []
    # The rest of the loss falls all the same.
    falls = np.linspace(10, 2, 100)
    assert kinds(record(regularised(0.01), loss=falls)) == []


def epochs(*pairs):
    return tuple(
        Log(10 * n, n, {"loss": loss, "accuracy": accuracy})
        for n, (loss, accuracy) in enumerate(pairs)
    )


def test_a_loss_that_falls_while_accuracy_does_not_move():
    flat = epochs((1.0, 0.1), (0.6, 0.1), (0.3, 0.1), (0.2, 0.1))
    assert kinds(record(network(), logs=flat)) == [
        ("loss-metric-disagree", None)
    ]
    both = epochs((1.0, 0.1), (0.6, 0.4), (0.3, 0.7), (0.2, 0.8))
    assert kinds(record(network(), logs=both)) == []


def test_a_metric_that_is_not_computed_in_training_says_nothing():
    nothing = epochs((1.0, 0.0), (0.6, 0.0), (0.3, 0.0), (0.2, 0.0))
    assert kinds(record(network(), logs=nothing)) == []


def test_dropout_by_the_gap_between_training_and_validation():
    described = network(states=(State("dropout", "dropout"),))
    logs = tuple(
        Log(n, n, {"accuracy": 0.6, "val_accuracy": 0.9}) for n in range(4)
    )
    run = record(described, dropout_rate=0.7, logs=logs)
    assert severities(run) == [("dropout-keep-prob", "warning")]


def test_one_batch_norm_for_two_kinds_of_batches():
    rows = tuple(
        State(name, "batch_norm", 8, calls=2, layer="bn")
        for name in ("bn", "bn_1")
    )
    described = network(states=rows)
    run = record(described, count=800, variance_distance=0.9)
    assert kinds(run) == [("shared-batchnorm", "bn")]
    assert kinds(record(described, count=800)) == []
    # The generator of a young GAN, whose calls are all of one kind.
    assert kinds(record(described, count=90, variance_distance=0.9)) == []


def test_a_penalty_on_outputs_that_are_all_zero():
    config = {"activity_regularizer": {"class_name": "L1", "config": {}}}
    for given, kind in ((config, "penalty-dominates"), ({}, "dead-relu")):
        layer = {"name": "dense_2", "class": "Dense", "config": given}
        described = network(
            activations=(Activation("dense_2/relu", "relu", 64),),
            model={"layers": [layer]} | MSE,
        )
        run = record(described, dead_fraction=1.0)
        assert kinds(run) == [(kind, "dense_2")]


def test_accuracy_of_numbers_harms_nothing():
    none = epochs((1.0, 0.0), (0.6, 0.0), (0.3, 0.0), (0.2, 0.0))
    run = record(network(model={"layers": []} | MSE), logs=none)
    assert severities(run) == [("loss-metric-disagree", "note")]


def test_a_loss_that_falls_far_below_zero():
    own = {"layers": [], "loss": {"class": "likelihood", "config": {}}}
    described = network(data=(Data("output"),), model=own)
    growth = np.geomspace(0.5, 40, 100)[:, np.newaxis]
    loss = -np.geomspace(2, 800, 100)
    run = record(described, loss=loss, data_rms=growth)
    assert kinds(run) == [("loss-diverges", None)]
    # A likelihood of narrow densities is above 1, and its loss below zero.
    loss = np.linspace(2, -5, 100)
    assert kinds(record(described, loss=loss, data_rms=growth)) == []


@pytest.mark.parametrize(
    "growth, rises_to, expected",
    [
        (1.2, 3.4, []),
        (20, 3.4, [("loss-diverges", "error")]),
        (20, 0.9, []),
    ],
)
def test_a_loss_that_passes_zero_wanders(growth, rises_to, expected):
    """As that of a Wasserstein generator, see
    github.com/keras-team/keras-io/issues/910: it falls from .03 to -.5, and
    rises, while gradients and weights stay as they were."""
    loss = np.full(100, rises_to)
    loss[:40] = np.interp(np.arange(40), [0, 10, 25, 39], [0.03, 0.05, -0.5, 1])
    loss[25:40] = np.minimum(loss[25:40], rises_to)
    norm = np.geomspace(0.5, 0.5 * growth, 100)
    run = record(network(), loss=loss, global_gradient_norm=norm)
    diverges = [pair for pair in severities(run) if "loss" in pair[0]]
    assert diverges == expected


def test_outputs_that_run_away_from_a_head_of_zeros():
    described = network(data=(Data("output"),), model={"layers": []})
    growth = np.geomspace(1e-3, 1e3, 100)[:, np.newaxis]
    growth[:3] = 0
    run = record(described, loss=-np.linspace(0, 9, 100), data_rms=growth)
    (finding,) = gradscope.diagnose(run)
    assert finding.kind == "loss-diverges"
    assert "their rms rises from 0 to " in finding.what


def test_a_projection_for_several_kernels_may_be_linear():
    pairs = [("dense_1/kernel", f"dense_{n}/kernel") for n in (2, 3)]
    described = network(layers=5, linear=tuple(pairs))
    assert kinds(record(described)) == []
    other = (("dense_2/kernel", "dense_3/kernel"),)
    others = (*other, ("dense_3/kernel", "dense_4/kernel"))
    described = network(layers=5, linear=others)
    assert severities(record(described)) == [
        ("missing-nonlinearity", "warning")
    ]


def test_a_simple_recurrence_over_many_time_steps():
    for length, bend, loss, expected in (
        (40, "sigmoid", STUCK, [("vanishing-gradient", "memory")]),
        (40, "relu", STUCK, []),
        (8, "tanh", STUCK, []),
        (40, "tanh", None, []),
    ):
        layer = {"name": "memory", "class": "SimpleRNN"}
        layer["config"] = {"activation": bend}
        described = network(
            data=(Data("input", shape=(length, 1)), Data("output")),
            model={"layers": [layer]} | MSE,
        )
        run = record(described, **({} if loss is None else {"loss": loss}))
        assert kinds(run) == expected


def test_embeddings_that_start_alike_and_meet_no_kernel():
    for start, dense, expected in (
        ("Constant", 0, [("symmetric-units", "users")]),
        ("RandomUniform", 0, []),
        ("Constant", 3, []),
    ):
        config = {"embeddings_initializer": {"class_name": start}}
        config["output_dim"] = 6
        layer = {"name": "users", "class": "Embedding", "config": config}
        kernels = network(dense).variables if dense else ()
        embedding = Variable("users/embeddings", "users", (60, 6), "float32")
        described = Schema(
            (embedding, *kernels), {"class": "Adam"}, model={"layers": [layer]}
        )
        assert kinds(record(described)) == expected


def test_variables_that_nobody_misses():
    missing = {"gradient_missing": {"dense_2/kernel": 1}}
    learnt = np.geomspace(2, 0.001, 100)
    run = record(network(), **missing, loss=learnt)
    assert severities(run) == [("disconnected-variable", "note")]
