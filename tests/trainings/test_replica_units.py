"""Activations of several replicas: a unit that fired on any is alive."""

import pickle

import forked
import numpy as np
import pytest
import replica_units as replicas

import gradscope


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("units") / "weights"
    errors = out.with_suffix(".errors")
    process = forked.start(replicas.main, out, errors=errors)
    assert forked.finish(process, errors, limit=240) == ""
    with open(out, "rb") as file:
        return pickle.load(file), f"{out}.logs"


@pytest.mark.parametrize("case", replicas.CASES)
def test_observing_activations_changes_no_bit(case, trained):
    weights, _ = trained
    for count in (1, 2):
        plain, observed = (weights[case, count, is_] for is_ in (False, True))
        for expected, actual in zip(plain, observed, strict=True):
            np.testing.assert_array_equal(actual, expected)


def test_an_output_that_is_merged_is_read_without_a_change_of_bits(trained):
    weights, _ = trained
    for expected, actual in zip(
        weights["inside", False], weights["inside", True], strict=True
    ):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("case", replicas.CASES)
def test_a_unit_that_fires_on_any_replica_is_alive(case, trained):
    _, logs = trained
    record = gradscope.read(f"{logs}/{case}_2")
    assert record.steps.tolist() == list(range(replicas.STEPS))
    dead = record["dead_fraction"][:, 0]
    # Three batches hold a window of 40 examples.
    assert np.isnan(dead[:2]).all()
    np.testing.assert_array_equal(dead[2:], 1 / 4)
    _, units = record.occasional("units")
    column = list(record.schema.columns["units"]).index("unit_activity")
    activity = units[:, :, column]
    np.testing.assert_allclose(activity, [[0.5, 0, 1, 1]] * len(units))


@pytest.mark.parametrize("case", replicas.CASES)
def test_numbers_are_those_of_the_whole_batch(case, trained):
    _, logs = trained
    one, two = (gradscope.read(f"{logs}/{case}_{count}") for count in (1, 2))
    assert one.schema.unseen == two.schema.unseen == ()
    for name in (
        "zero_fraction",
        "activation_mean",
        "activation_rms",
        "activation_max",
        "data_mean",
        "data_min",
        "data_max",
    ):
        rows = slice(None)
        if name.startswith("data"):
            assert one.schema.data == two.schema.data
            # Of the outputs, batch norm makes something else of half a batch.
            told = one.schema.rows("data")
            rows = [n for n, name in enumerate(told) if name != "output"]
        np.testing.assert_allclose(
            two[name][:, rows], one[name][:, rows], rtol=1e-5, err_msg=name
        )
    assert (two["training_mode"] == 1).all()
    assert (two["mean_distance"] > 0).any()
