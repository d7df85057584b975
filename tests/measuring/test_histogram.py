"""Counts by the bits of a float agree with counts by comparison."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradscope.format import histogram_buckets
from gradscope.measuring import histogram, stacking

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
SPECIAL = [
    *(0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 1.5, -1.5),
    *(1e-40, -1e-40, 1e-300, 2.0**-149, 2.0**-126, -(2.0**-126)),
    *(2.0**-48, 2.0**-49, -(2.0**-48), 1.5 * 2.0**-48, 1e-30, -1e-30),
    *(2.0**16, 65504.0, 98304.0, -(2.0**16), 1e30, -1e38, 1e300, -1e300),
]
numbers = st.sampled_from(SPECIAL) | st.floats(-1e6, 1e6) | st.floats()
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
arrays = st.tuples(
    hnp.arrays(np.float64, shapes, elements=numbers), st.sampled_from(DTYPES)
)


def cast(array, dtype):
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(array.astype(dtype))


def expected(array):
    """Returns the histogram by comparison with the edges, in numpy."""
    values = array.astype(np.float64).ravel()
    finite = values[np.isfinite(values)]
    limit = np.float64(np.finfo(np.float32).max)
    finite = np.clip(finite, -limit, limit).astype(np.float32)
    size = np.abs(finite).astype(np.float64)
    size[size < 2.0**-126] = 0
    edges = histogram_buckets.edges()[histogram_buckets.ZERO + 1 :]
    inside = np.clip(size[size > 0], edges[0], np.nextafter(edges[-1], 0))
    sign = finite[size > 0] < 0
    negative, _ = np.histogram(inside[sign], edges)
    positive, _ = np.histogram(inside[~sign], edges)
    zeros = np.count_nonzero(size == 0)
    others = len(values) - len(finite)
    return np.concatenate([negative[::-1], [zeros], positive, [others]])


def of(tensors):
    """Returns the histograms of tensors, as those of gradients are made."""
    found = stacking.pad_together(stacking.stack_by_shape(tensors))
    return histogram.counts([found], range(len(tensors)))


def counts(*tensors):
    return of([tf.constant(t) for t in tensors]).numpy()


@given(arrays)
def test_counts_are_those_of_a_numpy_histogram(array_and_dtype):
    array = cast(*array_and_dtype)
    (found,) = counts(array)
    assert found.dtype == np.float32
    assert found.sum() == array.size
    np.testing.assert_array_equal(found, expected(array))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_compiled_histogram_is_the_same(dtype):
    random = np.random.default_rng(0)
    wide = random.normal(size=500) * 10 ** random.uniform(-30, 30, 500)
    array = cast(np.concatenate([wide, SPECIAL]), dtype)
    compiled = tf.function(of, jit_compile=True)
    (found,) = compiled([tf.constant(array)]).numpy()
    np.testing.assert_array_equal(found, expected(array))


def test_counts_can_be_added():
    parts = np.random.default_rng(0).normal(size=[3, 50]).astype("float32")
    np.testing.assert_array_equal(counts(*parts).sum(0), counts(parts)[0])


def test_the_negated_tensor_has_the_mirrored_histogram():
    array = np.random.default_rng(0).normal(size=99).astype("float32")
    there, back = counts(array, -array)
    np.testing.assert_array_equal(there[:-1], back[:-1][::-1])


def test_tensors_of_all_dtypes_and_shapes_count_together():
    found = counts(*(np.ones([n], DTYPES[n]) for n in range(4)))
    assert found.sum(axis=1).tolist() == [0, 1, 2, 3]
    assert found[:, histogram_buckets.ZERO + 1 + 2 * 48].tolist() == [
        0,
        1,
        2,
        3,
    ]


def test_each_edge_begins_its_bucket():
    positive = histogram_buckets.edges()[
        histogram_buckets.ZERO + 1 : -1
    ].astype("float32")
    (found,) = counts(positive)
    assert (found[histogram_buckets.ZERO + 1 : -1] == 1).all()
