"""A record of the points of many tags, and of the parts of a run."""

import dataclasses
import itertools

import numpy as np
import runs
from hypothesis import given
from hypothesis import strategies as st
from points import NET, points

from gradscope.format import schema
from gradscope.reading import joining


@given(st.lists(st.integers(0, 20)))
def test_kept_steps_increase_and_the_last_arrival_of_a_step_wins(steps):
    kept = joining.valid_indices(steps)
    assert kept == sorted(kept)
    chosen = [steps[index] for index in kept]
    assert all(a < b for a, b in itertools.pairwise(chosen))
    # What is dropped was obsolete: a later point is at or before it.
    for index in set(range(len(steps))) - set(kept):
        assert min(steps[index + 1 :]) <= steps[index]
    for index in kept:
        assert all(later > steps[index] for later in steps[index + 1 :])


def test_without_a_schema_or_a_step_there_is_no_record():
    series = points([0])
    for tag in series:
        assert joining.from_series("run", {tag: series[tag]}) is None
    assert joining.from_series("run", {}) is None


def test_points_of_a_wrong_shape_are_left_out():
    series = points([0, 1])
    series[schema.tag("variables", NET.id)].append((2, 2.0, np.ones([1, 1])))
    assert joining.from_series("run", series).steps.tolist() == [0, 1]


def test_a_family_that_misses_a_step_is_nan_there():
    series = points([0, 1, 2])
    run = np.ones([1, len(schema.RUN_COLUMNS)], np.float32)
    series[schema.tag("run", NET.id)] = [(0, 0.0, run), (2, 2.0, run * 2)]
    record = joining.from_series("run", series)
    np.testing.assert_array_equal(record["learning_rate"], [1, np.nan, 2])


def test_rows_of_another_model_are_nan_and_the_last_model_leads():
    other = runs.network(1, name="new_{}")
    series = points([0, 1]) | points([2, 3], other, start=10, level=2)
    record = joining.from_series("run", series)
    assert record.steps.tolist() == [0, 1, 2, 3]
    assert record.layers == ("new_1", "dense_1", "dense_2")
    nan = np.nan
    expected = [[nan] * 2 + [1] * 4] * 2 + [[2] * 2 + [nan] * 4] * 2
    np.testing.assert_array_equal(record["gradient_norm"], expected)


def test_parts_that_take_turns_lose_no_step():
    other = runs.network(1, name="new_{}")
    # Fetched by two drains, whose clocks say little about the order.
    series = points([0, 1, 2, 5, 6, 7]) | points([3, 4, 8], other, start=0.5)
    record = joining.from_series("run", series)
    assert record.steps.tolist() == list(range(9))
    column = record.variables.index("new_1/kernel")
    of_new = ~np.isnan(record["gradient_norm"][:, column])
    assert np.flatnonzero(of_new).tolist() == [3, 4, 8]


def test_a_model_whose_steps_were_all_done_again_is_history():
    other = runs.network(1, name="new_{}")
    series = points([0, 1]) | points([0, 1], other, start=10)
    assert joining.from_series("run", series).layers == ("new_1",)


def test_a_variable_has_the_shape_of_the_last_model():
    small, large = runs.network(1, width=2), runs.network(1, width=3)
    for first, last in [(small, large), (large, small)]:
        series = points([0], first) | points([1], last, start=10)
        record = joining.from_series("run", series)
        assert record.schema.variables == last.variables


def test_columns_of_another_version_are_matched_by_name():
    columns = ("gradient_missing", "gradient_norm")
    old = schema.Schema(NET.variables, columns={"variables": columns})
    numbers = np.array([[0, 5]] * 4, np.float32)
    series = {
        schema.tag("schema", old.id): [(0, 0.0, old.to_json().encode())],
        schema.tag("variables", old.id): [(0, 0.0, numbers)],
    }
    record = joining.from_series("run", series | points([1], start=10, level=2))
    assert record.steps.tolist() == [0, 1]
    assert record["gradient_norm"].tolist() == [[5] * 4, [2] * 4]
    assert np.isnan(record["weight_norm"][0]).all()


def test_a_newer_family_of_an_older_part_is_left_out():
    columns = {**schema.FAMILIES, "state": ("rate",)}
    old = schema.Schema(NET.variables, columns=columns)
    series = points([0], old) | points([1], start=10)
    rate = np.ones([1, 1], np.float32)
    series[schema.tag("state", old.id)] = [(0, 0.0, rate)]
    record = joining.from_series("run", series)
    assert record.steps.tolist() == [0, 1]
    assert "rate" not in record.statistics


