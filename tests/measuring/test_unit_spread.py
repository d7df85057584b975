"""How much the gradients of units differ, by hand and in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from step_numbers import DTYPES, measured, numbers
from training import FEW, MODES, STEPS
from unit_spreads import expected

import gradscope
from gradscope.format.columns import STATISTICS
from gradscope.format.step_layout import MEASURED
from gradscope.measuring.unit_spread import MOST_UNITS

layers = keras.layers
COLUMN = MEASURED.index("gradient_unit_spread")


def spread(gradient, **options):
    return numbers(gradient, **options)["gradient_unit_spread"]


def test_the_documentation_says_how_many_units_are_compared():
    formula = STATISTICS["gradient_unit_spread"].formula
    assert f"first {MOST_UNITS} units" in formula


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "gradient, value",
    [
        # Two units, 3 apart from their means 4 and 0: norm 5 and 3.
        ([[7, 1], [0, 0]], np.sqrt(18 / 50)),
        ([[1, -1], [2, -2]], 1),
        ([[3, 3, 3], [0.5, 0.5, 0.5]], 0),
        ([[[[5, 5]]], [[[-2, -2]]]], 0),
    ],
)
def test_a_spread_by_hand(gradient, value, dtype, compiled):
    gradient = np.array(gradient, dtype)
    found = spread(gradient, compiled=compiled)
    assert found == pytest.approx(value, rel=1e-6, abs=0)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "gradient",
    [
        np.ones([5]),
        np.float32(3),
        np.ones([4, 1]),
        np.ones([3, 3, 8, 1]),
        np.zeros([4, 3]),
        np.zeros([0, 3]),
        np.array([[1, np.nan, 3]]),
        np.array([[1, 2], [np.inf, 3]]),
        np.append(np.arange(MOST_UNITS), np.inf)[np.newaxis],
    ],
)
def test_a_spread_that_means_nothing_is_nan(gradient, compiled):
    gradient = np.asarray(gradient, np.float32)
    assert np.isnan(spread(gradient, compiled=compiled))


@pytest.mark.parametrize("scale", [1e-25, 1e-18, 1.0, 1e19, 1e25])
def test_a_spread_has_no_scale(scale):
    gradient = np.random.default_rng(0).normal(size=[6, 5]).astype("float32")
    scaled = gradient * np.float32(scale)
    assert spread(scaled) == pytest.approx(expected(gradient), rel=1e-6)


def test_what_units_have_in_common_does_not_hide_what_they_have_not():
    """A difference of squares would lose 1e-5 of 1 in float32, and more."""
    noise = np.random.default_rng(0).normal(size=[64, 8])
    gradient = np.float32(1 + 1e-5 * noise)
    assert 5e-6 < expected(gradient) < 2e-5
    assert spread(gradient) == pytest.approx(expected(gradient), rel=1e-6)


def test_of_a_wide_layer_the_first_units_are_looked_at():
    gradient = np.ones([3, 100], np.float32)
    gradient[:, MOST_UNITS:] = 7
    assert spread(gradient) == 0
    gradient[0, MOST_UNITS - 1] = 2
    assert spread(gradient) == pytest.approx(expected(gradient), rel=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_each_variable_has_its_own(compiled):
    random = np.random.default_rng(1)
    shapes = [[4, 3], [3], [4, 3], [2, 2, 3], [4, 40], [4, 3]]
    grads = [random.normal(size=s).astype("float32") for s in shapes]
    values = list(map(expected, grads))
    grads = [tf.constant(g) for g in grads]
    weights = [tf.ones(s) for s in [*shapes, [5, 3], [4, 3]]]
    rows = tf.constant([1, 1])
    grads += [tf.IndexedSlices(tf.constant([[1.0, 2, 3]] * 2), rows), None]

    @tf.function(jit_compile=compiled)
    def run():
        return measured(grads, weights, weights)

    found = run().numpy()[:, COLUMN]
    np.testing.assert_allclose(found, [*values, np.nan, np.nan], rtol=1e-6)


@pytest.mark.parametrize("mode", FEW)
def test_units_that_start_alike_are_seen_in_every_mode(mode, tmp_path):
    """All weights of the first layer are .01: it is one unit, 16 times."""
    keras.utils.set_random_seed(0)
    alike = keras.initializers.Constant(0.01)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, "relu", kernel_initializer=alike, name="first"),
            layers.Dense(8, "relu", kernel_initializer=alike, name="second"),
            layers.Dense(3, name="logits"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.05)
    gradscope.wrap(optimizer, tmp_path, every=1)
    MODES[mode](model, optimizer)
    gradscope.flush()
    record = gradscope.read(tmp_path)
    assert len(record.steps) == STEPS
    rows = dict(
        zip(record.variables, record["gradient_unit_spread"].T, strict=True)
    )
    assert (rows["first/kernel"] < 1e-6).all()
    assert (rows["second/kernel"] > 0.5).all()  # the logits differ
    assert (rows["logits/kernel"] > 0.5).all()
    assert all(np.isnan(rows[f"{name}/bias"]).all() for name in record.layers)
    np.testing.assert_array_equal(
        record.by_layer("gradient_unit_spread"),
        np.stack([rows[f"{name}/kernel"] for name in record.layers], axis=1),
    )
