"""Norms in float32 against those of numpy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from gradscope.measuring import norms, stacking


def found(arrays, fused=False, how="eager"):
    """Returns the norm of each array, in a graph as a step has it."""

    def run():
        rows = stacking.pad_together(
            stacking.stack_by_shape(list(map(tf.constant, arrays)))
        )
        return norms.norms([rows], len(arrays), fused)[0]

    if how == "graph":
        run = tf.function(run)
    elif how == "called from XLA":
        run = tf.function(tf.function(run), jit_compile=True)
    return run().numpy()


def expected(arrays):
    with np.errstate(all="ignore"):
        wide = [np.asarray(a, np.float64).ravel() for a in arrays]
        return [np.sqrt(np.sum(w * w)) for w in wide]


MODES = ["eager", "graph", "called from XLA"]


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    "sizes",
    [
        [1.0, 1e3],
        [1e-25, 1.0],  # the square of one underflows
        [1e25, 1.0],
        [0.0, 1.0],
        [1e-30, 1e30, 0.0],
    ],
)
def test_one_that_is_out_of_range_leaves_all_right(sizes, how):
    random = np.random.default_rng(0)
    shapes = [(3, 4), (300, 100), (5,)]
    arrays = [
        (random.normal(size=shape) * size).astype("float32")
        for shape in shapes
        for size in sizes
    ]
    np.testing.assert_allclose(found(arrays, how=how), expected(arrays), 1e-6)


def test_of_many_numbers_of_all_sizes():
    random = np.random.default_rng(0)
    arrays = [
        (np.exp(4 * random.normal(size=size)) * 1e-3).astype("float32")
        for size in (10**7, 10**6 + 1)
    ]
    np.testing.assert_allclose(found(arrays), expected(arrays), 1e-6)


@pytest.mark.parametrize("fused", [False, True])
def test_what_is_not_finite_has_a_norm_that_says_so(fused):
    arrays = [[1.0, np.nan], [np.inf, 1.0], [-np.inf, np.nan], [3.0, 4.0]]
    arrays = [np.array(a, np.float32) for a in arrays]
    np.testing.assert_array_equal(
        found(arrays, fused), [np.nan, np.inf, np.nan, 5]
    )


def test_updates_have_the_norm_of_the_difference():
    before = [np.ones([2, 2], np.float32), np.full([9], 2.0, np.float32)]
    after = [b + 0.5 for b in before]
    old, new = (
        stacking.stack_by_shape(list(map(tf.constant, w)))
        for w in (before, after)
    )
    moved = [stacking.UpdateRows(a, b) for a, b in zip(old, new, strict=True)]
    norm, nothing = norms.norms([moved, []], 2)
    np.testing.assert_allclose(norm, [1, 1.5])
    assert np.isnan(nothing).all()


def test_large_rows_are_read_one_after_the_other(monkeypatch):
    monkeypatch.setattr(stacking, "LARGE", 4)

    @tf.function
    def run(x):
        rows = [stacking.Rows([n], x[n : n + 1], [0]) for n in range(3)]
        return stacking.map_in_turn(rows, lambda t: tf.reduce_sum(t * t))

    graph = run.get_concrete_function(tf.ones([3, 5])).graph
    sums = [op for op in graph.get_operations() if op.type == "Sum"]
    products = [op for op in graph.get_operations() if op.type == "Mul"]
    assert len(sums) == 3
    for before, after in zip(sums, products[1:], strict=False):
        assert before in after.control_inputs
