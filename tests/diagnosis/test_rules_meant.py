"""What must hold of any training: what is trained is what was meant."""

import dataclasses

import numpy as np
import pytest
from classifiers import classifier, epochs, run
from synthetic import network, record

import gradscope
from gradscope.format.schema import Activation, Data, State, Variable


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def with_fact(layer, **facts):
    """A classifier one layer of which has more facts."""
    described = classifier(layers=[(layer, "Dense", {"trainable": False})])
    described.model["layers"][0] |= facts
    return described


def test_a_frozen_layer_with_the_weights_of_its_initializer():
    logs = epochs(loss=[2.5, 1.5, 0.5])
    random = with_fact("base", is_initial=True)
    (found,) = gradscope.diagnose(run(random, logs=logs))
    assert (found.kind, found.severity) == ("random-frozen-layer", "warning")
    assert found.layer == "base" and "so they are random" in found.what
    assert "no name or shape fits" in found.cause
    # Weights that were loaded, and random features that do very well.
    loaded = with_fact("base", is_initial=False)
    assert kinds(run(loaded, logs=logs)) == []
    well = run(random, loss=np.linspace(2.5, 0.01, 200), logs=logs)
    assert kinds(well) == [("random-frozen-layer", "note")]
    # Between the steps of a loop, a GAN's discriminator is trained.
    assert kinds(run(random)) == []


def test_a_variable_that_keras_does_not_know():
    described = with_fact("scales", untracked=[["a/scales/w0:0", [8, 8]]])
    (found,) = gradscope.diagnose(run(described))
    assert (found.kind, found.severity) == ("untracked-variable", "warning")
    assert "`scales` holds 1 variable" in found.what and "`w0:0`" in found.what
    assert "add_weight" in found.remedy
    layers = [(f"scales_{n}", "Dense", {}) for n in range(40)]
    described = classifier(layers=layers)
    for fact in described.model["layers"]:
        fact["untracked"] = [["w0:0", [8, 8]]]
    (found,) = gradscope.diagnose(run(described))
    assert "(found in 40 layers, from `scales_0` to" in found.what
    assert len(found.evidence["layers"]) == 40


def normalised(is_initial):
    gamma = Variable("norm/gamma", "norm", (8,), "float32")
    described = network(states=(State("norm", "batch_norm"),))
    fact = {"name": "norm", "class": "BatchNormalization", "config": {}}
    model = {"layers": [fact | {"is_initial": is_initial}], "loss": None}
    variables = (*described.variables, gamma)
    return dataclasses.replace(described, variables=variables, model=model)


def test_a_batch_norm_that_is_trained_in_inference_mode():
    still = {"training_mode": 0.0, "state_movement": 0.0}
    (found,) = gradscope.diagnose(record(normalised(True), **still))
    assert (found.kind, found.severity) == ("inference-mode", "warning")
    assert found.layer == "norm" and "`training=True`" in found.cause
    # Statistics that were loaded are meant to stay.
    assert kinds(record(normalised(False), **still)) == []
    assert kinds(record(normalised(True), training_mode=1.0)) == []


def test_an_inference_mode_explains_what_it_breaks():
    broken = {
        "training_mode": 0.0,
        "state_movement": 0.0,
        "loss": 2 + np.arange(200) % 7,
        "update_to_weight_ratio": 2.0,
    }
    found = gradscope.diagnose(record(normalised(True), 200, **broken))
    assert [f.kind for f in found] == ["inference-mode"]
    assert "learning-rate" in found[0].evidence["symptoms"]


def test_weights_that_something_else_puts_back():
    weights, loss = np.full(100, 1.0), np.linspace(2, 0.2, 100)
    weights[34:] = 0.5
    loss[34:40] += 0.5
    norms = {"weight_norm": {"dense_1/kernel": weights}}
    (found,) = gradscope.diagnose(record(network(), loss=loss, **norms))
    assert (found.kind, found.severity) == ("weights-changed", "warning")
    assert found.layer == "dense_1" and found.steps == (33, 34)
    assert "`dense_1/kernel` changed between two steps" in found.what
    # Where the loss does not mind, it is worth knowing.
    assert kinds(record(network(), **norms)) == [("weights-changed", "note")]


