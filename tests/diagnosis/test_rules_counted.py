"""What counts: steps of zero, padding, soft targets, validation; and texts."""

import dataclasses

import numpy as np
import pytest
from classifiers import classifier, epochs, run

import gradscope
from gradscope.format.schema import Activation, Data


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def lost(is_lost, **more):
    loss = np.where(is_lost, 0, np.linspace(1, 0.5, 200))
    gradient = np.where(is_lost, 0, 0.3)
    described = classifier(loss="distilled")
    statistics = {"loss": loss, "global_gradient_norm": gradient}
    return run(described, **statistics, **more)


def test_steps_in_which_no_example_counts():
    every_third = np.arange(200) % 3 == 1
    (found,) = gradscope.diagnose(lost(every_third))
    assert (found.kind, found.severity) == ("nothing-learned", "warning")
    assert found.what.startswith("In 34 % of the recorded steps, and in 35 %")
    assert found.evidence["lost"] == pytest.approx(67 / 200)
    assert "something is compared with itself" in found.cause
    good = epochs(loss=[1.0, 0.5], accuracy=[0.8, 0.97])
    assert kinds(lost(every_third, logs=good)) == [("nothing-learned", "note")]


def test_a_margin_that_is_reached_in_time_is_no_lost_step():
    late = (np.arange(200) > 100) & (np.arange(200) % 2 == 0)
    assert kinds(lost(late)) == []
    rare = np.arange(200) % 10 == 1
    assert kinds(lost(rare)) == []


def test_a_loss_of_zero_with_a_gradient_is_learned_from():
    """As that of a reward: its value says nothing of its slope."""
    every_third = np.arange(200) % 3 == 1
    moving = lost(every_third)
    moving.families["run"][:, 0, :] = np.where(
        moving.families["run"][:, 0, :] == 0, 0.3, moving.families["run"][:, 0]
    )
    assert kinds(moving) == []


def masked(zeros, mask, rows=120):
    layers = [("words", "Embedding", {"input_dim": rows, "mask_zero": False})]
    data = (
        Data("input/0", "int32", (24,)),
        Data("input/1", "float32", (24,)),
        Data("target", "float32", (1,)),
        Data("output", "float32", (1,)),
    )
    described = classifier(1, "BinaryCrossentropy", layers)
    described = dataclasses.replace(described, data=data)
    return run(
        described,
        data_zero_fraction={"input/0": zeros},
        data_min={"input/1": mask},
        data_max={"input/0": rows - 1.0, "input/1": 1.0, "target": 1.0},
    )


def test_a_mask_that_is_one_for_the_padding():
    (found,) = gradscope.diagnose(masked(0.4, 1.0))
    assert (found.kind, found.severity) == ("unmasked-padding", "warning")
    assert found.what.startswith("40 % of the tokens are 0")
    assert "`input/1`, an input of the same shape, is 1" in found.what
    assert "tokens != 0" in found.remedy
    assert kinds(masked(0.4, 0.0)) == []  # some are masked
    assert kinds(masked(0.1, 1.0)) == []  # 0 may be a word
    assert kinds(masked(0.25, 1.0, rows=4)) == []  # or one of four letters


def shares(highest, peak, loss):
    row = (Activation("loss/softmax", "softmax", 10, rank=2),)
    described = classifier(10, "CategoricalCrossentropy")
    model = dict(described.model, loss={"class": "divergence", "config": {}})
    described = dataclasses.replace(described, activations=row, model=model)
    return run(
        described,
        data_mean={"target": 0.1},
        data_max={"target": highest},
        data_variation={"target": 0.1},
        activation_max=peak,
        loss=np.linspace(*loss, 200),
    )


def test_probabilities_beyond_the_shares_that_they_should_become():
    (found,) = gradscope.diagnose(shares(0.8, 0.9999, (-1.7, -2.1)))
    assert (found.kind, found.severity) == ("output-range", "warning")
    assert found.what.startswith("The targets are shares of at most 0.8")
    assert "never below zero" in found.cause
    assert "tf.nn.log_softmax(logits)" in found.remedy
    assert kinds(shares(0.8, 0.85, (-1.7, -2.1))) == []
    assert kinds(shares(0.8, 0.9999, (1.7, 0.1))) == []
    assert kinds(shares(1.0, 0.9999, (-1.7, -2.1))) == []  # one-hot


def test_a_validation_far_below_the_first_epoch():
    first = {"loss": [1.9, 0.7, 0.3], "accuracy": [0.6, 0.9, 0.95]}
    logs = epochs(**first, val_accuracy=[0.12, 0.2, 0.15])
    (found,) = gradscope.diagnose(run(logs=logs))
    assert (found.kind, found.severity) == ("validation-differs", "warning")
    assert "never gets above 0.2, and training had 0.6 in its" in found.what
    assert found.evidence["share"] == pytest.approx(0.1 / 0.5)
    assert "does not tell how these differ" in found.cause
    logs = epochs(**first, val_accuracy=[0.3, 0.35, 0.35])
    assert kinds(run(logs=logs)) == []
    # Who learned little in the first epoch is no measure.
    first["accuracy"] = [0.2, 0.9, 0.95]
    logs = epochs(**first, val_accuracy=[0.12, 0.12, 0.11])
    assert kinds(run(logs=logs)) == []


@pytest.mark.parametrize(
    ("kind", "sentence", "statistics"),
    [
        (
            "loss-diverges",
            "Check, the likeliest first: (1) divide the learning rate by ten",
            {"loss": np.linspace(1, 20, 200)},
        ),
        (
            "exploding-gradient",
            "The record does not tell why. Possible reasons, the likeliest",
            {
                "global_gradient_norm": np.repeat([0.3, 90.0], [150, 50]),
                "loss": np.full(200, 2.0) + 0.3 * np.sin(np.arange(200)),
            },
        ),
        (
            "constant-labels",
            "Most likely the data are sorted by class and not shuffled",
            {
                "data_mean": {"target": np.repeat([0.0, 9.0], 100)},
                "data_variation": {"target": 0.0},
            },
        ),
    ],
)
def test_a_symptom_says_what_to_check(kind, sentence, statistics):
    messages = {
        f.kind: f.message for f in gradscope.diagnose(run(**statistics))
    }
    assert sentence in messages[kind]
