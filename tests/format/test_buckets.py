"""Half octaves with exact edges."""

import numpy as np
import pytest

from gradscope.format import histogram_buckets


def test_there_is_an_edge_more_than_finite_buckets():
    edges = histogram_buckets.edges()
    assert edges.dtype == np.float64
    assert (
        len(edges) == histogram_buckets.COUNT
    )  # the last count is what is not finite
    assert (np.diff(edges) > 0).all()


def test_edges_are_symmetric_and_powers_of_two_and_a_half_more():
    edges = histogram_buckets.edges()
    np.testing.assert_array_equal(edges, -edges[::-1])
    positive = edges[histogram_buckets.ZERO + 1 :]
    assert positive[0] == 2.0**-48 and positive[-1] == 2.0**16
    np.testing.assert_array_equal(positive[2:], 2 * positive[:-2])
    assert positive[1] == 1.5 * positive[0]


def test_edges_are_float32_numbers():
    edges = histogram_buckets.edges()
    np.testing.assert_array_equal(edges.astype(np.float32), edges)


def rows(**counts):
    histogram = np.zeros(histogram_buckets.COUNT)
    for index, count in counts.items():
        histogram[int(index[1:])] = count
    (found,) = histogram_buckets.tensorboard_rows(histogram[np.newaxis])
    return found


def test_rows_reach_from_the_first_used_bucket_to_the_last():
    one = histogram_buckets.ZERO + 1 + 2 * 48
    found = rows(**{f"b{one}": 5, f"b{one + 2}": 1})
    assert found.tolist() == [[1, 1.5, 5], [1.5, 2, 0], [2, 3, 1]]
    assert found.dtype == np.float32


def test_zero_lies_in_the_middle():
    ((left, right, count),) = rows(**{f"b{histogram_buckets.ZERO}": 3})
    assert (left, right, count) == (-(2.0**-48), 2.0**-48, 3)


@pytest.mark.parametrize("counts", [{}, {f"b{histogram_buckets.COUNT - 1}": 7}])
def test_without_a_finite_value_there_is_one_empty_row(counts):
    ((left, right, count),) = rows(**counts)
    assert left < 0 < right and count == 0


def test_rows_hold_every_finite_count():
    counts = np.random.default_rng(0).integers(
        0, 9, [3, histogram_buckets.COUNT]
    )
    every = histogram_buckets.tensorboard_rows(counts)
    for row, found in zip(counts, every, strict=True):
        assert found[:, 2].sum() == row[:-1].sum()
        np.testing.assert_array_equal(found[1:, 0], found[:-1, 1])