def test_weights_may_change_by_their_updates():
    weights = 1 + 0.008 * np.arange(100)
    norms = {"weight_norm": {"dense_1/kernel": weights}}
    assert kinds(record(network(), **norms)) == []
    # Between steps that are far apart, updates are not known.
    weights[50:] += 1
    changed = record(network(), **norms)
    far = dataclasses.replace(changed, steps=10 * changed.steps)
    assert kinds(far) == []
    assert kinds(changed) == [("weights-changed", "note")]


def test_a_training_that_hardly_moves():
    slow = {
        "update_to_weight_ratio": 1e-4,
        "learning_rate": 2.5e-5,
        "loss": np.linspace(2.4, 2.2, 300),
    }
    (found,) = gradscope.diagnose(run(count=300, **slow))
    assert (found.kind, found.severity) == ("learning-rate", "warning")
    assert "too small: all 300 updates together are at most 3 %" in found.what
    assert found.evidence["moved"] == pytest.approx(0.03, rel=1e-3)
    assert "never leaves its first steps" in found.cause
    # A network that learns by little steps, and one that has learned.
    slow["loss"] = np.linspace(2.4, 1, 300)
    assert kinds(run(count=300, **slow)) == []
    slow["loss"] = np.linspace(0.5, 0.45, 300)
    assert kinds(run(count=300, **slow)) == []


def test_steps_after_which_no_gradient_is_left():
    ratios = np.where(np.arange(100) < 10, 0.5, 0.0)[:, np.newaxis]
    norms = np.where(np.arange(100) < 30, 0.1, 0.0)[:, np.newaxis]
    dead = {"update_to_weight_ratio": ratios, "gradient_norm": norms}
    (found,) = gradscope.diagnose(record(network(), loss=np.nan, **dead))
    assert (found.kind, found.severity) == ("learning-rate", "error")
    assert found.evidence["symptoms"] == ["zero-gradient in dense_1"]


def test_logits_that_are_bounded():
    outputs = {
        "data_min": {"output": -0.9, "target": 0.0},
        "data_max": {"output": 0.99, "target": 9.0},
    }
    described = classifier(loss="arcface")
    data = (Data("input"), Data("target", "int64"), described.data[2])
    described = dataclasses.replace(described, data=data)
    loss = np.maximum(np.linspace(2.3, 1.0, 200), 1.5)
    (found,) = gradscope.diagnose(run(described, loss=loss, **outputs))
    assert (found.kind, found.severity) == ("output-range", "warning")
    share = np.exp(2) / (np.exp(2) + 9)
    assert found.evidence["least_loss"] == pytest.approx(-np.log(share))
    assert "cosines of vectors" in found.cause
    # A loss with a scale of its own, and one that still falls.
    loss = np.maximum(np.linspace(2.3, 0.1, 200), 0.3)
    assert kinds(run(described, loss=loss, **outputs)) == []
    falls = np.linspace(2.3, 1.5, 200)
    assert kinds(run(described, loss=falls, **outputs)) == []


def test_a_loss_of_unknown_kind_that_stays():
    stays = {"loss": 1 - 0.03 * np.linspace(0, 1, 200)}
    (found,) = gradscope.diagnose(record(network(), 200, **stays))
    assert (found.kind, found.severity) == ("nothing-learned", "warning")
    assert "stays within 3 % of its first value (0.999)" in found.what
    assert "a margin that distances never reach" in found.cause
    # An adversary's loss goes up and down.
    swings = 1 + 0.2 * np.sin(np.arange(200))
    assert kinds(record(network(), 200, loss=swings)) == []


def test_outputs_that_nothing_reaches():
    relu = Activation("dense_1/relu", "relu", 64)
    described = dataclasses.replace(classifier(), activations=(relu,))
    even = {"kernel_initializer": {"class_name": "GlorotUniform"}}
    described.model["layers"].append(
        {"name": "dense_1", "class": "Dense", "config": even}
    )
    silent = {
        "data_variation": {"output": 0.0},
        "dead_fraction": 1.0,
        "zero_fraction": 1.0,
        "weight_norm": {"dense_1/bias": 0.0},
        "loss": np.full(200, 2.3),
    }
    (found,) = gradscope.diagnose(run(described, **silent))
    assert (found.kind, found.severity) == ("nothing-learned", "error")
    assert "from the first step on" in found.what
    # A bias that keeps units at zero is the cause.
    silent["weight_norm"] = {"dense_1/bias": 5.0}
    assert ("dead-relu", "error") in kinds(run(described, **silent))
