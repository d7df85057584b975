"""Labels, indices, inputs and targets outside of their domain."""

import numpy as np
from classifiers import classifier, run
from synthetic import network, record

import gradscope
from gradscope.format.schema import Data


def kinds(record):
    return [(f.kind, f.severity) for f in gradscope.diagnose(record)]


def test_a_label_beyond_the_last_class():
    (found,) = gradscope.diagnose(run(data_max={"target": 10.0}))
    assert (found.kind, found.severity) == ("label-out-of-range", "error")
    assert found.layer == "dense_3"
    assert "label is 10, and the output has 10 classes, numbered" in found.what
    assert "11 units" in found.remedy
    (found,) = gradscope.diagnose(run(data_min={"target": -1.0}))
    assert "label is -1" in found.what
    assert "Labels below 0 are no classes" in found.cause
    assert "ignore_class=-1" in found.remedy and "units" not in found.remedy
    assert kinds(run()) == []


def test_a_label_that_the_loss_ignores():
    described = classifier()
    described.model["loss"]["config"]["ignore_class"] = -1
    assert kinds(run(described, data_min={"target": -1.0})) == []


def test_a_label_beyond_the_last_class_explains_a_loss_of_nan():
    nan = {"loss": np.full(200, np.nan), "gradient_nonfinite": 1.0}
    nan |= {"data_max": {"target": 10.0}}
    first, second = gradscope.diagnose(run(**nan))
    assert (first.kind, second.kind) == ("non-finite", "label-out-of-range")
    assert "A label is 10" in first.cause and "11 units" in first.remedy


def embedded(high, low=0.0):
    described = classifier(layers=[("tokens", "Embedding", {"input_dim": 100})])
    ends = {"data_max": {"input": high, "target": 9.0}}
    return run(described, data_min={"input": low}, **ends)


def test_an_index_beyond_the_last_row_of_an_embedding():
    (found,) = gradscope.diagnose(embedded(149.0))
    assert (found.kind, found.layer) == ("index-out-of-range", "tokens")
    assert "index 149, and `tokens` has 100 rows" in found.what
    assert "input_dim=150" in found.remedy
    assert kinds(embedded(99.0)) == []
    (found,) = gradscope.diagnose(embedded(99.0, -1.0))
    assert "has the index -1" in found.what
    assert "-1 is the last row" in found.cause
    assert "from 0 to 99" in found.remedy


def test_an_input_that_is_the_same_for_all_examples():
    same = {"data_variation": {"input": 0.0}, "data_mean": {"input": 0.0}}
    same["data_rms"] = {"input": 0.0}
    found, *_ = gradscope.diagnose(run(**same))
    assert (found.kind, found.severity) == ("constant-input", "error")
    assert found.what == "The input is zero for every example"
    same["data_mean"] = {"input": 0.3}
    found, *_ = gradscope.diagnose(run(**same))
    assert found.what == "Every example has the same input"
    # Each batch has another one: batches of one time or place.
    same["data_mean"] = {"input": np.linspace(0, 1, 200)}
    assert "constant-input" not in dict(kinds(run(**same)))


def small(variation, scale=None, fall=0.0):
    layers = [("scale", "Rescaling", {"scale": scale})] if scale else []
    end = 2.5 * (1 - fall)
    return run(
        classifier(layers=layers),
        data_variation={"input": variation},
        data_rms={"input": 1.5 * variation},
        loss=np.linspace(2.5, end, 200),
    )


def test_an_input_that_hardly_varies():
    (found,) = gradscope.diagnose(small(0.001))
    assert (found.kind, found.severity) == ("unscaled-input", "warning")
    assert "hardly varies" in found.what and "255 twice" in found.cause
    # It learns all the same.
    assert kinds(small(0.001, fall=0.8)) == [("unscaled-input", "note")]
    assert kinds(small(0.3, fall=0.8)) == []


def test_an_input_that_the_model_scales_once_more():
    (found,) = gradscope.diagnose(small(0.3, scale=1 / 255))
    assert "after the model's own `Rescaling` by 0.0039" in found.what
    assert kinds(small(80.0, scale=1 / 255, fall=0.8)) == []


def test_targets_that_are_no_shares():
    described = classifier(loss="CategoricalCrossentropy")
    shares = {"data_mean": {"target": 0.165}, "data_max": {"target": 1.0}}
    (found,) = gradscope.diagnose(run(described, **shares))
    assert (found.kind, found.severity) == ("output-range", "warning")
    assert "add up to 1.65 on average" in found.what
    shares["data_mean"]["target"] = 0.1
    assert kinds(run(described, **shares)) == []


def test_the_same_target_for_all_behind_a_frozen_part_is_adversarial():
    data = tuple(
        Data(name, "float32", (1,)) for name in ("input", "output", "target")
    )
    same = {"data_mean": {"target": 1.0}, "data_variation": {"target": 0.0}}
    loss = {"class": "BinaryCrossentropy", "config": {}}
    plain = network(data=data, model={"layers": [], "loss": loss})
    assert kinds(record(plain, **same)) == [("constant-labels", "error")]
    frozen = {"name": "d", "class": "Dense", "config": {"trainable": False}}
    described = network(data=data, model={"layers": [frozen], "loss": loss})
    assert kinds(record(described, **same)) == []


def test_limits_of_the_sum_can_be_set():
    described = classifier(loss="CategoricalCrossentropy")
    shares = {"data_mean": {"target": 0.165}, "data_max": {"target": 1.0}}
    limits = {"output-range.sum": 1}
    assert gradscope.diagnose(run(described, **shares), limits=limits) == []
