"""Spells and medians against plain definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from synthetic import network, record

from gradscope.diagnosis.spells import (
    Spell,
    longest_spell,
    median,
    running_median,
    spells,
)
from gradscope.diagnosis.view import View

FLAGS = st.lists(st.booleans(), max_size=40)
NUMBERS = st.floats(-5, 5) | st.just(np.nan)


@given(FLAGS, st.integers(1, 5))
def test_spells_are_all_runs_of_enough_true_values(flags, least):
    found = spells(np.array(flags, bool), least)
    covered = np.zeros(len(flags), bool)
    for spell in found:
        assert spell.length >= least
        assert all(flags[spell.slice])
        assert spell.start == 0 or not flags[spell.start - 1]
        assert spell.stop == len(flags) or not flags[spell.stop]
        assert spell.until_the_end == (spell.stop == len(flags))
        covered[spell.slice] = True
    if least == 1:
        assert covered.tolist() == flags


@given(FLAGS)
def test_the_longest_spell_is_one_of_them(flags):
    found = spells(np.array(flags, bool))
    chosen = longest_spell(np.array(flags, bool))
    assert (chosen is None) == (not found)
    assert not found or chosen.length == max(s.length for s in found)


@given(
    hnp.arrays(
        float, hnp.array_shapes(min_dims=2, max_dims=2), elements=NUMBERS
    ),
    st.sampled_from([None, 0, 1]),
)
@pytest.mark.filterwarnings("ignore:All-NaN")
def test_median_is_that_of_numpy(values, axis):
    np.testing.assert_array_equal(
        median(values, axis=axis), np.nanmedian(values, axis=axis)
    )


@pytest.mark.parametrize("shape, axis", [((0,), None), ((0, 3), 0)])
def test_the_median_of_nothing_is_undefined(shape, axis):
    assert np.isnan(median(np.zeros(shape), axis=axis)).all()


def test_one_odd_step_is_smoothed_away():
    values = np.ones(50)
    values[20] = 1000
    np.testing.assert_array_equal(running_median(values), np.ones(50))
    values[20:26] = 1000
    assert running_median(values)[23] == 1000
    assert len(running_median(np.zeros(0))) == 0


@pytest.mark.parametrize(
    ("count", "start"), [(3, 0), (5, 0), (20, 15), (200, 180)]
)
def test_the_end_of_a_run_is_its_last_tenth_or_five_records(count, start):
    view = View(record(network(), count))
    assert view.end == Spell(start, count, count)
