"""Rules that look at a model's last layers, its softmaxes and its targets."""

import numpy as np
import pytest
from model_runs import MSE, STUCK, inputs, kinds, severities
from synthetic import network, record

import gradscope
from gradscope.format.schema import (
    Activation,
    Data,
    Wiring,
)


def ends_with(kind, units=10, loss=None, **more):
    output = Activation(
        f"dense_3/{kind}", kind, units, rank=2, is_output=True, **more
    )
    rows = tuple(Data(n) for n in ("input", "output", "target"))
    return network(activations=(output,), data=rows, model=loss or MSE)


def test_a_relu_at_the_end():
    low = {"target": -1.5}
    run = record(ends_with("relu"), zero_fraction=0.6, data_min=low)
    assert severities(run) == [("relu-output", "warning")]
    run = record(ends_with("relu"), zero_fraction=1.0)
    assert severities(run) == [("relu-output", "error")]
    # Amounts are never negative, and a ReLU may be meant.
    assert kinds(record(ends_with("relu"), zero_fraction=0.3)) == []


@pytest.mark.parametrize(
    "kind, low, high, fits",
    [
        ("sigmoid", 0, 1, True),
        ("sigmoid", -1, 1, False),
        ("sigmoid", 0, 9, False),
        ("tanh", -1, 1, True),
        ("tanh", 0, 255, False),
        ("softmax", 0, 1, True),
        ("softmax", 0, 30, False),
        ("linear", -100, 100, True),
    ],
)
def test_targets_must_be_within_reach_of_the_output(kind, low, high, fits):
    run = record(
        ends_with(kind),
        data_min={"target": low},
        data_max={"target": high},
        data_rms={"target": 1.0},
    )
    found = kinds(run)
    assert found == ([] if fits else [("output-range", "dense_3")])


def logits(from_logits):
    return {
        "loss": {
            "class": "SparseCategoricalCrossentropy",
            "config": {"from_logits": from_logits},
        }
    }


def test_a_loss_that_takes_the_output_for_something_else():
    beyond = {"data_min": {"output": -4.0}, "data_max": {"output": 5.0}}
    plain = network(
        data=tuple(Data(n) for n in ("input", "output", "target")),
        model=logits(False),
    )
    assert kinds(record(plain, **beyond)) == [("output-range", "dense_3")]
    told = network(data=plain.data, model=logits(True))
    assert kinds(record(told, **beyond)) == []


def test_two_softmaxes_in_a_row():
    run = record(ends_with("softmax", loss=logits(True)), loss=STUCK)
    assert kinds(run)[0][0] in ("hidden-softmax", "output-range")
    assert kinds(record(ends_with("softmax", loss=logits(False)))) == []


def test_a_softmax_over_one_unit():
    run = record(ends_with("softmax", units=1))
    assert severities(run) == [("single-unit-softmax", "error")]
    assert kinds(record(ends_with("sigmoid", units=1))) == []


@pytest.mark.parametrize("axis, fits", [(-1, True), (1, True), (0, False)])
def test_a_softmax_along_the_examples(axis, fits):
    run = record(ends_with("softmax", axis=axis))
    assert kinds(run) == ([] if fits else [("softmax-axis", "dense_3")])


def test_a_softmax_between_layers_but_not_in_attention():
    dense = {"layers": [{"name": "dense_1", "class": "Dense", "config": {}}]}
    hidden = Activation("dense_1/softmax", "softmax", 64, rank=2)
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    described = network(activations=(hidden, last), model=dense)
    assert kinds(record(described)) == [("hidden-softmax", "dense_1")]
    attention = Activation("mha/softmax", "softmax", 64, rank=4)
    described = network(activations=(attention, last), model=dense)
    assert kinds(record(described)) == []


def test_targets_that_the_outputs_never_get_near():
    far = {"data_rms": {"target": 5000.0, "output": 2.0, "input": 1.0}}
    far |= {"data_max": {"target": 9000.0}}
    run = record(inputs(), **far, loss=STUCK)
    assert severities(run) == [("unscaled-target", "warning")]
    reached = {"data_rms": {"target": 5000.0, "output": 4900.0, "input": 1.0}}
    assert kinds(record(inputs(), **reached, loss=STUCK)) == []


