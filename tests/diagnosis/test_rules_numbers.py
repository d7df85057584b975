"""What a record lacks, or has of odd batches, makes no warning of numpy."""

import dataclasses
import warnings

import numpy as np
import pytest
from classifiers import classifier, epochs, run

import gradscope
from gradscope.diagnosis.spells import average, largest, smallest
from gradscope.format.columns import FAMILIES
from gradscope.format.schema import Data


def diagnose_strictly(record):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return gradscope.diagnose(record)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_any_statistic_may_be_missing(family):
    for name in FAMILIES[family]:
        if name != "gradient_missing":  # without it no step was made
            diagnose_strictly(run(count=60, **{name: np.nan}))


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [
        ("SparseCategoricalCrossentropy", 10),
        ("BinaryCrossentropy", 1),
        ("MeanSquaredError", 1),
        ("own_loss", 10),
    ],
)
def test_data_may_be_missing_as_a_whole(loss, outputs):
    described = classifier(outputs, loss)
    nothing = {name: np.nan for name in FAMILIES["data"]}
    diagnose_strictly(run(described, count=60, **nothing))
    only_sizes = nothing | {"data_rms": 1000.0}
    diagnose_strictly(run(described, count=60, **only_sizes))


def test_batches_of_one_example_do_not_vary_and_may_be_random():
    """The mean of a batch is then a target: it varies as targets do."""
    mean = np.random.default_rng(0).integers(0, 10, 200)
    of_one = {
        "data_mean": {"target": mean},
        "data_variation": np.nan,
        "data_examples": 1.0,
    }
    assert diagnose_strictly(run(**of_one)) == []


def test_batches_without_examples():
    empty = {
        "data_mean": np.nan,
        "data_variation": np.nan,
        "data_rms": np.nan,
        "data_min": np.inf,
        "data_max": -np.inf,
        "data_examples": 0.0,
    }
    diagnose_strictly(run(**empty))


def test_an_accuracy_that_is_no_number_in_all_epochs():
    nothing = [np.nan] * 3
    logs = epochs(loss=[2.0, 1.0, 0.5], acc=nothing, val_acc=nothing)
    diagnose_strictly(run(logs=logs))


def test_several_targets_without_sizes():
    names = ("input", "target/0", "target/1", "output/0", "output/1")
    rows = tuple(Data(name, "float32", (1,)) for name in names)
    described = dataclasses.replace(classifier(), data=rows)
    sizeless = {"data_max": 1.0, "data_rms": np.nan}
    diagnose_strictly(run(described, count=60, **sizeless))


def test_numbers_without_nan():
    odd = [np.nan, 2.0, -np.inf, 7.0]
    assert (smallest(odd), largest(odd)) == (-np.inf, 7.0)
    assert average([np.nan, 1.0, 2.0]) == 1.5
    for function in (smallest, largest, average):
        assert np.isnan(function([np.nan])) and np.isnan(function([]))
