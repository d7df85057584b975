"""Dead and always-on units, counted over examples; maps of units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradscope.format.rows import MOST_GROUPS, MOST_UNITS, Activation
from gradscope.format.schema import UNIT_COLUMNS
from gradscope.recording.unit_history import UnitHistory

RELU = Activation("dense/relu", "relu", 5)


def examples_of(count):
    return np.array([float(count)])


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 100),
    st.integers(0, 999),
)
def test_the_window_is_that_of_a_brute_force_count(batches, window, seed):
    random = np.random.default_rng(seed)
    chance = random.choice([0.0, 0.02, 0.5, 0.98, 1.0], size=5)
    outputs = [random.random([n, 5]) < chance for n in batches]
    units = UnitHistory((RELU,), window)
    for number, on in enumerate(outputs):
        ((dead, always_on),) = units.count(
            number, on.mean(axis=0), examples_of(len(on))
        )
        if sum(batches[: number + 1]) < window:
            assert np.isnan([dead, always_on]).all()
            continue
        # In no batch of the last that hold a window of examples.
        first = number
        while sum(batches[first : number + 1]) < window:
            first -= 1
        recent = np.concatenate(outputs[first : number + 1])
        assert dead == pytest.approx(np.mean(~recent.any(axis=0)))
        assert always_on == pytest.approx(np.mean(recent.all(axis=0)))


def test_what_cannot_die_or_be_always_on_has_no_such_share():
    rows = (
        Activation("a/tanh", "tanh", 2),
        Activation("b/relu6", "relu6", 2),
        Activation("c/leaky_relu", "leaky_relu", 2),
        Activation("d/relu", "relu", MOST_UNITS + 1),
    )
    units = UnitHistory(rows, 1)
    shares = units.count(0, np.array([0, 0, 1, 1.0]), np.full(4, 8.0))
    nan = np.nan
    expected = [[nan, nan], [1, nan], [nan, 1], [nan, nan]]
    np.testing.assert_array_equal(shares, expected)


def test_a_step_without_an_activation_says_nothing_about_its_units():
    units = UnitHistory((RELU,), 10)
    units.count(0, np.zeros(5), examples_of(10))
    nothing = np.full(5, np.nan)
    ((dead, _),) = units.count(1, nothing, np.array([np.nan]))
    assert dead == 1
    ((dead, _),) = units.count(2, np.ones(5), examples_of(1))
    assert dead == 0


def column(matrix, name):
    return matrix[:, UNIT_COLUMNS.index(name)].tolist()


def test_a_map_tells_since_when_a_unit_is_dead_and_when_it_revives():
    units = UnitHistory((RELU,), 20)
    assert units.map(0) is None
    for step in range(8):
        # One is always on, one fires in steps 2 and 7, one rarely, two never.
        sometimes = float(step in (2, 7))
        activity = np.array([1.0, sometimes, 0.1, 0, 0])
        units.count(step, activity, examples_of(10))
        if step in (0, 1, 3, 5):
            found = units.map(step)
            assert (found is None) == (step == 0)
        if step == 5:
            assert column(found, "unit_activity") == [1, 0, 0.1, 0, 0]
            assert column(found, "unit_dead") == [0, 1, 0, 1, 1]
            assert column(found, "unit_idle_examples") == [0, 30, 0, 60, 60]
            fired = column(found, "unit_last_fired")
            assert fired[:3] == [5, 2, 5] and np.isnan(fired[3:]).all()
    found = units.map(7)
    assert column(found, "unit_dead") == [0, 0, 0, 1, 1]
    assert column(found, "unit_activity") == [1, 0.5, 0.1, 0, 0]
    assert column(found, "unit_last_fired")[1] == 7


def test_maps_are_of_an_eighth_of_a_window_once_a_window_is_seen():
    units = UnitHistory((RELU,), 160)
    maps = []
    for step in range(30):
        units.count(step, np.ones(5), examples_of(10))
        if units.map(step) is not None:
            maps.append(step)
    assert maps == list(range(15, 30, 2))


def test_wide_layers_are_shown_in_groups_of_neighbours():
    wide = Activation("wide/relu", "relu", 3 * MOST_GROUPS - 1)
    assert len(wide.groups) == len(wide.group_names) == MOST_GROUPS
    assert wide.groups[:2] == ((0, 2), (3, 5))
    assert wide.groups[-1] == (3 * MOST_GROUPS - 3, 3 * MOST_GROUPS - 2)
    assert wide.group_names[0] == "wide/relu/0-2"
    units = UnitHistory((RELU, wide), 10)
    activity = np.ones(5 + wide.units)
    activity[5:8] = [0, 0.5, 0.25]
    activity[-1] = 0
    units.count(3, activity, np.full(2, 10.0))
    found = units.map(3)
    assert len(found) == 5 + MOST_GROUPS
    group = dict(zip(UNIT_COLUMNS, found[5], strict=True))
    assert group["unit_activity"] == 0.25
    assert group["unit_dead"] == pytest.approx(1 / 3)
    assert group["unit_idle_examples"] == 10
    assert np.isnan(group["unit_last_fired"])
    last = dict(zip(UNIT_COLUMNS, found[-1], strict=True))
    assert (last["unit_activity"], last["unit_dead"]) == (0.5, 0.5)


def test_long_runs_have_few_maps():
    units = UnitHistory((RELU,), 10)
    maps = 0
    for step in range(20_000):
        units.count(step, np.ones(5), examples_of(10))
        maps += units.map(step) is not None
    assert 64 < maps < 500


def test_without_activations_there_is_nothing_to_count():
    units = UnitHistory((), 10)
    assert units.count(0, np.zeros(0), np.zeros(0)).shape == (0, 2)
    assert units.map(0) is None
