"""Which rows of two runs belong together, and how far numbers are apart."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradscope.comparing.difference import noise, relative, same_bits
from gradscope.comparing.matching import match

names = st.lists(st.text(max_size=4), unique=True, max_size=8)
shapes = st.sampled_from([(8, 64), (64,), (64, 64), (64, 10), (10,)])


def matched(a: dict, b: dict):
    return match(list(a), list(a.values()), list(b), list(b.values()))


@st.composite
def rows(draw):
    return {name: draw(shapes) for name in draw(names)}


@given(rows(), rows())
def test_no_row_has_two_partners_and_all_are_paired_or_left_over(a, b):
    found = matched(a, b)
    firsts, seconds = ([pair[side] for pair in found.pairs] for side in (0, 1))
    assert len(set(firsts)) == len(firsts) == len(set(seconds))
    assert firsts == sorted(firsts)
    assert sorted(firsts + found.unpaired(0, len(a))) == list(range(len(a)))
    assert sorted(seconds + found.unpaired(1, len(b))) == list(range(len(b)))


@given(rows())
def test_a_run_matches_itself_by_name(a):
    found = matched(a, a)
    assert found.by == "name"
    assert found.pairs == tuple((i, i) for i in range(len(a)))


@given(rows(), rows())
def test_by_order_pairs_have_one_shape_and_keep_the_order(a, b):
    found = matched(a, b)
    if found.by == "order":
        own, other = list(a.values()), list(b.values())
        assert all(own[i] == other[j] for i, j in found.pairs)
        assert [j for _, j in found.pairs] == sorted(j for _, j in found.pairs)


def test_names_decide_though_a_layer_became_wider():
    a = {"dense": (8, 64), "dense_1": (64, 10)}
    b = {"dense": (8, 32), "dense_1": (32, 10)}
    assert matched(a, b).by == "name"
    assert matched(a, b).pairs == ((0, 0), (1, 1))


def test_names_that_keras_has_counted_on_do_not_mislead():
    a = {"dense": (8, 64), "dense_1": (64, 64), "dense_2": (64, 10)}
    b = {"dense_1": (8, 64), "dense_2": (64, 64), "dense_3": (64, 10)}
    assert matched(a, b).by == "order"
    assert matched(a, b).pairs == ((0, 0), (1, 1), (2, 2))


def test_without_a_common_name_what_is_of_one_shape_is_paired_in_order():
    a = {"w1": (8, 64), "w2": (64, 64), "w3": (64, 10)}
    b = {"k1": (8, 64), "k3": (64, 10)}
    found = matched(a, b)
    assert (found.by, found.pairs) == ("order", ((0, 0), (2, 1)))
    assert found.unpaired(0, 3) == [1]


def test_what_has_nothing_in_common_has_no_pairs():
    found = matched({"a": (1,)}, {"b": (2,)})
    assert (found.by, found.pairs) == ("name", ())


numbers = st.floats(width=32)


@given(numbers, numbers, st.floats(1e-3, 1e3))
def test_a_relative_difference_is_symmetric_and_has_no_scale(a, b, scale):
    found = relative(a, b)
    np.testing.assert_equal(found, relative(b, a))
    if np.isfinite([a, b]).all():
        assert 0 <= found <= 2
        scaled = relative(scale * a, scale * b)
        np.testing.assert_allclose(scaled, found, rtol=1e-6, atol=1e-12)


def test_relative_differences_by_hand():
    nan, inf = np.nan, np.inf
    a = [1.0, 3.0, 0.0, 0.0, nan, nan, inf, inf, inf, 1.0]
    b = [1.0, 4.0, 0.0, 2.0, nan, 1.0, inf, -inf, 5.0, -1.0]
    expected = [0, 0.25, 0, 1, nan, 1, 0, 1, 1, 2]
    np.testing.assert_array_equal(relative(a, b), expected)


def test_nan_has_the_bits_of_nan():
    a, b = np.array([np.nan, np.nan, 0, 1]), np.array([np.nan, 1, 0, 1 + 1e-7])
    assert same_bits(a, b).tolist() == [True, False, True, False]


def test_noise_is_what_is_small_beside_the_largest_in_both_runs():
    a = np.array([[1.0, 9e-5, 1e-9, 1e-9, np.nan]])
    b = np.array([[0.9, 1e-5, 2e-9, 1e-3, np.nan]])
    assert noise(a, b).tolist() == [[False, True, True, False, False]]
    assert not noise(np.zeros((1, 2)), np.zeros((1, 2))).any()
    assert noise(np.ones((3, 0)), np.ones((3, 0))).shape == (3, 0)
