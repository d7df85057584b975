"""What must hold of batches, of `fit`'s arguments and of validation."""

import dataclasses
import warnings

import numpy as np
import pytest
from classifiers import classifier, epochs, run
from synthetic import network, record

import gradscope
from gradscope.format.schema import Data, Wiring


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def with_wiring(*wiring):
    return dataclasses.replace(classifier(), wiring=wiring)


def test_targets_that_drift_from_batch_to_batch():
    drift = {
        "data_mean": {"target": np.linspace(0, 9, 200)},
        "data_variation": {"target": 0.7},
    }
    (found,) = gradscope.diagnose(run(**drift))
    assert (found.kind, found.severity) == ("unshuffled-data", "warning")
    mean = np.linspace(0, 9, 200)
    excess = np.var(mean) / ((0.7**2 + np.var(mean)) / 32)
    assert found.evidence["excess"] == pytest.approx(excess, rel=1e-3)
    assert "shuffle(100)" in found.cause
    # Random batches of 32 examples, with a standard deviation of 2.9.
    chance = 4.5 + np.random.default_rng(0).normal(0, 2.9 / np.sqrt(32), 200)
    fair = {"target": chance}, {"target": 2.9}
    assert kinds(run(data_mean=fair[0], data_variation=fair[1])) == []
    empty = run(**drift, data_examples={"target": 0})
    assert kinds(empty) == []


def test_a_rate_below_zero_has_not_vanished():
    """It climbs; the sign is the user's."""
    assert kinds(run(learning_rate=-0.01, loss=np.full(200, 1.0))) == []


def test_infinite_numbers_make_no_warning_of_numpy():
    rise = {"target": np.r_[np.zeros(100), np.full(100, np.inf)]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gradscope.diagnose(run(data_mean=rise)) == []


def tokens(mask, target=(50,), **config):
    layers = [
        ("embed", "Embedding", {"input_dim": 40, "mask_zero": mask}),
        ("lstm", "LSTM", config),
    ]
    described = classifier(9, layers=layers)
    data = (
        Data("input", "int32", (50,)),
        Data("target", "int32", target),
        Data("output", "float32", (*target, 9)),
    )
    return dataclasses.replace(described, data=data)


def test_padding_that_no_mask_covers():
    padded = {
        "data_zero_fraction": {"input": 0.9, "target": 0.9},
        "data_max": {"input": 39.0, "target": 8.0},
    }
    (found,) = gradscope.diagnose(run(tokens(False), **padded))
    assert (found.kind, found.severity) == ("unmasked-padding", "warning")
    assert found.layer == "embed" and "`Embedding(..., mask" in found.remedy
    assert "so are 90 % of the targets" in found.what
    assert kinds(run(tokens(True), **padded)) == []
    padded["data_zero_fraction"] = {"input": 0.2, "target": 0.2}
    assert kinds(run(tokens(False), **padded)) == []


def test_padding_before_a_single_answer_may_be_bridged():
    padded = {
        "data_zero_fraction": {"input": 0.9},
        "data_max": {"input": 39.0, "target": 8.0},
    }
    one = tokens(False, target=())
    (note,) = gradscope.diagnose(run(one, **padded))
    assert (note.kind, note.severity) == ("unmasked-padding", "note")
    assert "loss" not in note.cause + note.remedy  # it has no positions
    stays = np.linspace(2.2, 2.0, 200)
    found = dict(kinds(run(one, loss=stays, **padded)))
    assert found["unmasked-padding"] == "warning"


def test_a_state_of_other_sequences():
    (found,) = gradscope.diagnose(
        run(with_wiring(Wiring("shuffled_state", "memory", "LSTM")))
    )
    assert (found.kind, found.severity) == ("shuffled-state", "warning")
    assert found.layer == "memory" and "shuffle=False" in found.remedy


def test_a_plateau_that_never_lowers_the_rate():
    wiring = Wiring("idle_plateau", "ReduceLROnPlateau", "0.03 0.03")
    (found,) = gradscope.diagnose(run(with_wiring(wiring)))
    assert (found.kind, found.severity) == ("learning-rate", "warning")
    assert "can never lower the learning rate: it is 0.03" in found.what


def test_indices_that_were_rounded():
    (found,) = gradscope.diagnose(
        run(with_wiring(Wiring("half_index", "items", "float16 6016")))
    )
    assert (found.kind, found.severity) == ("rounded-index", "warning")
    assert found.layer == "items" and "only up to 2048" in found.what
    # All indices of a small table are numbers of 16 bits.
    small = with_wiring(Wiring("half_index", "items", "float16 500"))
    assert kinds(run(small)) == []


def test_a_fit_without_steps():
    steps = record(network(), 1)
    wiring = (Wiring("no_step", "Adam", "frozen"),)
    nothing = dataclasses.replace(network(), variables=(), wiring=wiring)
    families = {"run": np.full((1, 1, 8), np.nan, np.float32)}
    empty = dataclasses.replace(steps, schema=nothing, families=families)
    (found,) = gradscope.diagnose(empty)
    assert (found.kind, found.severity) == ("no-steps", "error")
    assert "optimizer `Adam` made no step" in found.what
    assert "`trainable` is False for all" in found.cause
    idle = (Wiring("no_step", "Adam", "idle"),)
    idle = dataclasses.replace(nothing, wiring=idle)
    (found,) = gradscope.diagnose(dataclasses.replace(empty, schema=idle))
    assert found.severity == "warning" and "counter of Python's" in found.cause


def test_a_validation_loss_that_no_epoch_brings_down():
    logs = epochs(loss=[1.0, 0.5, 0.1], val_loss=[9000.0, 8000.0, 8500.0])
    (found,) = gradscope.diagnose(run(logs=logs))
    assert (found.kind, found.severity) == ("validation-differs", "warning")
    assert "never below 8000" in found.what
    # Overfitting begins with a validation that gets better.
    logs = epochs(loss=[1.0, 0.5, 0.1], val_loss=[1.2, 2.0, 9.0])
    assert kinds(run(logs=logs)) == []


def test_an_adversary_that_does_not_resist():
    frozen = [("judge", "Dense", {"trainable": False})]
    described = classifier(1, "BinaryCrossentropy", frozen)
    won = {
        "data_variation": {"target": 0.0, "output": 0.1},
        "data_mean": {"target": 1.0},
        "data_max": {"target": 1.0},
        "loss": np.maximum(np.linspace(0.7, -0.7, 200), 1e-3),
    }
    (found,) = gradscope.diagnose(run(described, **won))
    assert (found.kind, found.severity) == ("nothing-learned", "warning")
    assert found.layer == "judge" and "swapped in one of the two" in found.cause
    won["loss"] = np.full(200, 0.7) + 0.2 * np.sin(np.arange(200))
    assert kinds(run(described, **won)) == []


def test_a_loss_of_a_single_class():
    described = classifier(1, "CategoricalCrossentropy")
    nothing = {
        "loss": np.full(200, 1.2e-7),
        "global_gradient_norm": np.zeros(200),
        "data_max": {"target": 1.0},
    }
    (found,) = gradscope.diagnose(run(described, **nothing))
    assert (found.kind, found.severity) == ("nothing-learned", "error")
    assert "0 but for rounding" in found.what
    assert "There is a single output" in found.cause
