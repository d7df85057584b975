"""Batch norms whose batches take turns, or that were hardly averaged."""

import dataclasses

import numpy as np
import pytest
from classifiers import classifier, epochs, run

import gradscope
from gradscope.format.schema import State


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def normalised(momentum=0.99, **options):
    layers = [("norm", "BatchNormalization", {"momentum": momentum})]
    described = classifier(layers=layers, **options)
    states = (State("norm", "batch_norm", 8, layer="norm"),)
    return dataclasses.replace(described, states=states)


#: Validation costs five times as much as training.
COSTLY = epochs(
    loss=[1.0, 0.2, 0.1],
    val_loss=[0.7, 0.5, 0.5],
    accuracy=[0.7, 0.95, 0.97],
    val_accuracy=[0.8, 0.86, 0.87],
)


def test_moving_statistics_that_are_mostly_those_of_the_start():
    (found,) = gradscope.diagnose(
        run(normalised(), 33, mean_distance=0.9, logs=COSTLY)
    )
    assert (found.kind, found.severity) == ("batchnorm-statistics", "warning")
    # 0.99 to the power of 33.
    assert "A momentum of 0.99 leaves 72 % of the initial" in found.cause
    assert found.evidence["share_of_start"] == pytest.approx(0.99**33)
    assert found.evidence["distance_limit"] == 0.5
    # They are near those of the batches; or nothing is left of the start.
    near = run(normalised(), 33, mean_distance=0.4, logs=COSTLY)
    quick = run(normalised(0.9), 33, mean_distance=0.9, logs=COSTLY)
    assert kinds(near) == kinds(quick) == []


def test_a_short_training_that_costs_nothing_in_validation():
    logs = epochs(loss=[1.0, 0.5, 0.4], val_loss=[0.8, 0.5, 0.4])
    done = run(normalised(), 33, mean_distance=0.9, logs=logs)
    assert "warning" not in dict(map(reversed, kinds(done)))


@pytest.mark.parametrize("count", [12, 33, 96])
@pytest.mark.parametrize(
    ("validation", "is_found"), [(0.84, False), (0.66, False), (0.3, True)]
)
def test_a_short_training_whose_validation_follows(validation, is_found, count):
    """A network that sees one of four quadrants lit had .835 and .656 after 96
    steps, and .93 and .938 after 192."""
    logs = epochs(
        loss=[1.4, 1.2, 1.0],
        accuracy=[0.3, 0.84, 0.84],
        val_accuracy=[0.25, validation, validation],
    )
    short = run(normalised(), count, mean_distance=1.5, logs=logs)
    severity = "note" if count < 16 else "warning"
    expected = [("batchnorm-statistics", severity)] * is_found
    assert kinds(short) == expected


def test_a_norm_that_two_kinds_of_batches_share_by_turns():
    described = normalised(classes=1, loss="BinaryCrossentropy")
    turns = {
        "data_mean": {"target": np.arange(600) % 2},
        "data_variation": {"target": 0.0},
        "data_max": {"target": 1.0},
        "loss": np.full(600, 0.5) + 0.1 * np.sin(np.arange(600)),
    }
    far = {"mean_distance": 5.0}
    (found,) = gradscope.diagnose(run(described, 600, **turns, **far))
    assert (found.kind, found.severity) == ("shared-batchnorm", "warning")
    assert found.layer == "norm" and "two kinds of batches take" in found.what
    assert found.evidence["distance"] == 5
    assert kinds(run(described, 600, **turns)) == []
    # Batches that have both kinds lag for another reason.
    mixed = turns | {"data_variation": {"target": 0.5}}
    found, *_ = gradscope.diagnose(run(described, 600, **mixed, **far))
    assert found.kind == "batchnorm-statistics"
