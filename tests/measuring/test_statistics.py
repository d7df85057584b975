"""Numbers of a step, by hand and by law."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from step_numbers import DTYPES, measured, numbers

from gradscope.format.schema import VARIABLE_COLUMNS
from gradscope.format.step_layout import MEASURED
from gradscope.measuring import stacking, statistics


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_by_hand(dtype):
    found = numbers(
        np.array([3, -4, 0, 0], dtype),
        before=np.array([6, 0, 0, 8], dtype),
        after=np.array([6, 3, 4, 8], dtype),
    )
    assert np.isnan(found.pop("clipped_gradient_norm"))
    assert np.isnan(found.pop("gradient_unit_spread"))
    assert found == {
        "gradient_norm": 5,
        "gradient_rms": 2.5,
        "gradient_max": 4,
        "gradient_zero_fraction": 0.5,
        "gradient_size": 4,
        "gradient_nonfinite": 0,
        "weight_norm": 10,
        "weight_rms": 5,
        "update_norm": 5,
        "gradient_to_weight_ratio": 0.5,
        "update_to_weight_ratio": 0.5,
        "gradient_missing": 0,
    }


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=6),
        # No denormals: TensorFlow flushes them to zero.
        elements=st.floats(-1e4, 1e4).map(lambda x: round(x, 4)),
    ),
    st.sampled_from(DTYPES),
)
def test_statistics_are_those_of_numpy(array, dtype):
    array = np.asarray(array.astype(dtype))
    wide = array.astype(np.float64)
    found = numbers(array)
    norm = np.sqrt(np.sum(wide**2))
    np.testing.assert_allclose(found["gradient_norm"], norm, rtol=1e-6)
    largest = np.abs(wide).max()
    np.testing.assert_allclose(found["gradient_max"], largest, rtol=1e-6)
    zeros = np.count_nonzero(wide == 0) / wide.size
    np.testing.assert_allclose(found["gradient_zero_fraction"], zeros, 1e-6)


@pytest.mark.parametrize("scale", [1e-25, 1e-18, 1.0, 1e19, 1e25])
@pytest.mark.parametrize("compiled", [False, True])
def test_norms_neither_underflow_nor_overflow(scale, compiled):
    gradient = np.array([3, 4, 0], np.float32) * np.float32(scale)
    found = numbers(
        gradient, before=gradient, after=0 * gradient, compiled=compiled
    )
    for name in ("gradient_norm", "weight_norm", "update_norm"):
        assert found[name] == pytest.approx(5 * scale, rel=1e-6)
    assert found["gradient_max"] == pytest.approx(4 * scale, rel=1e-6)
    assert found["gradient_to_weight_ratio"] == pytest.approx(1)


def test_a_float16_gradient_does_not_overflow():
    found = numbers(np.full(100, 60000, np.float16))
    assert found["gradient_norm"] == 10 * np.float32(np.float16(60000))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted_and_shown(bad, dtype, compiled):
    gradient = np.array([1, bad, 2, bad, 0], dtype)
    found = numbers(gradient, compiled=compiled)
    assert found["gradient_nonfinite"] == 2
    assert found["gradient_zero_fraction"] == pytest.approx(0.2)
    for name in ("norm", "rms", "max", "to_weight_ratio"):
        np.testing.assert_equal(found[f"gradient_{name}"], abs(bad))
    assert found["weight_norm"] == pytest.approx(np.sqrt(5))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_missing_gradient_is_nan_and_said_to_be_missing(compiled):
    found = numbers(None, before=np.array([3.0, 4.0]), compiled=compiled)
    assert found.pop("gradient_missing") == 1
    for name, number in found.items():
        assert np.isnan(number) == ("gradient_" in name), name
    assert found["weight_norm"] == 5 and found["update_norm"] == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_of_an_empty_variable_norms_are_zero_and_shares_undefined(compiled):
    empty = np.zeros([0, 3], np.float32)
    found = numbers(empty, compiled=compiled)
    for name in ("gradient_norm", "gradient_max", "weight_norm", "update_norm"):
        assert found[name] == 0, name
    for name in ("gradient_rms", "gradient_zero_fraction", "weight_rms"):
        assert np.isnan(found[name]), name


def test_a_scalar_variable_is_a_vector_of_one():
    scalar = numbers(np.float32(3), np.float32(2), np.float32(1))
    vector = numbers(*(np.array([n], np.float32) for n in (3, 2, 1)))
    np.testing.assert_equal(scalar, vector)
    assert scalar["update_to_weight_ratio"] == 0.5


def test_a_weight_of_zero_that_moves_has_an_infinite_ratio():
    zero, one = np.zeros(2, np.float32), np.ones(2, np.float32)
    found = numbers(one, before=zero, after=one)
    assert found["update_to_weight_ratio"] == np.inf
    assert found["gradient_to_weight_ratio"] == np.inf


def test_a_weight_of_zero_that_stays_has_no_ratio():
    zero = np.zeros(2, np.float32)
    found = numbers(zero, before=zero, after=zero)
    assert np.isnan(found["update_to_weight_ratio"])
    assert np.isnan(found["gradient_to_weight_ratio"])


@given(st.integers(-60, 60), st.integers(0, 99))
def test_ratios_are_free_of_scale(exponent, seed):
    arrays = np.random.default_rng(seed).normal(size=[3, 7]).astype("float32")
    scaled = np.ldexp(arrays, exponent)
    for name in ("gradient_to_weight_ratio", "update_to_weight_ratio"):
        assert numbers(*scaled)[name] == pytest.approx(numbers(*arrays)[name])


def test_a_small_update_of_a_bfloat16_weight_is_exact():
    before = np.array([1.0], ml_dtypes.bfloat16)
    after = np.array([1.0 + 2.0**-7], ml_dtypes.bfloat16)
    assert numbers(before, before, after)["update_norm"] == 2.0**-7
    down = np.array([2.0**-7], ml_dtypes.bfloat16)
    found = numbers(before, before, down)["update_norm"]
    assert found == 1 - 2.0**-7  # needs 7 bits and the sign; float32 has them
    wide = np.array([257 * 2.0**-8], np.float32)
    small = np.array([2.0**-8], ml_dtypes.bfloat16)
    (old,), (new,) = (
        stacking.stack_by_shape([tf.constant(w)]) for w in (-small, before)
    )
    moved = stacking.UpdateRows(old, new).values
    assert moved.dtype == tf.float32 and moved.numpy() == wide
    assert moved.shape == [1, 1]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("rows", [[5, 1, 5, 5], [0, 0], [3], [6, 2, 0]])
def test_a_sparse_gradient_is_that_of_its_summed_rows(rows, compiled):
    values = np.random.default_rng(0).normal(size=[len(rows), 3])
    values = np.where(values > 1, 0, values).astype("float32")
    table = np.zeros([7, 3], np.float32)
    np.add.at(table, rows, values)
    weight = tf.ones([7, 3])

    def measure():
        slices = tf.IndexedSlices(values, tf.constant(rows))
        return measured([slices], [weight], [weight])

    run = tf.function(measure, jit_compile=True) if compiled else measure
    touched = tf.constant(table[np.unique(rows)])
    expected = measured([touched], [weight], [weight]).numpy()
    expected[:, MEASURED.index("gradient_unit_spread")] = np.nan
    np.testing.assert_allclose(run(), expected, rtol=1e-6)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_zeros_behind_a_sparse_gradient_are_not_counted_among_others(
    first, fused
):
    """Whether the others have its shape, or are smaller or larger."""
    slices = tf.IndexedSlices(tf.ones([4, 3]), tf.constant([5, 1, 5, 5]))
    dense = [tf.ones(s) for s in ([4, 3], [2, 3], [3], [5, 3])]
    grads = [slices, *dense] if first else [*dense, slices]
    shapes = [[7, 3] if g is slices else g.shape for g in grads]
    weights = [tf.ones(shape) for shape in shapes]

    def measure():
        return measured(grads, weights, weights, fused=fused)

    run = tf.function(measure, jit_compile=True) if fused else measure
    rows = run().numpy()
    assert rows[:, MEASURED.index("gradient_zeros")].tolist() == [0] * 5
    spread = rows[:, MEASURED.index("gradient_unit_spread")]
    assert [g is slices for g in grads] == (
        np.isnan(spread) & ([len(shape) > 1 for shape in shapes])
    ).tolist()
    place = 0 if first else 4
    assert rows[place, MEASURED.index("gradient_size")] == 6


def test_a_sparse_gradient_without_rows_has_norm_zero_and_no_rms():
    slices = tf.IndexedSlices(tf.zeros([0, 3]), tf.zeros([0], tf.int64))
    row = measured([slices], [tf.ones([7, 3])], [tf.ones([7, 3])])
    row = statistics.complete(row.numpy(), np.array([21]))[0]
    found = dict(zip(VARIABLE_COLUMNS, row.tolist(), strict=True))
    assert found["gradient_norm"] == 0 and found["gradient_missing"] == 0
    assert np.isnan(found["gradient_rms"])
    assert np.isnan(found["gradient_zero_fraction"])


def test_the_clipped_norm_is_that_of_what_clipping_returned():
    grads, clipped = [tf.constant([3.0, 4.0]), None], [tf.constant([1.0]), None]
    weights = [tf.ones([2]), tf.ones([2])]
    column = MEASURED.index("clipped_gradient_norm")
    norms = measured(grads, weights, weights, clipped)[:, column]
    np.testing.assert_array_equal(norms, [1, np.nan])


def test_a_variable_that_is_no_part_of_a_step_has_no_numbers():
    step = statistics.stack_step([None], None, [None], [None])
    found = statistics.measure(step, [None]).numpy()
    assert np.isnan(found).all()
    assert np.isnan(statistics.complete(found, np.array([4]))).all()


@pytest.mark.slow  # a worker holds 650 MB more afterwards
def test_more_elements_than_float32_can_count_are_counted():
    count = 2**24 + 2**20
    for value, name, fused in (
        (0, "gradient_zeros", False),
        (np.nan, "gradient_nonfinite", True),
    ):
        gradient = tf.fill([count], np.float16(value))
        run = tf.function(
            lambda g, fused: measured([g], [g], [g], fused=fused),
            jit_compile=fused,
        )
        found = run(gradient, fused).numpy()
        assert found[0, MEASURED.index(name)] == count


def test_rows_are_variables_in_the_given_order():
    weights = [tf.ones([n]) for n in (1, 4, 9)]
    found = measured([weights[0], None, weights[2]], weights, weights)
    assert found.shape == (3, len(MEASURED))
    norms = found[:, MEASURED.index("weight_norm")]
    assert norms.numpy().tolist() == [1, 2, 3]


def test_a_ratio_beyond_float32_is_infinite_without_a_warning():
    found = numbers(np.full(1, 3e38, np.float32), np.full(1, 1e-30, np.float32))
    assert found["gradient_to_weight_ratio"] == np.inf


def test_a_gradient_that_does_not_know_its_shape_has_that_of_its_weight():
    weight = tf.ones([2, 3])

    @tf.function(input_signature=[tf.TensorSpec(None)])
    def run(gradient):
        return measured([gradient], [weight], [weight])

    found = run(weight).numpy()[0]
    assert found[MEASURED.index("gradient_size")] == 6
    assert found[MEASURED.index("gradient_norm")] == np.float32(np.sqrt(6))
