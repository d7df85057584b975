"""Two runs' gradients are told apart by sixteen numbers of each."""

import numpy as np
import pytest
import tensorflow as tf
from training import FEW, train

import gradscope
from gradscope.comparing import gradient_sketches
from gradscope.measuring import gradient_sketch, gradients, stacking

random = np.random.default_rng(0)


def of(*arrays, places=None):
    found = stacking.pad_together(
        stacking.stack_by_shape(list(map(tf.constant, arrays)))
    )
    places = range(len(arrays)) if places is None else places
    return gradient_sketch.sketches(found, list(places), set()).numpy()


def reference(array):
    """Returns the sums by definition, in numpy."""
    h = np.arange(1, array.size + 1).astype(np.uint32)
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        h = h * np.uint32(factor)
        h ^= h >> np.uint32(13)
    signed = np.where(h >> np.uint32(31), -1, 1) * array.ravel().astype(float)
    return np.array(
        [signed[n :: gradient_sketch.COUNT].sum() for n in range(16)]
    )


@pytest.mark.parametrize("shape", [(), (5,), (16,), (40, 33), (200, 100)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sums_are_those_of_numpy(shape, dtype):
    array = np.asarray(random.normal(size=shape), dtype)
    other = random.normal(size=[300]).astype(dtype)
    found = of(array, other, array)
    np.testing.assert_allclose(found[0], reference(array), rtol=0, atol=2e-3)
    np.testing.assert_array_equal(found[0], found[2])


def test_signs_are_drawn_evenly_and_do_not_follow_each_other():
    signs = gradient_sketch.signs(2**16).numpy()
    for lag in (0, 1, 2, 16, 512):
        product = signs * np.roll(signs, lag) if lag else signs
        assert abs(product.mean()) < 0.02, lag


@pytest.mark.parametrize("compiled", [False, True])
def test_what_is_sparse_or_missing_has_none(compiled):
    dense = tf.ones([4, 3])

    @tf.function(jit_compile=compiled)
    def run():
        rows = tf.IndexedSlices(tf.ones([2, 3]), tf.constant([0, 2]), [4, 3])
        values = gradients.gradient_values(rows).values
        found = stacking.stack_by_shape([dense, None, values])
        return gradient_sketch.sketches(found, [2, 1, 0], {2})

    sparse, missing, there = run().numpy()
    assert not sparse.any() and not missing.any()
    np.testing.assert_allclose(there, reference(dense.numpy()), atol=1e-5)


def test_the_difference_of_two_gradients_is_found_within_a_sixth():
    random = np.random.default_rng(1)
    for far in (1e-3, 0.1, 1.0):
        ratios = []
        for _ in range(100):
            one, change = random.normal(size=[2, 64, 50])
            change *= far * np.linalg.norm(one) / np.linalg.norm(change)
            a, b = of(one), of(one + change)
            squares = [np.sum(x**2) for x in (a - b, a, b)]
            estimated = np.sqrt(squares[0] / max(squares[1:]))
            longer = max(np.linalg.norm(x) for x in (one, one + change))
            ratios.append(estimated / (np.linalg.norm(change) / longer))
        # The longer of two estimates is too long, rather: hence the lower end.
        assert 0.8 < np.median(ratios) < 1.15
        assert np.std(ratios) < 0.33


@pytest.mark.parametrize("mode", [*FEW, "loop_jit"])
def test_every_mode_records_them(mode, tmp_path):
    options = {"every": 1, "histograms": 2}
    train(mode, "sgd", how="wrap", logdir=tmp_path, **options)
    record = gradscope.read(tmp_path)
    steps, values = record.occasional("sketch")
    assert steps.tolist() == [s for s in record.steps if s % 2 == 0]
    assert values.shape[1:] == (len(record.variables), gradient_sketch.COUNT)
    # The squares add up to that of the norm, on average.
    at = np.isin(record.steps, steps)
    norms = record["gradient_norm"][at]
    estimated = np.sqrt(np.sum(values**2, axis=2))
    assert 0.7 < np.median(estimated / norms) < 1.4


def test_gradients_of_one_norm_that_point_elsewhere_are_told_apart(tmp_path):
    def step(name, gradient):
        variable = tf.Variable(np.ones([40, 5], "float32"), name="kernel")
        import keras

        optimizer = keras.optimizers.SGD(0.1)
        gradscope.wrap(optimizer, tmp_path / name, every=1, histograms=1)
        optimizer.apply([tf.constant(gradient)], [variable])
        gradscope.unwrap(optimizer)

    one = random.normal(size=[40, 5]).astype("float32")
    step("a", one)
    step("b", one)
    step("c", -one)
    found = gradscope.compare(tmp_path / "a", tmp_path / "b")
    assert found.same_bits and found.gradients.tolist() == [[0.0]]
    found = gradscope.compare(tmp_path / "a", tmp_path / "c")
    assert found["gradient_norm"].tolist() == [[0.0]]
    assert found.gradients == pytest.approx(2.0)
    assert "Relative difference of the gradients themselves, |a - b|" in str(
        found
    )
    assert found.to_dict()["layers"][0]["gradient"]["median"] == 2.0


def test_variables_of_a_layer_together():
    squares = np.array([[[9.0, 16, np.nan]], [[9.0, 16, np.nan]]])
    squares[0] /= 4
    one = gradient_sketches.relative(squares, [0, 0, 1])
    np.testing.assert_array_equal(one, [[0.5, np.nan]])
