"""Who gets panels in TensorBoard's own tabs, and which."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import log_of_run
from gradscope.format import histogram_buckets
from gradscope.format.schema import VARIABLE_COLUMNS, Variable
from gradscope.reading import event_files
from gradscope.recording import tensorboard_tabs

NAMES = ("dense/kernel", "dense/bias", "dense_1/kernel", "norm/gamma")
VARIABLES = tuple(
    Variable(
        name,
        name.split("/")[0],
        (2, 2) if "kernel" in name else (2,),
        "float32",
    )
    for name in NAMES
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


def statistics(rows):
    """Returns the rows `[n, VARIABLE_COLUMNS]` with these norms."""
    table = np.full([len(rows), len(VARIABLE_COLUMNS)], np.nan)
    for row, numbers in zip(table, rows, strict=True):
        for name, number in numbers.items():
            row[VARIABLE_COLUMNS.index(f"{name}_norm")] = number
    return table


NORMS = {"gradient": 2.0, "weight": 4.0, "update": 1.0}


def panels(rows, counts=None, kinds=tensorboard_tabs.KINDS):
    """Returns the numbers of a step's panels by tag, of the first variables."""
    variables = list(VARIABLES[: len(rows)])
    if counts is None:
        counts = np.ones([len(kinds), len(rows), histogram_buckets.COUNT])
    found = tensorboard_tabs.step_panels(
        variables, statistics(rows), counts, kinds
    )
    return {p.tag: numbers(p) for p in found}


def numbers(panel):
    value = tf.compat.v1.Summary.Value.FromString(panel.serialize())
    assert value.tag == panel.tag
    return event_files.to_numpy(value.tensor)


def test_a_variable_asked_for_has_three_histograms_and_its_layer_two_ratios():
    counts = np.zeros([3, 1, histogram_buckets.COUNT])
    for kind in range(3):
        counts[kind, :, histogram_buckets.ZERO] = kind + 1
    low = 2.0**histogram_buckets.LOWEST_EXPONENT
    found = panels([NORMS], counts)
    assert {tag: value.tolist() for tag, value in found.items()} == {
        "gradients/dense/kernel": [[-low, low, 1]],
        "weights/dense/kernel": [[-low, low, 2]],
        "updates/dense/kernel": [[-low, low, 3]],
        "ratios/dense/gradient_to_weight": 0.5,
        "ratios/dense/update_to_weight": 0.25,
    }


def test_by_default_nothing_is_of_updates():
    assert tensorboard_tabs.kinds(("*",)) == tensorboard_tabs.KINDS
    kinds = tensorboard_tabs.kinds(())
    assert list(panels([NORMS], kinds=kinds)) == [
        "gradients/dense/kernel",
        "weights/dense/kernel",
        "ratios/dense/gradient_to_weight",
    ]


def test_a_large_network_has_two_histograms_a_variable_and_a_ratio_a_layer():
    variables = list(log_of_run.network(294).variables)
    kinds = tensorboard_tabs.kinds(())
    found = tensorboard_tabs.step_panels(
        variables,
        statistics([NORMS] * 294),
        np.ones([len(kinds), 294, histogram_buckets.COUNT]),
        kinds,
    )
    counts = Counter(panel.tag.split("/")[0] for panel in found)
    # Of norms, no ratio.
    assert counts == {"gradients": 294, "weights": 294, "ratios": 74}


def test_a_missing_gradient_has_no_histogram():
    counts = np.ones([3, 1, histogram_buckets.COUNT])
    counts[0] = 0
    tags = panels([NORMS], counts)
    assert "gradients/dense/kernel" not in tags
    assert "weights/dense/kernel" in tags


def ratios(variables, rows):
    return tensorboard_tabs.layer_ratios(
        variables, statistics(rows), "gradient_norm"
    )


def variable(name, *shape):
    return Variable(name, name.split("/")[0], shape, "float32")


def test_the_ratio_of_a_layer_is_that_of_its_kernels_as_one_vector():
    lstm = [
        variable("lstm/kernel", 2, 8),
        variable("lstm/recurrent_kernel", 2, 8),
        variable("lstm/bias", 8),
    ]
    rows = [
        {"gradient": 3.0, "weight": 6.0},
        {"gradient": 4.0, "weight": 8.0},
        {"gradient": 100.0, "weight": 0.0},
    ]
    assert ratios(lstm, rows) == {"lstm": 0.5}  # 5 / 10


def test_norms_and_biases_have_no_ratio_and_embeddings_have():
    variables = [
        variable("embedding/embeddings", 5, 2),
        variable("norm/gamma", 2),
        variable("attention/query_bias", 2, 2),
    ]
    assert ratios(variables, [NORMS] * 3) == {"embedding": 0.5}


def test_where_no_layer_has_a_kernel_all_have_a_ratio():
    assert ratios([variable("w/vector", 3)], [NORMS]) == {"w": 0.5}


@pytest.mark.parametrize(
    "norms",
    [
        {"gradient": 0.0, "weight": 0.0},
        {"gradient": 2.0, "weight": 0.0},
        {"gradient": np.nan, "weight": 4.0},
        {"gradient": np.inf, "weight": 4.0},
    ],
)
def test_what_is_undefined_is_no_scalar(norms):
    found = panels([norms], kinds=tensorboard_tabs.kinds(()))
    assert not [tag for tag in found if tag.startswith("ratios")]


def test_a_number_that_float32_lacks_is_no_scalar():
    tags = tensorboard_tabs.scalar_panels({"a": 1e39, "b": 1.5, "c": np.nan})
    assert [(panel.tag, float(numbers(panel))) for panel in tags] == [
        ("b", 1.5)
    ]


def test_histograms_are_kind_by_kind():
    counts = np.zeros([3, 2, histogram_buckets.COUNT])
    counts[:, :, histogram_buckets.ZERO] = [[1, 2], [3, 4], [5, 6]]
    totals = {
        tag: value[:, 2].sum()
        for tag, value in panels([NORMS, NORMS], counts).items()
        if not tag.startswith("ratios")
    }
    assert totals == {
        "gradients/dense/kernel": 1,
        "gradients/dense/bias": 2,
        "weights/dense/kernel": 3,
        "weights/dense/bias": 4,
        "updates/dense/kernel": 5,
        "updates/dense/bias": 6,
    }
