"""Tensors side by side are measured as each of them alone."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gradscope.measuring import histogram, stacking

shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
dtypes = st.sampled_from([np.float16, np.float32, np.float64])
SMALL, LARGE = (3, 4), (stacking.SMALL + 1,)


def arrays(kinds):
    random = np.random.default_rng(0)
    return [random.normal(size=s).astype(d) for s, d in kinds]


@given(st.lists(st.none() | st.tuples(shapes, dtypes), max_size=8))
def test_each_tensor_is_a_row_with_zeros_behind_it(kinds):
    tensors = [None if k is None else arrays([k])[0] for k in kinds]
    given = [None if t is None else tf.constant(t) for t in tensors]
    for found in (
        stacking.stack_by_shape(given),
        stacking.pad_together(stacking.stack_by_shape(given)),
    ):
        seen = {}
        for rows in found:
            values = rows.values.numpy()
            for place, row, n in zip(
                rows.places, values, rows.padding, strict=True
            ):
                inside = len(row) - n
                seen[place] = row[:inside]
                assert not row[inside:].any()
        assert sorted(seen) == [
            n for n, t in enumerate(tensors) if t is not None
        ]
        for place, row in seen.items():
            np.testing.assert_array_equal(row, tensors[place].ravel())


def test_layers_of_one_shape_are_one_matrix():
    given = list(map(tf.constant, arrays([(SMALL, np.float32)] * 50)))
    (rows,) = stacking.stack_by_shape(given)
    assert (rows.values.shape, rows.shape) == ((50, 12), SMALL)


def test_large_tensors_stay_alone_and_are_not_copied():
    given = list(map(tf.constant, arrays([(LARGE, np.float32)] * 2)))
    found = stacking.pad_together(stacking.stack_by_shape(given))
    assert [rows.places for rows in found] == [[0], [1]]


def test_little_is_lost_to_padding():
    kinds = [((8192,), np.float32)] + [((2,), np.float32)] * 100
    found = stacking.pad_together(
        stacking.stack_by_shape(list(map(tf.constant, arrays(kinds))))
    )
    total = sum(int(tf.size(rows.values)) for rows in found)
    assert total <= 2 * (8192 + 200) + stacking.PADDED


@pytest.mark.parametrize("compiled", [False, True])
def test_a_histogram_of_some_of_them(compiled):
    given = list(map(tf.constant, arrays([(SMALL, np.float32)] * 3)))

    @tf.function(jit_compile=compiled)
    def some():
        found = stacking.stack_by_shape([given[0], None, given[1], given[2]])
        return histogram.counts([found], [3, 1])

    last, nothing = some().numpy()
    assert last.sum() == 12 and not nothing.any()
    alone = histogram.counts([stacking.stack_by_shape([given[2]])], [0])
    np.testing.assert_array_equal(last, alone[0])