@pytest.mark.parametrize(
    "loss, dtype, output, target, is_found",
    [
        ("masked_loss", "int64", (8, 101), (8,), False),
        ("masked_loss", "int64", (32,), (1,), False),
        ("masked_loss", "float32", (8, 6001), (8,), False),
        ("masked_loss", "float32", (8, 6001), (8, 1), False),
        ("masked_loss", "float32", (8, 101), (8,), True),
        ("masked_loss", "float32", (1,), (1,), True),
        ("MeanSquaredError", "int64", (1,), (1,), True),
    ],
)
def test_targets_that_are_numbers_of_classes(
    loss, dtype, output, target, is_found
):
    data = (
        Data("input", "float32", (3,)),
        Data("output", "float32", output),
        Data("target", dtype, target),
    )
    model = {"loss": {"class": loss, "config": {}}}
    far = {"data_rms": {"target": 3000.0, "output": 1.0, "input": 1.0}}
    far |= {"data_max": {"target": 6000.0}}
    run = record(network(data=data, model=model), **far)
    expected = [("unscaled-target", None)] if is_found else []
    assert kinds(run) == expected


def test_targets_that_are_all_alike():
    alike = {"data_variation": {"target": 0.0}, "data_mean": {"target": 3.0}}
    run = record(inputs(), **alike)
    assert severities(run) == [("constant-labels", "error")]
    # Sorted by class: alike in each batch, and not in all of them.
    mean = {"target": np.repeat([0.0, 1.0], 50)}
    run = record(inputs(), data_variation={"target": 0.0}, data_mean=mean)
    assert severities(run) == [("constant-labels", "warning")]


def test_a_softmax_in_a_layer_of_the_users():
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    for name, expected in (("Softmax", [("hidden-softmax", "x")]), ("Own", [])):
        model = {"layers": [{"name": "x", "class": name, "config": {}}]}
        hidden = Activation("x/softmax", "softmax", 64, rank=2)
        described = network(activations=(hidden, last), model=model)
        assert kinds(record(described)) == expected


def test_an_output_that_was_given_no_loss():
    missing = {"gradient_missing": {"dense_2/kernel": 1}}
    both = {"layers": [], "loss": [None, MSE["loss"]]}
    for model, severity in ((both, "note"), ({"layers": []} | MSE, "warning")):
        run = record(network(model=model), **missing)
        assert severities(run) == [("disconnected-variable", severity)]


@pytest.mark.parametrize(
    ("rare", "most", "is_found"),
    [(0.03, 0.4, True), (0.03, 0.9, False), (0.5, 0.4, False)],
)
def test_a_network_that_says_no_to_everybody(rare, most, is_found):
    loss = {"loss": {"class": "binary_crossentropy", "config": {}}}
    run = record(
        ends_with("sigmoid", units=1, loss=loss),
        data_mean={"target": rare},
        data_min={"output": 0.01},
        data_max={"output": most},
    )
    assert severities(run) == [("loss-metric-disagree", "note")] * is_found
    if is_found:
        (found,) = gradscope.diagnose(run)
        assert 'answers "no" for every example' in found.what
        assert found.what.endswith("gives an accuracy of 97 %")
        assert "`class_weight={1: 32}`" in found.remedy


def test_a_softmax_between_layers_is_a_fault_where_it_shares_evenly():
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    model = {"layers": [{"name": "x", "class": "Own", "config": {}}]}
    hidden = Activation("x/softmax", "softmax", 64, rank=4)
    for into, rms, severity in (
        ("kernel", 1.5 / 64, ["warning"]),
        ("kernel", 4 / 64, ["note"]),  # sure of a few: a choice
        ("other", 1.5 / 64, []),
    ):
        described = network(
            activations=(hidden, last),
            model=model,
            wiring=(Wiring("softmax_into", "x/softmax", into),),
        )
        run = record(described, activation_rms={"x/softmax": rms})
        expected = [("hidden-softmax", one) for one in severity]
        assert severities(run) == expected


def test_attention_that_looks_at_one_position_from_the_start():
    last = Activation("dense_3/softmax", "softmax", 10, rank=2, is_output=True)
    attention = Activation("mha/softmax", "softmax", 16, rank=4)
    described = network(activations=(attention, last))
    peaked = np.full(100, 0.245)
    late = np.r_[np.full(20, 0.1), peaked[20:]]
    for rms, expected in (
        (peaked, [("saturated-activation", "mha")]),
        (late, []),  # it has learnt where to look
        (np.full(100, 0.15), []),
    ):
        run = record(described, activation_rms={"mha/softmax": rms}, loss=STUCK)
        assert kinds(run) == expected


def test_one_of_several_targets_in_thousands():
    rows = [f"{role}/{n}" for role in ("target", "output") for n in (0, 1)]
    described = network(data=tuple(Data(n) for n in ("input", *rows)))
    run = record(described, data_rms={"target/0": 8000.0})
    (found,) = gradscope.diagnose(run)
    assert (found.kind, found.severity) == ("unscaled-target", "warning")
    assert found.evidence["ratio"] == 8000
    assert "target/0" in found.message
    both = {"target/0": 8000.0, "target/1": 8000.0}
    assert kinds(record(described, data_rms=both)) == []