RELU = schema.Activation("dense_1/relu", "relu", 2)


def with_maps(series, described, maps):
    """Adds maps of units, `{index of a point: level}`, to a run's series."""
    tag = schema.tag("variables", described.id)
    shape = (len(described.rows("units")), len(schema.UNIT_COLUMNS))
    series[schema.tag("units", described.id)] = [
        (*series[tag][index][:2], np.full(shape, level, np.float32))
        for index, level in maps.items()
    ]
    return series


def with_units(described, *activations):
    return dataclasses.replace(described, activations=activations)


def test_only_some_steps_have_units():
    net = with_units(NET, RELU)
    series = with_maps(points([0, 1, 2, 3], net), net, {1: 5, 3: 6})
    steps, values = joining.from_series("run", series).occasional("units")
    assert steps.tolist() == [1, 3]
    assert values[:, :, 0].tolist() == [[5, 5], [6, 6]]


def test_maps_of_steps_that_were_made_again_are_obsolete():
    net = with_units(NET, RELU)
    # Steps 0 to 9 with maps at 2, 4 and 8, then again from 3 to 7, where
    # there was but one, at 6.
    series = points([*range(10), *range(3, 8)], net)
    series = with_maps(series, net, {2: 1, 4: 2, 8: 3, 13: 4})
    record = joining.from_series("run", series)
    assert record.steps.tolist() == list(range(8))
    steps, values = record.occasional("units")
    assert steps.tolist() == [2, 6]
    assert values[:, 0, 0].tolist() == [1, 4]


def test_a_clock_that_is_set_back_makes_no_map_obsolete():
    net = with_units(NET, RELU)
    series = points([0, 1, 2], net)
    for tag in list(series):
        step, _, value = series[tag][0]
        series[tag][0] = (step, 1000.0, value)
    series = with_maps(series, net, {2: 1})
    steps, _ = joining.from_series("run", series).occasional("units")
    assert steps.tolist() == [2]


def test_maps_of_models_that_take_turns_are_all_kept():
    other = with_units(
        runs.network(1, name="new_{}"),
        schema.Activation("new_1/relu", "relu", 1),
    )
    net = with_units(NET, RELU)
    first = points([0, 1, 2, 5, 6, 7], net)
    second = points([3, 4, 8], other, start=0.5)
    series = with_maps(first, net, {2: 1, 4: 2}) | with_maps(
        second, other, {1: 3, 2: 4}
    )
    record = joining.from_series("run", series)
    steps, values = record.occasional("units")
    assert steps.tolist() == [2, 4, 6, 8]
    names = record.schema.rows("units")
    levels = dict(zip(names, values[:, :, 0].T.tolist(), strict=True))
    np.testing.assert_array_equal(
        levels["new_1/relu/0"], [np.nan, 3, np.nan, 4]
    )
    np.testing.assert_array_equal(
        levels["dense_1/relu/0"], [1, np.nan, 2, np.nan]
    )


def test_a_probe_before_a_step_that_is_fetched_later_is_kept():
    other = runs.network(1, name="new_{}")
    losses = np.array([[2.0, 1.0]], np.float32)
    first = points([0, 1, 2], start=10)
    first[schema.tag("probe", NET.id)] = [(2, 5.0, losses), (3, 6.0, losses)]
    record = joining.from_series("run", first)
    assert record.occasional("probe")[0].tolist() == [2, 3]
    # And the last one of a model is not that of the next, which begins there.
    record = joining.from_series("run", first | points([3, 4], other, 20))
    steps, values = record.occasional("probe")
    assert steps.tolist() == [2, 3]
    np.testing.assert_array_equal(values[1], losses)


def test_a_later_model_makes_the_maps_of_its_steps_obsolete():
    net = with_units(NET, RELU)
    other = with_units(runs.network(1, name="new_{}"), RELU)
    first = with_maps(points(range(10), net), net, {3: 1, 6: 2, 9: 3})
    second = with_maps(points([5, 6, 7], other, start=100), other, {2: 4})
    record = joining.from_series("run", first | second)
    assert record.steps.tolist() == list(range(8))
    steps, values = record.occasional("units")
    assert steps.tolist() == [3, 7]
    assert values[:, 0, 0].tolist() == [1, 4]
