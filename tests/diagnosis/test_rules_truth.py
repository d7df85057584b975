"""Findings say what the record proves, and name what it is true of."""

import dataclasses

import numpy as np
from classifiers import classifier, run
from synthetic import network, record, since

import gradscope
from gradscope.diagnosis.limits import Limits
from gradscope.diagnosis.rules.results.loss import loss_diverges
from gradscope.diagnosis.view import View
from gradscope.format.schema import Data, Schema, Variable


def kinds(record):
    return [finding.kind for finding in gradscope.diagnose(record)]


def factors(*names):
    return tuple(
        Variable(f"{layer}/{name}", layer, (64, 64), "float32")
        for layer in names
        for name in "ab"
    )


def test_two_matrices_of_one_layer_are_no_two_layers():
    """`b` multiplies, so that a network of such layers is known as linear."""
    inside = (("one/a", "one/b"), ("two/a", "two/b"))
    described = Schema(factors("one", "two"), {"class": "SGD"}, linear=inside)
    assert kinds(record(described)) == []
    between = (*inside, ("one/b", "two/a"))
    described = dataclasses.replace(described, linear=between)
    (finding,) = gradscope.diagnose(record(described))
    assert finding.kind == "missing-nonlinearity"
    assert "The output of `one` reaches" in finding.what
    assert "none between any two layers" in finding.what


def padded_tags(loss, **config):
    layers = [
        ("embed", "Embedding", {"input_dim": 40, "mask_zero": False}),
        ("lstm", "LSTM", {}),
    ]
    described = classifier(9, layers=layers)
    data = (
        Data("input", "int32", (50,)),
        Data("target", "int32", (50,)),
        Data("output", "float32", (50, 9)),
    )
    model = {**described.model, "loss": {"class": loss, "config": config}}
    described = dataclasses.replace(described, data=data, model=model)
    return run(
        described,
        data_zero_fraction={"input": 0.9, "target": 0.9},
        data_max={"input": 39.0, "target": 8.0},
    )


def test_a_loss_of_ones_own_may_leave_the_padding_out():
    ignoring = padded_tags("SparseCategoricalCrossentropy", ignore_class=0)
    for padded in (padded_tags("masked"), ignoring):
        (finding,) = gradscope.diagnose(padded)
        assert (finding.kind, finding.severity) == ("unmasked-padding", "note")
        assert "no layer masks them" in finding.what
        assert "loss" not in finding.what
        assert "the record does not tell" in finding.cause
        assert "mask_zero" not in finding.remedy
    (finding,) = gradscope.diagnose(
        padded_tags("SparseCategoricalCrossentropy")
    )
    assert "the loss counts them like the others" in finding.what


def test_numbers_that_drift_are_no_order_of_classes():
    drift = {
        "data_mean": {"target": np.linspace(0, 9, 200)},
        "data_variation": {"target": 0.7},
    }
    assert kinds(run(**drift)) == ["unshuffled-data"]
    values = classifier(10, loss="MeanSquaredError")
    assert "unshuffled-data" not in kinds(run(values, **drift))


def test_a_kernel_whose_layer_learns_is_named_itself():
    alone = {"dense_2/kernel": since(30, 0.0, 0.1)}
    (finding,) = gradscope.diagnose(record(network(), gradient_norm=alone))
    assert "The gradient of `dense_2/kernel` is exactly zero" in finding.what
    assert "other variables of the layer have a gradient" in finding.what
    assert "for a recurrent kernel the state" in finding.cause
    whole = {**alone, "dense_2/bias": since(30, 0.0, 0.1)}
    (finding,) = gradscope.diagnose(record(network(), gradient_norm=whole))
    assert "The gradient of `dense_2` is exactly zero" in finding.what
    assert "blocks the gradient" in finding.cause


def test_large_weights_are_said_to_do_only_what_the_record_shows():
    large = {f"dense_{n}/kernel": 2.0 for n in (1, 2, 3)}
    data = (Data("output", "float32", (1,)),)
    described = network(data=data)
    (finding,) = gradscope.diagnose(record(described, weight_rms=large))
    assert finding.kind == "init-too-large"
    assert "out of control" not in finding.what
    assert "no huge outputs" in finding.cause
    huge = record(described, weight_rms=large, data_rms=4000.0)
    (finding,) = gradscope.diagnose(huge)
    assert "grows out of control" in finding.what
    assert "the outputs have an rms of 4000" in finding.cause


def test_a_vanishing_gradient_is_that_of_the_two_layers_it_names():
    rms = {f"dense_{n}/kernel": 1e-5 for n in range(1, 7)}
    rms |= {"dense_2/kernel": 2e-5, "dense_5/kernel": 0.01}
    described = network(6)
    slow = record(described, gradient_rms=rms, update_to_weight_ratio=1e-6)
    (finding,) = (
        f for f in gradscope.diagnose(slow) if f.kind == "vanishing-gradient"
    )
    assert "`dense_2` is 1/500 of its rms in `dense_5`" in finding.what
    assert "hardly learn" in finding.what
    moved = record(described, gradient_rms=rms, update_to_weight_ratio=0.02)
    (finding,) = gradscope.diagnose(moved)
    assert "hardly learn" not in finding.what and "2 %" in finding.what


def test_a_vanishing_gradient_is_not_told_to_add_what_the_model_has():
    blocks = [("sum", "Add", {}), ("norm", "LayerNormalization", {})]
    plain, residual = (
        gradscope.diagnose(
            record(
                dataclasses.replace(
                    network(6),
                    model={
                        "layers": [
                            {"name": n, "class": c, "config": d}
                            for n, c, d in layers
                        ]
                    },
                ),
                gradient_rms={f"dense_{n}/kernel": 1e-5 for n in (1, 2)},
            )
        )[0]
        for layers in ([], blocks)
    )
    assert "batch normalisation" in plain.remedy
    assert "skip connections" in plain.remedy
    assert "normalisation" not in residual.remedy
    assert "skip connections" not in residual.remedy
    assert "learning rate that is too large" in residual.cause


def test_a_loss_that_rises_starts_where_it_started():
    loss = np.geomspace(0.3, 3000, 100)
    cut = {"dense_2/kernel": 1.0}
    rising = record(network(), loss=loss)
    (finding,) = gradscope.diagnose(rising)
    assert finding.kind == "loss-diverges"
    assert "from 0.3 at the start" in finding.what
    assert finding.cause.startswith("Possible reasons")
    (finding, *_) = gradscope.diagnose(
        record(network(), loss=loss, gradient_missing=cut)
    )
    assert "disconnected-variable" in finding.cause
    (finding,) = gradscope.diagnose(
        record(network(), loss=loss, gradient_missing=1.0)
    )
    # Where no variable has a gradient, there is no such finding.
    assert "disconnected-variable" not in finding.cause
    overshot = record(network(), loss=loss, update_to_weight_ratio=0.5)
    # Among all findings it is a symptom of the learning rate.
    (finding,) = loss_diverges(View(overshot), Limits())
    assert "updates are large beside the weights" in finding.cause
