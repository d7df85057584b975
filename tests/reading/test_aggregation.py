"""A layer's statistics are those of all its elements taken as one vector."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from gradscope.format.columns import STATISTICS, VARIABLE_COLUMNS
from gradscope.format.schema import Schema, Variable
from gradscope.measuring import statistics
from gradscope.measuring.gradients import gradient_values as touched_values
from gradscope.reading import by_layer
from gradscope.reading.record import Record


def record(gradients, before, after, layers):
    """Returns the record of one step, a variable for each gradient."""
    missing = [g is None for g in gradients]
    touched = [
        g if g is None else touched_values(tf.constant(g)) for g in gradients
    ]
    weights = [[tf.constant(w) for w in arrays] for arrays in (before, after)]
    step = statistics.stack_step(touched, touched, *weights)
    table = statistics.measure(step, missing).numpy()
    sizes = np.array([weight.size for weight in before])
    variables = tuple(
        Variable(f"{layer}/{index}", layer, weight.shape, "float32")
        for index, (layer, weight) in enumerate(
            zip(layers, before, strict=True)
        )
    )
    families = {"variables": statistics.complete(table, sizes)[None]}
    steps = np.zeros(1, np.int64)
    return Record("run", Schema(variables), steps, steps, families)


def arrays(sizes, seed):
    """Returns gradients (some of them zero), weights and moved weights."""
    random = np.random.default_rng(seed)
    gradients = [random.normal(size=n).astype("float32") for n in sizes]
    gradients = [g * (random.random(g.shape) > 0.3) for g in gradients]
    before = [random.normal(size=n).astype("float32") for n in sizes]
    after = [w - np.float32(0.1) * random.random() * w for w in before]
    return [np.float32(g) for g in gradients], before, after


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=4).filter(any),
    st.integers(0, 999),
)
def test_a_layer_is_the_concatenation_of_its_variables(sizes, seed):
    parts = arrays(sizes, seed)
    whole = [[np.concatenate(part)] for part in parts]
    of_layer = record(*parts, ["dense"] * len(sizes))
    of_whole = record(*whole, ["dense"])
    for name in VARIABLE_COLUMNS:
        if not STATISTICS[name].of_layer.is_exact:
            continue
        np.testing.assert_allclose(
            by_layer.by_layer(of_layer, name),
            of_whole[name],
            rtol=1e-5,
            err_msg=name,
        )


def test_three_and_four_make_five():
    one = [np.array([3.0], "float32"), np.array([4.0], "float32")]
    moved = [weight * np.float32(1.5) for weight in one]
    run = record(one, one, moved, ["dense", "dense"])
    expected = {
        "gradient_norm": 5,
        "gradient_rms": 5 / np.sqrt(2),
        "gradient_max": 4,
        "gradient_zero_fraction": 0,
        "gradient_size": 2,
        "gradient_nonfinite": 0,
        "gradient_unit_spread": np.nan,
        "clipped_gradient_norm": 5,
        "weight_norm": 5,
        "weight_rms": 5 / np.sqrt(2),
        "update_norm": 2.5,
        "gradient_to_weight_ratio": 1,
        "update_to_weight_ratio": 0.5,
        "gradient_missing": 0,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(
            run.by_layer(name), [[value]], rtol=1e-6, err_msg=name
        )


def test_the_units_of_a_layer_differ_as_little_as_those_of_one_variable():
    """Symmetry in one kernel is not healed by another one; biases have none."""
    ones = np.ones([3, 2], "float32")
    mixed = np.array([[1, -1], [0, 0], [0, 0]], "float32")
    bias = np.ones(2, "float32")
    grads = [mixed, ones, bias, mixed, None, bias]
    weights = [ones, ones, bias, ones, ones, bias]
    run = record(grads, weights, weights, ["a", "a", "a", "b", "b", "c"])
    np.testing.assert_array_equal(
        run.by_layer("gradient_unit_spread"), [[0, 1, np.nan]]
    )


def test_layers_are_columns_in_forward_order():
    ones = [np.full(1, n, "float32") for n in (1, 2, 3)]
    run = record(ones, ones, ones, ["b", "a", "b"])
    assert run.layers == ("b", "a")
    norms = run.by_layer("gradient_norm")
    assert norms.dtype == np.float32
    np.testing.assert_allclose(norms, [[np.sqrt(10), 2]])


def test_a_variable_without_a_gradient_takes_no_part():
    ones = [np.full(4, n, "float32") for n in (1, 2)]
    run = record([ones[0], None], ones, ones, ["dense", "dense"])
    alone = record([ones[0]], ones[:1], ones[:1], ["dense"])
    for name in VARIABLE_COLUMNS:
        if "gradient_" in name and "weight" not in name:
            np.testing.assert_array_equal(
                run.by_layer(name), alone.by_layer(name), err_msg=name
            )
    assert run.by_layer("weight_norm") == np.sqrt(np.float32(20))


def test_a_variable_that_a_step_left_out_takes_no_part():
    ones = [np.full(4, n, "float32") for n in (1, 2)]
    run = record(ones, ones, ones, ["dense", "dense"])
    run.families["variables"][:, 1] = np.nan
    alone = record(ones[:1], ones[:1], ones[:1], ["dense"])
    for name in VARIABLE_COLUMNS:
        np.testing.assert_array_equal(
            run.by_layer(name), alone.by_layer(name), err_msg=name
        )


def test_weights_count_where_what_was_passed_is_no_gradient():
    ones = [np.full(4, n, "float32") for n in (1, 2)]
    run = record(ones, ones, ones, ["dense", "dense"])
    for column, name in enumerate(VARIABLE_COLUMNS):
        if "gradient" in name:
            run.families["variables"][:, 1, column] = np.nan
    assert run.by_layer("weight_norm") == np.sqrt(np.float32(20))
    assert run.by_layer("gradient_norm") == 2


def test_a_weight_that_is_nan_is_seen_in_its_layer():
    ones = [np.full(4, n, "float32") for n in (1, np.nan)]
    run = record([ones[0]] * 2, ones, ones, ["dense", "dense"])
    assert np.isnan(run.by_layer("weight_norm"))


def test_rows_that_a_sparse_gradient_leaves_out_do_not_count():
    ones = [np.full(4, n, "float32") for n in (1, 2)]
    run = record(ones, ones, ones, ["dense", "dense"])
    sizes = run["gradient_size"]
    sizes[:, 1] = 1
    run.families["variables"][:, :, VARIABLE_COLUMNS.index("gradient_size")] = (
        sizes
    )
    np.testing.assert_allclose(run.by_layer("gradient_rms"), np.sqrt(20 / 5))
    assert run.by_layer("gradient_size") == 5


def test_a_layer_without_any_gradient_is_nan_and_missing():
    ones = [np.ones(4, "float32")] * 2
    run = record([None, None], ones, ones, ["dense", "dense"])
    assert np.isnan(run.by_layer("gradient_norm"))
    assert np.isnan(run.by_layer("gradient_max"))
    assert np.isnan(run.by_layer("gradient_nonfinite"))
    assert run.by_layer("gradient_missing") == 1
    assert run.by_layer("weight_norm") == np.sqrt(np.float32(8))


def test_what_was_not_recorded_is_nan():
    ones = [np.ones(4, "float32")]
    run = record(ones, ones, ones, ["dense"])
    run.families["variables"][:] = np.nan
    for name in VARIABLE_COLUMNS:
        assert np.isnan(run.by_layer(name)), name


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_variable_is_seen_in_its_layer(bad):
    ones = [np.ones(2, "float32")] * 2
    gradients = [ones[0], np.array([bad, 1], "float32")]
    run = record(gradients, ones, ones, ["dense", "dense"])
    assert run.by_layer("gradient_nonfinite") == 1
    np.testing.assert_array_equal(run.by_layer("gradient_norm"), [[bad]])
    np.testing.assert_array_equal(run.by_layer("gradient_max"), [[bad]])


def test_norms_near_the_end_of_float32_do_not_overflow():
    large = [np.full(1, 2e38, "float32")] * 2
    run = record(large, large, large, ["dense", "dense"])
    np.testing.assert_allclose(
        run.by_layer("gradient_norm"), [[2e38 * np.sqrt(2)]], rtol=1e-6
    )


def test_what_is_beyond_float32_is_infinite_without_a_warning():
    large = [np.full(1, 3e38, "float32")] * 2
    tiny = [np.full(1, 1e-20, "float32")] * 2
    run = record(large, tiny, large, ["dense", "dense"])
    assert run.by_layer("gradient_norm") == np.inf
    assert (run["gradient_to_weight_ratio"] == np.inf).all()
    assert run.by_layer("update_to_weight_ratio") == np.inf


def test_a_layer_of_zeros_that_moved_has_an_infinite_ratio():
    zeros, ones = [np.zeros(2, "float32")], [np.ones(2, "float32")]
    moved = record(ones, zeros, ones, ["dense"])
    assert moved.by_layer("update_to_weight_ratio") == np.inf
    still = record(ones, zeros, zeros, ["dense"])
    assert np.isnan(still.by_layer("update_to_weight_ratio"))


def test_a_number_of_the_whole_step_has_no_layers():
    ones = [np.ones(2, "float32")]
    run = record(ones, ones, ones, ["dense"])
    message = (
        "'learning_rate' is not a statistic of variables. Choose one of grad"
    )
    with pytest.raises(KeyError, match=message):
        run.by_layer("learning_rate")
