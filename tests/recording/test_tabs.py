"""Who gets panels in TensorBoard's own tabs, and which."""

import numpy as np
import pytest
import tensorflow as tf

from gradscope.format import histogram_buckets
from gradscope.format.schema import VARIABLE_COLUMNS, Variable
from gradscope.reading import event_files
from gradscope.recording import tensorboard_tabs

NAMES = ("dense/kernel", "dense/bias", "dense_1/kernel", "norm/gamma")
VARIABLES = tuple(
    Variable(name, name.split("/")[0], (2,), "float32") for name in NAMES
)


@pytest.mark.parametrize(
    "include, exclude, selected",
    [
        ((), (), [0, 1, 2, 3]),
        (("dense",), (), [0, 1]),
        (("dense*",), (), [0, 1, 2]),
        (("*/kernel",), (), [0, 2]),
        (("norm", "dense_1"), (), [2, 3]),
        ((), ("*/bias", "norm"), [0, 2]),
        (("dense",), ("*/bias",), [0]),
        (("Dense",), (), []),
        (("*",), ("*",), []),
    ],
)
def test_patterns_choose_layers_and_variables(include, exclude, selected):
    assert tensorboard_tabs.select(VARIABLES, include, exclude) == selected


@pytest.mark.parametrize(
    "value, expected",
    [(None, ()), ("a", ("a",)), (["a", "b"], ("a", "b")), ([], ())],
)
def test_patterns_are_one_or_several(value, expected):
    assert tensorboard_tabs.patterns(value, "include") == expected


@pytest.mark.parametrize("value", [3, [1], b"dense", ["a", None], object])
def test_what_is_no_pattern_is_refused_by_name(value):
    with pytest.raises(
        TypeError, match="`exclude` must be a pattern of layer names"
    ):
        tensorboard_tabs.patterns(value, "exclude")


def values(counts, ratios=(0.5, 0.25)):
    statistics = np.full([1, len(VARIABLE_COLUMNS)], np.nan)
    for name, ratio in zip(tensorboard_tabs.RATIOS, ratios, strict=True):
        statistics[0, VARIABLE_COLUMNS.index(name)] = ratio
    panels = tensorboard_tabs.step_panels(
        [VARIABLES[0]], statistics, counts[:, np.newaxis]
    )
    return {p.tag: numbers(p).tolist() for p in panels}


def numbers(panel):
    value = tf.compat.v1.Summary.Value.FromString(panel.serialize())
    assert value.tag == panel.tag
    return event_files.to_numpy(value.tensor)


def test_a_variable_has_three_histograms_and_two_ratios():
    counts = np.zeros([3, histogram_buckets.COUNT])
    for kind in range(3):
        counts[kind, histogram_buckets.ZERO] = kind + 1
    low = 2.0**histogram_buckets.LOWEST_EXPONENT
    assert values(counts) == {
        "gradients/dense/kernel": [[-low, low, 1]],
        "weights/dense/kernel": [[-low, low, 2]],
        "updates/dense/kernel": [[-low, low, 3]],
        "ratios/dense/kernel/gradient_to_weight": 0.5,
        "ratios/dense/kernel/update_to_weight": 0.25,
    }


def test_a_missing_gradient_has_no_histogram():
    counts = np.ones([3, histogram_buckets.COUNT])
    counts[0] = 0
    tags = values(counts)
    assert "gradients/dense/kernel" not in tags
    assert "weights/dense/kernel" in tags


def test_histograms_are_kind_by_kind():
    counts = np.zeros([3, 2, histogram_buckets.COUNT])
    counts[:, :, histogram_buckets.ZERO] = [[1, 2], [3, 4], [5, 6]]
    statistics = np.zeros([2, len(VARIABLE_COLUMNS)])
    panels = tensorboard_tabs.step_panels(
        list(VARIABLES[:2]), statistics, counts
    )
    totals = {
        p.tag: numbers(p)[:, 2].sum()
        for p in panels
        if not p.tag.startswith("ratios")
    }
    assert totals == {
        "gradients/dense/kernel": 1,
        "gradients/dense/bias": 2,
        "weights/dense/kernel": 3,
        "weights/dense/bias": 4,
        "updates/dense/kernel": 5,
        "updates/dense/bias": 6,
    }
